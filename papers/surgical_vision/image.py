"""Photos as the study reads them: upright, RGB, 8 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from common.data.image_files import content_of
from common.data.raw import BadFile, unreadable

HEIC, WEBP = (".heic", ".heif"), ".webp"
SUFFIXES = (".jpg", ".jpeg", ".png", WEBP, ".tif", ".tiff", *HEIC)
DEEP = ("I", "F")  # how the modes of more than 8 bits begin: Pillow would cut these off at 255

Photo = UInt8[np.ndarray, "height width 3"]


def read_photo(path: Path) -> Photo:
    """Return a photo turned as its EXIF orientation says, of several the first.

    Raises `BadFile` where it cannot be read, and for gray images of more than 8 bits.
    """
    try:
        if path.suffix.lower() in HEIC:
            return _heic(path.read_bytes())
        content = path.read_bytes() if path.suffix.lower() == WEBP else content_of(path)
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(DEEP):
                raise BadFile("has more than 8 bits a pixel; save it with 8")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except BadFile:
        raise
    except Exception as error:  # as many kinds of error as there are ways to damage a photo
        raise unreadable(error) from None


def _heic(content: bytes) -> Photo:
    try:
        import pillow_heif
    except ImportError:
        raise BadFile("is HEIC: `just install --extra heic`, or save it as JPEG") from None
    image = pillow_heif.read_heif(io.BytesIO(content)).to_pillow()  # upright already
    return np.asarray(image.convert("RGB"))
