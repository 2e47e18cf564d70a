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

from common.data.finder import OTHER, OUTSIDE, Listing, Seen, look
from common.data.raw import BadFile
from common.data.tables import Row, alike, read_table
from common.errors import InputError
from common.metrics.ellipse import Ellipse, fit
from papers.ultrasound_diconvae.image import LabeledImage, read_gray, resize_image, resize_labels

TABLE, FOLDER = "training_set_pixel_size_and_HC.csv", "training_set"
FILE, PIXEL, CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
NAME = re.compile(r"(\d+)_(\d*)HC\.png", re.IGNORECASE)
OUTLINE = "_annotation"  # ends the name of a line's file, in any case
LINE = 255  # what the line around a head holds
NEAR = 3.0  # pixels: how far from the ellipse the line may lie
COVERED = 0.75  # of the ellipse inside the image: how much of it the line must follow
SAME = 0.03  # of the table's circumference: how far the ellipse's may be from it


@dataclass(frozen=True)
class Entry:
    """One image of the listing: its file, its outline's, and its row of the table."""

    image: Path
    outline: Path
    row: Row

    @property
    def name(self) -> str:
        """The image's name without its suffix."""
        return self.image.stem

    @property
    def subject(self) -> str:
        """Who is shown: the number before the underscore."""
        return f"HC18-{_number(self.name)}"


def listing(raw: Path) -> Listing[Entry]:
    """Return the images by name, given their folder or one around it.

    Bad are images without a row or an outline, rows and outlines without an image, and images that
    are not named as published or lie deeper. Raises `InputError` where there is no table, or not
    one image.
    """
    seen = look(raw)
    table = _table(seen)
    folder = seen.only(seen.folders(table.parent), FOLDER) or table.parent / FOLDER
    images, outlines, misplaced, bad = {}, {}, [], list(seen.bad)
    inside = set(seen.below(folder))
    for path in sorted(inside):
        if path.suffix.lower() != ".png":
            continue
        stem = path.stem.lower()
        if path.parent != folder:
            misplaced.append(path)
            bad.append(f"{seen.name(path)}: lies in a folder of {FOLDER}; put it into {FOLDER}")
        elif NAME.fullmatch(path.name):
            images[path.stem] = path
        elif stem.endswith(OUTLINE) and NAME.fullmatch(stem.removesuffix(OUTLINE) + ".png"):
            outlines[stem.removesuffix(OUTLINE)] = path
        else:
            misplaced.append(path)
            bad.append(f"{path.name}: not named as published, 010_HC.png or 010_HC_Annotation.png")
    if not images:
        raise InputError(f"--raw {seen.root}: no {FOLDER}/<number>_HC.png beside {TABLE}")
    entries, faults = _entries(images, outlines, table)
    files = [table, *images.values(), *outlines.values()]
    ignored = seen.others([*files, *misplaced], lambda path: OTHER if path in inside else OUTSIDE)
    return Listing(entries, files, bad + faults, ignored)


def _entries(
    images: dict[str, Path], outlines: dict[str, Path], table: Path
) -> tuple[list[Entry], list[str]]:
    """Return the images with a row and an outline, and what is bad of all three."""
    listed = read_table(table, (FILE, PIXEL, CIRCUMFERENCE))
    rows = listed.by(FILE, lambda name: Path(name).stem)
    spelled, numbered = alike(images), alike(map(_number, images))
    entries, bad = [], list(listed.bad)
    for name, path in images.items():
        try:
            if other := spelled.get(name) or numbered.get(_number(name)):
                raise BadFile(f"{other} is there too; keep one, or name them apart")
            row = rows.row(name)
            if name.lower() not in outlines:
                raise BadFile(f"has no {name}_Annotation.png")
            entries.append(Entry(path, outlines[name.lower()], row))
        except BadFile as reason:
            bad.append(f"{path.name}: {reason}")
    known = {name.lower() for name in images}
    alone = [name for name in rows if name.lower() not in known]
    bad += [f"{name}: in {table.name}, but no such image" for name in alone]
    lines = [path for name, path in outlines.items() if name not in known]
    return entries, bad + [f"{path.name}: an outline without its image" for path in lines]


def _table(seen: Seen) -> Path:
    inside = seen.only(seen.folders(seen.root), "hc18")
    for folder in (seen.root, inside):
        if folder and (table := seen.only(seen.beside(folder), TABLE)):
            return table
    raise InputError(f"--raw {seen.root}: no {TABLE} there")


def _number(name: str) -> str:
    return name.partition("_")[0]


def read(entry: Entry, height: int, width: int) -> LabeledImage:
    """Return one image at the given size, 1 where the head is, or raise `BadFile`."""
    row = entry.row
    pixel = row.needed(PIXEL, row.number(PIXEL, 0.01, 1.0))
    circumference = row.needed(CIRCUMFERENCE, row.number(CIRCUMFERENCE, 10.0, 500.0))
    image = read_gray(entry.image)
    drawn = read_gray(entry.outline)
    if 0 < drawn.max() <= LINE // 2:
        raise BadFile(
            f"{entry.outline.name} holds {drawn.max()} at most, its line should be {LINE}"
        )
    line = drawn > LINE // 2
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
