"""Masks in colors: read exactly, and what resizing makes of them.

A color mask may only be resized by nearest neighbors. Interpolation mixes the colors of the two
sides of every edge into others that no class has: red and black into (128, 0, 0). That is how
values between 0 and 255 come into masks that hold none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from scipy import ndimage

from common.data.raw import BadFile
from common.data.tables import read_text
from common.errors import InputError, nearest
from papers.ultrasound_diconvae.image import CLASSES, resize_labels

Color = tuple[int, int, int]
Mask = UInt8[np.ndarray, "height width 3"]
PAINT: dict[Color, int] = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2, (0, 0, 255): 3}


def read_labelmap(path: Path) -> dict[Color, int]:
    """Return the label of every color, by a labelmap.txt as CVAT writes it.

    A line is `name:red,green,blue:parts:actions`; lines that start with # do not count. Black is
    background unless a line says otherwise. Raises `InputError` for a line that is not of this
    form, a name that is not one of CLASSES (in any case), and a color that two names share.
    """
    classes = {name.lower(): label for label, name in enumerate(CLASSES)}
    colors: dict[Color, int] = {}
    for line in read_text(path).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        red, *others = rest.partition(":")[0].split(",")
        try:
            color = tuple(int(value) for value in (red, *others))
        except ValueError:
            color = ()
        if len(color) != 3 or not all(0 <= value <= 255 for value in color):
            raise InputError(f"{path}: {line!r} is not name:red,green,blue::")
        if name.strip().lower() not in classes:
            raise InputError(f"{path}: class {name!r}; {nearest(name, CLASSES)}")
        label = classes[name.strip().lower()]
        if colors.setdefault(color, label) != label:
            raise InputError(f"{path}: {line!r} has the color of {CLASSES[colors[color]]}")
    colors.setdefault((0, 0, 0), 0)
    return colors


def decode(mask: Mask, colors: dict[Color, int]) -> UInt8[np.ndarray, "height width"]:
    """Return the label of every pixel, or raise `BadFile` that names the colors of no class."""
    codes = _codes(mask)
    labels = np.zeros(codes.shape, np.uint8)
    known = np.zeros(codes.shape, bool)
    for color, label in colors.items():
        here = codes == _code(*color)
        labels[here], known[here] = label, True
    if not known.all():
        strays, counts = np.unique(codes[~known], return_counts=True)
        most = int(strays[counts.argmax()])
        color = (most >> 16, most >> 8 & 255, most & 255)
        raise BadFile(
            f"holds {counts.sum()} pixels of {len(strays)} off-palette colors, most of them "
            f"{color}; its labelmap.txt has " + ", ".join(str(known) for known in sorted(colors))
        )
    return labels


def encode(labels: UInt8[np.ndarray, "height width"]) -> Mask:
    """Return labels painted: black background, red brain, green CSP, blue LV."""
    table = np.zeros((len(CLASSES), 3), np.uint8)
    for color, label in PAINT.items():
        table[label] = color
    return table[labels]


def off_palette(mask: Mask, colors: dict[Color, int] = PAINT) -> Bool[np.ndarray, "height width"]:
    """Return which pixels have a color of no class."""
    return ~np.isin(_codes(mask), [_code(*color) for color in colors])


def resized(
    mask: UInt8[np.ndarray, "rows columns 3"], height: int, width: int
) -> dict[str, UInt8[np.ndarray, "{height} {width} 3"]]:
    """Return a color mask on another grid, by nearest neighbors and by bilinear interpolation.

    Both take pixels as squares whose centers carry the values, as OpenCV's resize does;
    `off_palette` counts what the second makes up.
    """
    zoom = (height / mask.shape[0], width / mask.shape[1], 1)
    mixed = ndimage.zoom(mask.astype(np.float32), zoom, order=1, mode="nearest", grid_mode=True)
    return {
        "nearest": resize_labels(mask, height, width),
        "bilinear": np.rint(mixed).astype(np.uint8),
    }


def _codes(mask: Mask) -> Int32[np.ndarray, "height width"]:
    """Return the color of every pixel as one number."""
    return _code(*np.moveaxis(mask.astype(np.int32), -1, 0))


def _code(red: Any, green: Any, blue: Any) -> Any:
    return red << 16 | green << 8 | blue
