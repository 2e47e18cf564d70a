"""The raw folder as its publisher lays it out.

    labels.csv     image, patient, label: a file's name, whose it is, 1 or 0
    001.png …      gray or RGB of 8 bits

All images are brought to one size by means over areas.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.finder import Seen, look
from common.data.image_files import read_image
from common.data.images import resize_8_bits
from common.data.prepared import Reading
from common.data.raw import BadFile
from common.data.tables import Row, read_table
from common.errors import InputError
from papers.study_name.config import DataConfig
from papers.study_name.scan import Scan

TABLE = "labels.csv"
IMAGE, PATIENT, LABEL = "image", "patient", "label"


def files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table and the images that it names."""
    seen = look(raw)
    table = _table(seen)
    named = {row[IMAGE] for row in read_table(table, (IMAGE, PATIENT, LABEL)).rows}
    return [table, *(file for file in seen.beside(seen.root) if file.name in named)]


def read(raw: Path, config: DataConfig) -> Reading[Scan]:
    """Return the images by name; bad are rows and images that cannot be used."""
    seen = look(raw)
    table = read_table(_table(seen), (IMAGE, PATIENT, LABEL))
    rows = table.by(IMAGE)
    scans, bad = [], [*seen.bad, *table.bad]
    for name in sorted(rows):
        try:
            scans.append(_scan(seen.root / name, rows.row(name), config.size))
        except BadFile as reason:
            bad.append(f"{name}: {reason}")
    return Reading(scans, bad, ignored=seen.others(files(raw, config)))


def _table(seen: Seen) -> Path:
    if (table := seen.only(seen.beside(seen.root), TABLE)) is None:
        raise InputError(f"--raw {seen.root}: no {TABLE} there")
    return table


def _scan(file: Path, row: Row, size: int) -> Scan:
    label = row.needed(LABEL, row.number(LABEL, 0.0, 1.0))
    if label not in (0, 1):
        raise BadFile(f"{LABEL} is {label:g}, not 0 or 1 (line {row.line} of {row.table})")
    if not row[PATIENT]:
        raise BadFile(f"{PATIENT} is missing (line {row.line} of {row.table})")
    image = _gray(read_image(file))
    return Scan(file.stem, row[PATIENT], _resized(image, size), int(label))


def _gray(image: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    if image.dtype != np.uint8:
        raise BadFile(f"has values of {image.dtype}, expected 8 bits")
    return image if image.ndim == 2 else np.rint(image.mean(-1)).astype(np.uint8)


def _resized(image: np.ndarray, size: int) -> UInt8[np.ndarray, "size size"]:
    if image.shape == (size, size):
        return image
    return resize_8_bits(image[None, ..., None], size, size)[0, ..., 0]
