"""Films as users and publishers keep them, read as gray squares of 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from common.data import file_kinds
from common.data.dicom import holds_dicom
from common.data.file_kinds import DICOM
from common.data.image_files import read_image
from common.data.images import cut, resize_area
from common.data.raw import BadFile
from papers.rare_disease_controlnet import dicom

PNG, JPEG = (".png",), (".jpg", ".jpeg")
KINDS = (file_kinds.PNG, file_kinds.JPEG)
COLOR = 12.0  # mean difference of channels, in gray values, from which an image is no gray film
SMALLEST = 32  # pixels a side
ELONGATED = 2.0  # longer side by shorter side, from which an image is no chest film
KEPT = 0.85  # of the longer side, at least


def is_film(path: Path) -> bool:
    """Return whether a file can be a film by its name, or is DICOM by what it begins with."""
    return path.suffix.lower() in PNG + JPEG or dicom.is_dicom(path)


def read(path: Path) -> UInt8[np.ndarray, "side side"]:
    """Return the film of a PNG, JPEG or DICOM file, whatever its name, as a square of its own size.

    Raises `BadFile` where it cannot be read, is in color, or is no film by its shape or content.
    """
    image = dicom.read(path) if holds_dicom(path) else _gray(read_image(path, (*KINDS, DICOM)))
    height, width = image.shape
    if min(height, width) < SMALLEST:
        raise BadFile(f"is {width}x{height}, expected at least {SMALLEST} pixels a side")
    if max(height, width) > ELONGATED * min(height, width):
        raise BadFile(f"is {width}x{height}, which is not the shape of a chest film")
    if image.min() == image.max():
        raise BadFile("is of one gray value, not a film")
    return square(image)


def read_gray(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Return a PNG or JPEG as one channel, turned as its EXIF orientation says.

    Raises `BadFile` for more than 8 bits, colors, and what is transparent.
    """
    return _gray(read_image(path, KINDS))


def _gray(image: Shaped[np.ndarray, "height width *channels"]) -> UInt8[np.ndarray, "height width"]:
    if image.dtype != np.uint8:
        raise BadFile("has more than 8 bits a pixel; save it with 8, or give the DICOM file")
    if image.ndim == 2:
        return image
    _check_colors(image)
    return np.asarray(Image.fromarray(image).convert("L"))  # of equal channels it is one of them


def square(image: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "side side"]:
    """Return a film as a square: nothing is squeezed.

    Of a longer side at most 15% are cut off, half at each end; where that is not enough, the
    shorter side gets black edges.
    """
    height, width = image.shape
    side = max(min(height, width), round(KEPT * max(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return cut(image[None], (slice(top, top + side), slice(left, left + side)))[0]


def resized(
    image: UInt8[np.ndarray, "rows columns"], size: int
) -> UInt8[np.ndarray, "{size} {size}"]:
    """Return a square at the size: by means over areas where it is larger, bilinear if smaller."""
    if len(image) >= size:
        fine = resize_area(image[None], size, size)[0]
    else:
        floats = Image.fromarray(image.astype(np.float32))
        fine = np.asarray(floats.resize((size, size), Image.Resampling.BILINEAR))
    return np.rint(np.clip(fine, 0, 255)).astype(np.uint8)


def _check_colors(image: UInt8[np.ndarray, "height width 3"]) -> None:
    spread = image.max(-1).astype(np.float32) - image.min(-1)
    if spread.mean() > COLOR:
        raise BadFile("is in color, a film is gray; give it without overlay or annotation")
