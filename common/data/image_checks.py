"""What an image file tells by itself of damage, of its size, and of what cannot be shown."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from common.data.raw import BadFile

MOST_NUMBERS = 2**28  # of an image: more than a scanner's film has, and a gigabyte as float32
INFLATED = 1040  # times its size, what deflate packs becomes at most
ZEROS = bytes(32)  # what nothing that is packed ends with
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its type of color
_DEPTHS = (1, 2, 4, 8, 16)
_MARK = re.compile(rb"\xff+([^\x00\xff\x01\xd0-\xd7])", re.DOTALL)  # not within packed data


def check_png(content: bytes) -> None:
    """Raise `BadFile` unless every chunk has its CRC, the last one is the end, and all can fit."""
    packed = 0
    for name, data, crc in _chunks(content):
        if zlib.crc32(data, zlib.crc32(name)) != crc:
            shown = repr(name.decode("latin-1"))
            raise BadFile(f"cannot be read: the CRC of its chunk {shown} is wrong; copy it again")
        packed += len(data) if name == b"IDAT" else 0
    width, height = (int.from_bytes(content[place : place + 4]) for place in (16, 20))
    depth, color = content[24], content[25]
    if content[12:16] != b"IHDR" or depth not in _DEPTHS or color not in _CHANNELS:
        raise BadFile("cannot be read: its header is none of a PNG image; save it again")
    if height * width * depth * _CHANNELS[color] / 8 > INFLATED * packed:
        raise BadFile(f"says that it has {width}x{height} pixels, which its content cannot hold")


def check_jpeg(content: bytes) -> None:
    """Raise `BadFile` unless the marks of the image's parts lead to the mark of its end.

    What follows that, such as a film of a telephone, is none of the image.
    """
    place = 2
    while mark := _MARK.search(content, place):
        if mark[1] == b"\xd9":
            return
        place = mark.end() + int.from_bytes(content[mark.end() : mark.end() + 2])
    raise BadFile("cannot be read: the JPEG image has no end; copy it again")


def check_size(*shape: int) -> None:
    """Raise `BadFile` for more numbers than any scan has."""
    if math.prod(shape) > MOST_NUMBERS:
        size = " x ".join(map(str, shape))
        raise BadFile(f"says that it has {size} numbers, more than {MOST_NUMBERS:,} are not read")


def check_opaque(alpha: Shaped[np.ndarray, "height width"]) -> None:
    """Raise `BadFile` where something shines through: what, nobody knows."""
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    if (alpha != top).any():
        raise BadFile("is transparent in places; save it without transparency")


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield name, data and CRC of every chunk of a PNG file up to its end."""
    place, view = 8, memoryview(content)
    while place + 12 <= len(content):
        size = int.from_bytes(view[place : place + 4])
        name, end = content[place + 4 : place + 8], place + 8 + size
        if end + 4 > len(content):
            break
        yield name, view[place + 8 : end], int.from_bytes(view[end : end + 4])
        if name == b"IEND":
            return
        place = end + 4
    raise BadFile("cannot be read: the PNG image has no end; copy it again")
