"""A folder of portraits read into faces, the bad ones named."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from common.data.prepared import Reading
from common.data.raw import BadFile, existing
from common.data.user_files import numeric, shown
from papers.surgical_vision.image import SUFFIXES, read_photo
from papers.surgical_vision.photos import find
from papers.surgical_vision.photos.face import Face


def files(folder: Path) -> list[Path]:
    """Return all images in a folder and below, in numeric order of names, hidden ones left out."""
    raw = existing(folder)
    found = [path for path in raw.rglob("*") if path.suffix.lower() in SUFFIXES]
    named = [path.relative_to(raw) for path in found]
    return [raw / path for path in sorted(named, key=numeric) if not _hidden(path)]


def read(folder: Path, size: int, limit: int = 0) -> Reading[Face]:
    """Return the faces of a folder's photos in `size` pixels, named by their path in it.

    At most the first `limit` photos, 0: all. Raises InputError where there is no folder; which
    photos are bad, and why, the reading says.
    """
    raw, networks = existing(folder), find.finder()
    faces, bad = [], []
    chosen = files(folder)[: limit or None]
    for path in tqdm(chosen, "finding faces", unit="photo", delay=2, disable=None):
        name = shown(path, raw)
        try:
            faces.append(find.face(networks, read_photo(path), size, name))
        except BadFile as reason:
            bad.append(f"{name}: {reason}")
    return Reading(faces, bad)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
