"""Photos as the study reads them: upright, RGB, 8 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.file_kinds import HEIC, JPEG, PNG, TIFF, WEBP, kind_of
from common.data.image_files import image_of
from common.data.raw import BadFile, unreadable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif")
KINDS = (JPEG, PNG, TIFF, WEBP, HEIC)

Photo = UInt8[np.ndarray, "height width 3"]


def read_photo(path: Path) -> Photo:
    """Return a photo turned as its EXIF orientation says, whatever its name says of its kind.

    Raises `BadFile` where it cannot be read, is transparent, or has more than 8 bits.
    """
    try:
        content = path.read_bytes()
        image = _heic(content) if kind_of(content) == HEIC else image_of(content, KINDS)
    except BadFile:
        raise
    except Exception as error:  # as many kinds of error as there are ways to damage a photo
        raise unreadable(error) from None
    if image.dtype != np.uint8:
        raise BadFile("has more than 8 bits a pixel; save it with 8")
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)


def _heic(content: bytes) -> Photo:
    try:
        import pillow_heif
    except ImportError:
        raise BadFile("is HEIC: `just install --extra heic`, or save it as JPEG") from None
    image = pillow_heif.read_heif(io.BytesIO(content)).to_pillow()  # upright already
    return np.asarray(image.convert("RGB"))
