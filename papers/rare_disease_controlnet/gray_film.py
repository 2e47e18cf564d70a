"""Films as users and publishers keep them, read as gray squares of 8 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from common.data.image_files import JPEG as JPEG_IMAGE
from common.data.image_files import PNG as PNG_IMAGE
from common.data.image_files import content_of
from common.data.images import cut, resize_area
from common.data.raw import BadFile, unreadable
from papers.rare_disease_controlnet import dicom

PNG, JPEG = (".png",), (".jpg", ".jpeg")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEEP = ("I", "F")  # how the modes of more than 8 bits begin: Pillow would cut these off at 255
COLOR = 12.0  # mean difference of channels, in gray values, from which an image is no gray film
SMALLEST = 32  # pixels a side
ELONGATED = 2.0  # longer side by shorter side, from which an image is no chest film
KEPT = 0.85  # of the longer side, at least


def is_film(path: Path) -> bool:
    """Return whether a file can be a film by its name, or is DICOM by what it begins with."""
    return path.suffix.lower() in PNG + JPEG or dicom.is_dicom(path)


def read(path: Path) -> UInt8[np.ndarray, "side side"]:
    """Return the film of a PNG, JPEG or DICOM file as a square of its own size.

    Raises `BadFile` where it cannot be read, is in color, or is no film by its shape or content.
    """
    image = dicom.read(path) if dicom.is_dicom(path) else read_gray(path)
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

    Transparency does not count. Raises `BadFile` for more than 8 bits, and for colors.
    """
    try:
        content = content_of(path, (PNG_IMAGE, JPEG_IMAGE))
        if content.startswith(SIGNATURE) and content[24:25] == b"\x10":
            raise BadFile("has 16 bits a pixel; save it with 8, or give the DICOM file")
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
            if opened.mode.startswith(DEEP):
                raise BadFile("has more than 8 bits a pixel; save it with 8")
            image = ImageOps.exif_transpose(opened)
            if image.mode not in ("1", "L", "LA"):
                _check_colors(np.asarray(image.convert("RGB")))
            return np.asarray(image.convert("L"))  # of three equal channels it is one of them
    except BadFile:
        raise
    except UnidentifiedImageError:
        raise BadFile("is no PNG or JPEG image, whatever its name says") from None
    except Exception as error:  # as many kinds of error as there are ways to damage an image
        raise unreadable(error) from None


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
