"""HC18 as Zenodo (record 1327317) lays it out: fetal heads with the outline that was measured.

    training_set_pixel_size_and_HC.csv     filename, pixel size(mm), head circumference (mm)
    training_set/010_HC.png                8 bits, mostly 540 rows of 800 pixels
    training_set/010_HC_Annotation.png     255 on a thin line around the head
    training_set/010_2HC.png …             another image of the same examination

The line is an ellipse, the one whose circumference the table gives: fitted to the line it returns
the table's circumference within 0.03%. So a mask is all that lies inside the fitted ellipse, which
neither a gap in the line nor a head that the image's edge cuts can spoil.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from common.data.raw import BadFile, existing, number, read_table
from common.errors import InputError
from common.metrics.ellipse import Ellipse, fit
from papers.ultrasound_diconvae.image import LabeledImage, read_gray, resize_image, resize_labels

TABLE = "training_set_pixel_size_and_HC.csv"
FILE, PIXEL, CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
NAME = re.compile(r"(\d+)_(\d*)HC\.png")
OUTLINE = "_Annotation.png"
NEAR = 3.0  # pixels: how far from the ellipse the line may lie
COVERED = 0.75  # of the ellipse inside the image: how much of it the line must follow
SAME = 0.03  # of the table's circumference: how far the ellipse's may be from it


@dataclass(frozen=True)
class Entry:
    """One image of the listing: its file, its outline's, and its row of the table."""

    image: Path
    row: dict[str, str]

    @property
    def name(self) -> str:
        """The image's name without its suffix."""
        return self.image.stem

    @property
    def subject(self) -> str:
        """Who is shown: the number before the underscore."""
        return f"HC18-{self.name.partition('_')[0]}"

    @property
    def outline(self) -> Path:
        """The file with the line around the head."""
        return self.image.with_name(self.name + OUTLINE)


def files(raw: Path) -> list[Path]:
    """Return the table, the images and the outlines, given their folder or one around it."""
    root = _root(raw)
    return [root / TABLE, *sorted((root / "training_set").glob("*.png"))]


def listing(raw: Path) -> tuple[list[Entry], list[str]]:
    """Return the images by name, and what is wrong with the table, "name: reason".

    Raises `InputError` where there is no table, or not one image.
    """
    table, *pngs = files(raw)
    rows = {row[FILE]: row for row in read_table(table, (FILE, PIXEL, CIRCUMFERENCE))}
    images = [path for path in pngs if NAME.fullmatch(path.name)]
    if not images:
        raise InputError(f"--raw {raw}: no training_set/<number>_HC.png beside {TABLE}")
    there = {path.name for path in images}
    bad = [f"{path.name}: not in {table.name}" for path in images if path.name not in rows]
    bad += [f"{name}: in {table.name}, but no such image" for name in rows if name not in there]
    return [Entry(path, rows[path.name]) for path in images if path.name in rows], bad


def read(entry: Entry, height: int, width: int) -> LabeledImage:
    """Return one image at the given size, 1 where the head is, or raise `BadFile`."""
    row = entry.row
    pixel = number(row[PIXEL], PIXEL, 0.01, 1.0)
    circumference = number(row[CIRCUMFERENCE], CIRCUMFERENCE, 10.0, 500.0)
    image = read_gray(entry.image)
    if not entry.outline.is_file():
        raise BadFile(f"has no {entry.outline.name}")
    line = read_gray(entry.outline) > 127
    if line.shape != image.shape:
        raise BadFile(f"{entry.outline.name} is {line.shape}, its image {image.shape}")
    try:
        ellipse = outlined(line)
    except BadFile as reason:
        raise BadFile(f"{entry.outline.name} {reason}") from None
    measured = ellipse.circumference * pixel
    if abs(measured / circumference - 1) > SAME:
        raise BadFile(
            f"{entry.outline.name} measures {measured:.1f} mm, {TABLE} says {circumference:.1f}"
        )
    rows, columns = image.shape
    return LabeledImage(
        name=entry.name,
        subject=entry.subject,
        plane="diverse",
        image=resize_image(image, height, width),
        labels=resize_labels(ellipse.mask(rows, columns).astype(np.uint8), height, width),
        mm=(pixel * rows / height, pixel * columns / width),
        head_mm=circumference,
    )


def outlined(line: Bool[np.ndarray, "height width"]) -> Ellipse:
    """Return the ellipse that a thin line draws, or raise `BadFile` where it draws none."""
    points = np.argwhere(line).astype(np.float64)
    if len(points) < 20:
        raise BadFile(f"has a line of {len(points)} pixels, which outlines nothing")
    ellipse = fit(points)
    if ellipse is None:
        raise BadFile("does not outline a head: no ellipse fits its line")
    away = np.abs(ellipse.distance(points[:, 0], points[:, 1]))
    if (farthest := float(away.max())) > NEAR:
        raise BadFile(f"is no ellipse: its line leaves the best one by {farthest:.1f} pixels")
    if (share := _followed(ellipse, line)) < COVERED:
        raise BadFile(f"is not closed: its line follows {share:.0%} of the ellipse")
    return ellipse


def _followed(ellipse: Ellipse, line: Bool[np.ndarray, "height width"]) -> float:
    """Return how much of the ellipse inside the image has a pixel of the line beside it."""
    turn = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    along, across = ellipse.major * np.cos(turn), ellipse.minor * np.sin(turn)
    cos, sin = np.cos(ellipse.angle), np.sin(ellipse.angle)
    rows = np.rint(ellipse.row + along * sin + across * cos).astype(int)
    columns = np.rint(ellipse.column + along * cos - across * sin).astype(int)
    height, width = line.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if not inside.any():
        return 0.0
    reach = int(NEAR)
    wide = np.pad(line, reach)
    near = np.zeros(inside.sum(), bool)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            near |= wide[rows[inside] + down, columns[inside] + right]
    return float(near.mean())


def _root(raw: Path) -> Path:
    raw = existing(raw)
    root = next((path for path in (raw, raw / "hc18") if (path / TABLE).is_file()), None)
    if root is None:
        raise InputError(f"--raw {raw}: no {TABLE} there")
    return root
