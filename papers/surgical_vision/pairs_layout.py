"""The user's own pairs, as the source keeps them: two folders of images with equal names.

    before/0007.jpg        a face, any size, JPEG or PNG (HEIC with `just install --extra heic`)
    after/0007.png         the same person after surgery, framed alike
    labels.csv             optional: name, eyes, nose, chin (0 or 1), and a patient if one has
                           several pairs. Without it a pair's operation is taken as all three

Images become squares by cutting the middle out of the longer side, and then the study's size.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.images import resize_8_bits
from common.data.raw import BadFile, existing, read_table
from common.data.user_files import numeric
from common.errors import InputError
from papers.surgical_vision.image import SUFFIXES, Photo, read_photo
from papers.surgical_vision.pair import DOMAINS, Pair

BEFORE, AFTER, TABLE = "before", "after", "labels.csv"
SMALLEST = 0.5  # of the study's size: smaller images would be made of what is not in them
RATIO = 1.05  # between the sides' ratios of the images of a pair: framed alike

Domains = tuple[bool, bool, bool]
UNSAID: Domains = (True, True, True)  # what was operated where there is no table


@dataclass(frozen=True)
class Entry:
    """One pair of the listing: its files, its patient, and what was operated."""

    name: str
    before: Path
    after: Path
    patient: str
    domains: Domains


def files(raw: Path) -> list[Path]:
    """Return the images of both folders, and the table if there is one."""
    raw = existing(raw)
    images = [path for folder in (BEFORE, AFTER) for path in _images(raw / folder)]
    return [*images, *([raw / TABLE] if (raw / TABLE).is_file() else [])]


def listing(raw: Path) -> tuple[list[Entry], list[str]]:
    """Return the pairs by name, and what has no counterpart or no label, "name: reason".

    Raises `InputError` where a folder or all images are missing, or the table cannot be read.
    """
    raw = existing(raw)
    for folder in (BEFORE, AFTER):
        if not (raw / folder).is_dir():
            raise InputError(f"--raw {raw}: no folder {folder}; give one with before/ and after/")
    before, after = (_by_name(_images(raw / folder)) for folder in (BEFORE, AFTER))
    if not before and not after:
        raise InputError(f"--raw {raw}: no images in before/ and after/; put pairs there")
    bad = [
        f"{_shown(path)}: two images of this name; keep one"
        for side in (before, after)
        for paths in side.values()
        if len(paths) > 1
        for path in paths
    ]
    for side, other, missing in ((before, after, AFTER), (after, before, BEFORE)):
        bad += [
            f"{_shown(paths[0])}: no image of this name in {missing}/"
            for name, paths in side.items()
            if name not in other
        ]
    pairs = {
        name: (before[name][0], after[name][0])
        for name in before
        if name in after and len(before[name]) == len(after[name]) == 1
    }
    if not (raw / TABLE).is_file():
        return [Entry(name, *paths, name, UNSAID) for name, paths in pairs.items()], bad
    entries, faults = _labeled(pairs, raw / TABLE, {*before, *after})
    return entries, bad + faults


def read(entry: Entry, size: int) -> Pair:
    """Return a pair at the size, or raise `BadFile`."""
    photos = []
    for path in (entry.before, entry.after):
        try:
            photos.append(read_photo(path))
            check_size(photos[-1], size)
        except BadFile as reason:
            raise BadFile(f"{_shown(path)}: {reason}") from None
    ratios = [photo.shape[0] / photo.shape[1] for photo in photos]
    if max(ratios) > RATIO * min(ratios):
        sizes = " and ".join(f"{photo.shape[1]}x{photo.shape[0]}" for photo in photos)
        raise BadFile(
            f"{_shown(entry.before)}: it and the one after are {sizes}, not framed alike; "
            "crop them the same"
        )
    before, after = (square(photo, size) for photo in photos)
    if np.array_equal(before, after):
        raise BadFile(f"{_shown(entry.after)}: shows the same as the one before; give the other")
    return Pair(entry.name, entry.patient, before, after, entry.domains)


def copies(entries: Iterable[Entry]) -> dict[str, str]:
    """Return which pairs have a file that is a copy of another, "file: reason" by pair.

    That is a pair of equal files, or a leak between parts. Pairs of one patient may share files:
    what is after one operation is before the next.
    """
    seen: dict[str, tuple[Entry, Path]] = {}
    found = {}
    for entry in entries:
        for path in (entry.before, entry.after):
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:  # `read` says so
                continue
            first, other = seen.setdefault(digest, (entry, path))
            if first.name == entry.name and other != path:
                found[entry.name] = f"{_shown(path)}: a copy of {_shown(other)}; give the other"
            elif first.patient != entry.patient:
                found[entry.name] = (
                    f"{_shown(path)}: a copy of {_shown(other)}; remove one, or give both pairs "
                    f"one patient in {TABLE}"
                )
    return found


def check_size(photo: Photo, size: int) -> None:
    """Raise `BadFile` for a photo with less than half of the pixels a side that it is shown in."""
    height, width, _ = photo.shape
    if min(height, width) < SMALLEST * size:
        raise BadFile(f"is {width}x{height}, expected at least {SMALLEST * size:g} pixels a side")


def square(image: Photo, size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Return the middle square of an image at the size."""
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize_8_bits(image[None, top : top + side, left : left + side], size, size)[0]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return sorted((x for x in found if x.is_file() and not x.name.startswith(".")), key=numeric)


def _by_name(paths: Iterable[Path]) -> dict[str, list[Path]]:
    names: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        names[_name(path.name)].append(path)
    return dict(names)


def _name(file: str) -> str:
    """Return a file's name without an image's suffix, composed as not every system stores it."""
    name = Path(unicodedata.normalize("NFC", file))
    return name.stem if name.suffix.lower() in SUFFIXES else name.name


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _labeled(
    pairs: Mapping[str, tuple[Path, Path]], table: Path, known: set[str]
) -> tuple[list[Entry], list[str]]:
    """Return the pairs as the table's rows say, and which rows and pairs are bad."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _table(table):
        rows[_name(row["name"])].append(row)
    entries, bad = [], []
    for name, paths in pairs.items():
        try:
            if name not in rows:
                raise BadFile("has no row; label every pair")
            if len(rows[name]) > 1:
                raise BadFile(f"has {len(rows[name])} rows; keep one")
            entries.append(Entry(name, *paths, *_label(name, rows[name][0])))
        except BadFile as reason:
            bad.append(f"{TABLE}: {name} {reason}")
    bad += [f"{TABLE}: {name} has no images; remove its row" for name in rows if name not in known]
    return entries, bad


def _table(table: Path) -> list[dict[str, str]]:
    """Return the rows; a column `patient` need not be there."""
    try:
        return read_table(table, ("name", *DOMAINS, "patient"))
    except InputError:
        return read_table(table, ("name", *DOMAINS))


def _label(name: str, row: Mapping[str, str]) -> tuple[str, Domains]:
    values = [row[domain] for domain in DOMAINS]
    for domain, value in zip(DOMAINS, values, strict=True):
        if value not in ("0", "1"):
            raise BadFile(f"has {value!r} as {domain}, expected 0 or 1")
    if "1" not in values:
        raise BadFile("has no 1 for eyes, nose or chin; say what was operated")
    eyes, nose, chin = (value == "1" for value in values)
    return row.get("patient") or name, (eyes, nose, chin)
