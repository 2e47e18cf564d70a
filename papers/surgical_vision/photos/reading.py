"""A folder of portraits read into faces, the bad ones named."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from common.data.copies import Copies
from common.data.finder import COPIED, Listing, look, numeric, suffix
from common.data.prepared import Reading
from common.data.raw import BadFile, existing
from common.data.shelf import kept
from common.data.user_files import shown
from papers.surgical_vision.image import SUFFIXES, read_photo
from papers.surgical_vision.photos import find
from papers.surgical_vision.photos.face import Face


def listing(folder: Path) -> Listing[Path]:
    """Return all images in a folder and below, in numeric order of names."""
    seen = look(folder)
    images = [path.relative_to(seen.root) for path in seen.files if suffix(path, SUFFIXES)]
    found = [seen.root / path for path in sorted(images, key=numeric)]
    return Listing(found, found, seen.bad, seen.others(found))


def read(folder: Path, size: int, limit: int = 0) -> Reading[Face]:
    """Return the faces of a folder's photos in `size` pixels, named by their path in it.

    At most the first `limit` photos, 0: all; of equal photos the first. Raises InputError where
    there is no folder; which photos are bad, and why, the reading says.
    """
    found, networks, raw = listing(folder), find.finder(), existing(folder)
    faces, bad, ignored, copies = [], list(found.bad), list(found.ignored), Copies()
    chosen = found.entries[: limit or None]
    for path in tqdm(chosen, "finding faces", unit="photo", delay=2, disable=None):
        name = shown(path, raw)
        try:
            photo = read_photo(path)
            if (first := copies.first(name, photo)) != name:
                ignored.append(f"{name}, as {first}: {COPIED}")
                continue
            faces.append(kept(find.face(networks, photo, size, name)))
        except BadFile as reason:
            bad.append(f"{name}: {reason}")
    return Reading(faces, bad, ignored=ignored)
