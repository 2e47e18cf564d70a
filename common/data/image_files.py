"""Image files as viewers show them: PNG, JPEG, TIFF and others, told by their content.

Palettes are colors, white-is-zero is turned around, planes and an orientation are heeded, alpha is
dropped where nothing is transparent. What carries a checksum is checked. What cannot be honored is
refused with the reason.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageOps

from common.data.file_kinds import JPEG, PNG, TIFF, WEBP, kind_of, not_as_expected
from common.data.image_checks import check_jpeg, check_opaque, check_png, check_size
from common.data.raw import BadFile, unreadable
from common.data.tiff import read_tiff

warnings.filterwarnings("ignore", module="PIL")  # a damaged file has its error

KINDS = (PNG, JPEG, TIFF)
_CHECKS = {PNG: check_png, JPEG: check_jpeg}
_DEEP = b"\x10"  # bit depth of a PNG
_GRAY = ("1", "L", "LA", "La")
_NUMBERS = ("I;16", "I;16B", "I;16L", "I", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_COLORS = ("RGB", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX")
_KEY = "transparency"  # Pillow's name of a PNG's gray that shines through


def read_image(
    path: Path, kinds: Sequence[str] = KINDS
) -> Shaped[np.ndarray, "height width *channels"]:
    """Return the only image of a file of these kinds: gray [height width] or RGB [height width 3].

    Gray images keep the numbers that they have (8, 16 or 32 bits, float); colors have 8 bits, but
    those of a TIFF may have others. Raises `BadFile` for any other file, and a damaged one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(error) from None
    return image_of(content, kinds)


def image_of(
    content: bytes, kinds: Sequence[str] = KINDS
) -> Shaped[np.ndarray, "height width *channels"]:
    """Return the only image of the content of a file; see `read_image`."""
    kind = kind_of(content)
    if kind not in kinds:
        raise BadFile(not_as_expected(content, kinds))
    try:
        if kind in _CHECKS:
            _CHECKS[kind](content)
        return read_tiff(content, _by_pillow) if kind == TIFF else _by_pillow(content)
    except BadFile:
        raise
    except Image.DecompressionBombError:
        raise BadFile("says that it has more pixels than any scan; it is not read") from None
    except Exception as error:  # as many kinds of error as there are ways to damage an image
        raise unreadable(error) from None


def _by_pillow(content: bytes) -> Shaped[np.ndarray, "height width *channels"]:
    """Return what Pillow reads of a file: gray, or RGB of 8 bits."""
    if kind_of(content) == PNG and content[24:25] == _DEEP and content[25] != 0:
        raise BadFile(
            "has 16 bits and colors or transparency, of which 8 bits would be lost; save it as "
            "gray of 16 bits, or with 8 bits"
        )
    with Image.open(io.BytesIO(content), formats=(*KINDS, WEBP)) as opened:
        check_size(opened.width, opened.height, len(opened.getbands()))
        # Of a JPEG only one is shown: others belong to it, such as how light it is where.
        count = getattr(opened, "n_frames", 1)
        if count != 1 and kind_of(content) != JPEG:
            raise BadFile(f"holds {count} images; save each as a file of its own")
        image = ImageOps.exif_transpose(opened)
        gray = image.mode in _GRAY
        if image.mode in _NUMBERS and _KEY in image.info:
            shown = np.asarray(image) != image.info[_KEY]
            check_opaque(np.where(shown, 255, 0).astype(np.uint8))
        elif image.mode in _ALPHA or (image.mode not in _NUMBERS and image.has_transparency_data):
            image = image.convert("RGBA")
            check_opaque(np.asarray(image)[..., 3])
        if gray:
            return np.asarray(image.convert("L"))
        if image.mode in (*_COLORS, "RGBA"):
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)
