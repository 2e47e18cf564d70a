"""Gray films as PNG files whose bytes depend on nothing but the pixels.

A compressed PNG depends on the version of the library that compressed it, and so would its hash.
These are not compressed: a zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4), one filter
for all rows and no metadata. Films of one size are files of one length, by which nobody can tell
synthetic films from real ones.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from common.errors import InputError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FORM = struct.pack(">5B", 8, 0, 0, 0, 0)  # 8 bits, gray, not interlaced
_LONGEST = 0xFFFF  # of a stored block, in bytes
_ZLIB = b"\x78\x01"


def encoded(image: UInt8[np.ndarray, "height width"]) -> bytes:
    """Return a gray image, 0 to 255, as the content of a PNG file."""
    height, width = image.shape
    rows = np.pad(image, ((0, 0), (1, 0))).tobytes()  # before each row the filter, 0 for none
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">II", width, height) + _FORM),
            _chunk(b"IDAT", _stored(rows)),
            _chunk(b"IEND", b""),
        )
    )


def decoded(content: bytes, what: str) -> UInt8[np.ndarray, "height width"]:
    """Return the image in a PNG file of 8-bit gray pixels.

    Raises:
        InputError: `what`, the name of the file, is none.
    """
    shape(content, what)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's, of damaged files
        raise InputError(f"{what}: damaged PNG file ({error}); give the whole file") from None


def shape(content: bytes, what: str) -> tuple[int, int]:
    """Return height and width of the image in a PNG file of 8-bit gray pixels, by its header.

    Raises:
        InputError: `what`, the name of the file, is none.
    """
    header = content[len(_SIGNATURE) + 4 :][:17]  # after the length of the first chunk
    known = content.startswith(_SIGNATURE) and header[:4] == b"IHDR" and header[12:] == _FORM
    if not known:
        raise InputError(f"{what}: expected a PNG file of 8-bit gray pixels; convert it to one")
    width, height = struct.unpack(">II", header[4:12])
    return height, width


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _stored(content: bytes) -> bytes:
    """Return a zlib stream that holds `content` as it is."""
    stream = [_ZLIB]
    for start in range(0, len(content), _LONGEST):
        block = content[start : start + _LONGEST]
        last = start + _LONGEST >= len(content)
        stream += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*stream, struct.pack(">I", zlib.adler32(content))])
