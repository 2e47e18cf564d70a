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

from common.data.finder import IMAGES, Listing, Seen, look, numeric, suffix
from common.data.images import resize_8_bits
from common.data.raw import BadFile
from common.data.tables import Row, alike, is_known, read_table
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


def listing(raw: Path) -> Listing[Entry]:
    """Return the pairs by name.

    Bad is what has no counterpart, no label, two files or another spelling of its name, what lies
    elsewhere, and images of other kinds. Raises `InputError` where a folder or all images are
    missing, or the table cannot be read.
    """
    seen = look(raw)
    bad = list(seen.bad)
    before, after = (_side(seen, name) for name in (BEFORE, AFTER))
    if not before and not after:
        raise InputError(f"--raw {seen.root}: no images in before/ and after/; put pairs there")
    images = [path for side in (before, after) for paths in side.values() for path in paths]
    known = set(images)
    misplaced = [path for path in seen.files if path not in known and suffix(path, IMAGES)]
    bad += _elsewhere(seen, misplaced) + _faults(before, after)
    pairs = {
        name: (before[name][0], after[name][0])
        for name in before
        if name in after and len(before[name]) == len(after[name]) == 1
    }
    for name, other in alike({*before, *after}).items():
        if pairs.pop(name, None):
            bad.append(f"{name}: {other} is there too; keep one, or name them apart")
    table = seen.only(seen.beside(seen.root), TABLE)
    if table is None:
        entries = [Entry(name, *paths, name, UNSAID) for name, paths in pairs.items()]
    else:
        entries, faults = _labeled(pairs, table, {*before, *after})
        bad += faults
    files = [*images, *([table] if table else [])]
    return Listing(entries, files, bad, seen.others([*files, *misplaced]))


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


def _side(seen: Seen, name: str) -> dict[str, list[Path]]:
    """Return the images of one of the folders by name, in numeric order."""
    folder = seen.only(seen.folders(seen.root), name)
    if folder is None:
        raise InputError(f"--raw {seen.root}: no folder {name}; give one with before/ and after/")
    images = [path for path in seen.beside(folder) if suffix(path, SUFFIXES)]
    return _by_name(sorted(images, key=numeric))


def _elsewhere(seen: Seen, images: Iterable[Path]) -> list[str]:
    """Return what is wrong with images that are in neither folder, or of another kind."""
    return [
        f"{seen.name(path)}: lies outside of before/ and after/; put it into one"
        if suffix(path, SUFFIXES)
        else f"{seen.name(path)}: is no photo of a kind that is read; save it as JPEG or PNG"
        for path in images
    ]


def _faults(before: Mapping[str, list[Path]], after: Mapping[str, list[Path]]) -> list[str]:
    """Return which images have a second one of their name, and which have no counterpart."""
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
    return bad


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
    listed = read_table(table, ("name", *DOMAINS), ("patient",))
    rows = listed.by("name", _name)
    entries, bad = [], list(listed.bad)
    for name, paths in pairs.items():
        try:
            entries.append(Entry(name, *paths, *_label(name, rows.row(name))))
        except BadFile as reason:
            bad.append(f"{name}: {reason}")
    bad += [f"{TABLE}: {name} has no images; remove its row" for name in rows if name not in known]
    spelled = alike(entry.patient for entry in entries)
    bad += [
        f"{entry.name}: its patient {entry.patient!r} is {spelled[entry.patient]!r} elsewhere in "
        f"{TABLE}; write one"
        for entry in entries
        if entry.patient in spelled
    ]
    return [entry for entry in entries if entry.patient not in spelled], bad


def _label(name: str, row: Row) -> tuple[str, Domains]:
    given = [row.needed(domain, row.number(domain, 0.0, 1.0)) for domain in DOMAINS]
    for domain, value in zip(DOMAINS, given, strict=True):
        if value not in (0, 1):
            raise BadFile(f"has {row[domain]!r} as {domain}, expected 0 or 1")
    if 1 not in given:
        raise BadFile("has no 1 for eyes, nose or chin; say what was operated")
    eyes, nose, chin = (value == 1 for value in given)
    return row["patient"] if is_known(row["patient"]) else name, (eyes, nose, chin)
