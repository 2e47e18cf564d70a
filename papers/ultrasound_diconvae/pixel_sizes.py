"""The size of a pixel of users' own images: given, or told by a table such as HC18's beside them.

A table is a CSV file with the columns `filename` and `pixel size(mm)`. It lies in the folder of the
images, or beside that folder with its name first: training_set_pixel_size_and_HC.csv, training_set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common.data.raw import BadFile
from common.data.tables import Ids, read_table, read_text
from papers.ultrasound_diconvae.clips import PIXEL as SIDES
from papers.ultrasound_diconvae.hc18_layout import FILE, PIXEL


@dataclass
class PixelSizes:
    """Sides of pixels in mm; each table is read once."""

    given: float | None  # for all
    _tables: dict[Path, list[Ids]] = field(default_factory=dict)  # by the images' folder

    def of(self, file: Path) -> float | None:
        """Return the side of an image's pixels in mm, None where nobody says it.

        Raises `BadFile` where the table's row is bad or there are several; `InputError` where a
        table cannot be read.
        """
        if self.given is not None:
            return self.given
        folder = file.absolute().parent
        if folder not in self._tables:
            tables = [read_table(path, (FILE, PIXEL)) for path in _tables_of(folder)]
            self._tables[folder] = [one.by(FILE, _stem) for one in tables]
        sizes = {
            row.needed(PIXEL, row.number(PIXEL, *SIDES))
            for rows in self._tables[folder]
            if rows.knows(_stem(file.name))
            for row in (rows.row(_stem(file.name)),)
        }
        if len(sizes) > 1:
            told = " and ".join(f"{size:g}" for size in sorted(sizes))
            raise BadFile(f"has pixels of {told} mm by several tables; keep one, or --pixel-mm")
        return sizes.pop() if sizes else None


def _tables_of(folder: Path) -> list[Path]:
    """Return the tables for the images of a folder: those in it, else those beside it."""
    inside = [path for path in _csv_files(folder) if _is_table(path)]
    beside = [path for path in _csv_files(folder.parent) if path.name.startswith(folder.name)]
    return inside or [path for path in beside if _is_table(path)]


def _csv_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    except OSError:  # nobody may look there
        return []


def _is_table(path: Path) -> bool:
    header = read_text(path).partition("\n")[0].lower()
    return FILE in header and PIXEL in header


def _stem(name: str) -> str:
    return Path(name).stem
