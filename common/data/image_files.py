"""Image files as viewers show them: PNG, JPEG and TIFF, told by their content.

Palettes are colors, white-is-zero is turned around, planes and an orientation are heeded, alpha is
dropped where nothing is transparent. What carries a checksum is checked. What cannot be honored is
refused with the reason.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Shaped
from PIL import Image, ImageOps, UnidentifiedImageError

from common.data.raw import BadFile, unreadable

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # a damaged file has its error
logging.getLogger("tifffile").propagate = False

PNG, JPEG, TIFF = "PNG", "JPEG", "TIFF"
MOST_NUMBERS = 2**28  # of an image: more than a scanner's film has, and a gigabyte as float32
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TIFF),
}
_OTHERS = {
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP file",
    b"\x1f\x8b": "a gzip file",
}
_POINTER, _DICOM = b"version https://git-lfs", b"DICM"
_WEB = ("<!doctype", "<html", "<?xml")
_PAGES = 64  # of a TIFF that are looked at
_DEEP = b"\x10"  # bit depth of a PNG
_GRAY = ("1", "L", "LA", "La")
_NUMBERS = ("I;16", "I;16B", "I;16L", "I", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_COLORS = ("RGB", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX")
_TURNS = {  # of height and width: mirrored, and then turned to the left so many times
    2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3),
    8: (False, 1),
}  # fmt: skip


def read_image(path: Path) -> Shaped[np.ndarray, "height width *channels"]:
    """Return the only image of a file: gray [height width] or RGB [height width 3].

    Gray images keep the numbers that they have (8, 16 or 32 bits, float); colors have 8 bits, but
    those of a TIFF may have others. Raises `BadFile` for any other file.
    """
    return image_of(content_of(path))


def image_of(content: bytes) -> Shaped[np.ndarray, "height width *channels"]:
    """Return the only image of the content of a file; see `read_image`."""
    try:
        return _tiff(content) if kind_of(content) == TIFF else _by_pillow(content)
    except BadFile:
        raise
    except UnidentifiedImageError:
        raise BadFile("cannot be read: it is damaged, or of a kind that is not read here") from None
    except Image.DecompressionBombError:
        raise BadFile("says that it has more pixels than any scan; it is not read") from None
    except Exception as error:  # as many kinds of error as there are ways to damage an image
        raise unreadable(error) from None


def content_of(path: Path, kinds: Sequence[str] = (PNG, JPEG, TIFF)) -> bytes:
    """Return the content of an image file of one of the kinds, whatever its name says.

    Raises `BadFile` where it cannot be read, is damaged as far as checksums and marks of the end
    tell, or is something else: what it is.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(error) from None
    kind = kind_of(content)
    if kind not in kinds:
        what = f"a {kind} image" if kind else _other(content)
        raise BadFile(f"cannot be read: it is {what}, expected {' or '.join(kinds)}")
    if kind == PNG:
        _check_png(content)
    elif kind == JPEG and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise BadFile("cannot be read: the JPEG image has no end; copy it again")
    return content


def kind_of(content: bytes) -> str:
    """Return PNG, JPEG or TIFF, or an empty text, by what a file begins with."""
    return next((kind for mark, kind in _BEGINNINGS.items() if content.startswith(mark)), "")


def _other(content: bytes) -> str:
    """Return in words what a file is that is no image which is read here."""
    if not content.strip(b"\0"):
        return "empty" if not content else "nothing but zeros"
    if content.startswith(_POINTER):
        return "a Git LFS pointer (fetch the file: git lfs pull)"
    if content[128:132] == _DICOM:
        return "a DICOM file"
    for mark, what in _OTHERS.items():
        if content.startswith(mark):
            return what
    head = content[:200].decode("latin-1").strip().lower()
    if head.startswith(_WEB):
        return "a web page (download the file again)"
    return "text" if head.isprintable() else "no known image"


def _check_png(content: bytes) -> None:
    """Raise `BadFile` unless every chunk has its CRC and the last one is the end."""
    for name, data, crc in _chunks(content):
        if zlib.crc32(data, zlib.crc32(name)) != crc:
            raise BadFile(f"cannot be read: the CRC of its chunk {_printable(name)} is wrong")


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


def _printable(name: bytes) -> str:
    return repr(name.decode("latin-1"))


def _by_pillow(content: bytes) -> Shaped[np.ndarray, "height width *channels"]:
    """Return what Pillow reads of a file: gray, or RGB of 8 bits."""
    if content.startswith(b"\x89PNG") and content[24:25] == _DEEP and content[25] != 0:
        raise BadFile(
            "has 16 bits and colors or transparency, of which 8 bits would be lost; save it as "
            "gray of 16 bits, or with 8 bits"
        )
    with Image.open(io.BytesIO(content), formats=(PNG, JPEG, TIFF)) as opened:
        _check_size(opened.width, opened.height, len(opened.getbands()))
        if (frames := getattr(opened, "n_frames", 1)) != 1:
            raise BadFile(f"holds {frames} images; save each as a file of its own")
        image = ImageOps.exif_transpose(opened)
        gray = image.mode in _GRAY
        if image.mode in _ALPHA or (image.mode not in _NUMBERS and image.has_transparency_data):
            image = image.convert("RGBA")
            _check_opaque(np.asarray(image)[..., 3])
        if gray:
            return np.asarray(image.convert("L"))
        if image.mode in (*_COLORS, "RGBA"):
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)


def _tiff(content: bytes) -> Shaped[np.ndarray, "height width *channels"]:
    """Return the image of a TIFF file, by tifffile or, where that cannot unpack it, by Pillow."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        some = islice(file.pages, _PAGES)  # of a damaged file there may be no end
        pages = [page for page in some if not getattr(page, "is_reduced", False)]
        if len(pages) != 1:
            several = f"{len(pages)} images" if len(pages) < _PAGES else "many images"
            raise BadFile(f"holds {several}; save each as a file of its own")
        page: tifffile.TiffPage = pages[0].aspage()
        _check_size(*page.shape)
        try:
            return _shown(page.asarray(), page)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
    try:
        return _by_pillow(content)
    except UnidentifiedImageError:
        packed = getattr(page.compression, "name", page.compression)
        raise BadFile(f"is packed by {packed}, which is not read here; save it unpacked") from None


def _shown(image: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Return the numbers of a page as its tags say that they are shown."""
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and image.ndim == 3:
        image = np.moveaxis(image, 0, -1)
    extra = len(page.extrasamples)
    if extra and image.ndim == 3:
        of_alpha = page.extrasamples[0] != tifffile.EXTRASAMPLE.UNSPECIFIED
        _check_opaque(image[..., -extra]) if of_alpha else None
        image = image[..., :-extra]
        image = image[..., 0] if image.shape[-1] == 1 else image
    image = _by_photometric(image, page)
    turn = page.tags.get("Orientation")
    mirrored, turns = _TURNS.get(int(turn.value) if turn else 1, (False, 0))
    image = image[:, ::-1] if mirrored else image
    return np.ascontiguousarray(np.rot90(image, turns))


def _by_photometric(image: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Return gray with black at zero, or RGB."""
    kinds, kind = tifffile.PHOTOMETRIC, page.photometric
    if kind in (kinds.MINISBLACK, kinds.MINISWHITE):
        if page.bitspersample == 1:
            image = np.where(image, 255, 0).astype(np.uint8)
        if kind == kinds.MINISBLACK:
            return image
        if image.dtype.kind != "u":
            raise BadFile("has its white at zero, and numbers with a sign; save it black at zero")
        top = 255 if page.bitspersample == 1 else 2**page.bitspersample - 1
        return (top - image).astype(image.dtype)
    if kind == kinds.RGB:
        return image
    if kind == kinds.PALETTE and page.colormap is not None:
        return np.moveaxis(page.colormap[:, image] >> 8, 0, -1).astype(np.uint8)
    name = getattr(kind, "name", kind)
    raise BadFile(f"holds colors as {name}, which are not read here; save it as RGB")


def _check_size(*shape: int) -> None:
    numbers = 1
    for side in shape:
        numbers *= side
    if numbers > MOST_NUMBERS:
        size = " x ".join(map(str, shape))
        raise BadFile(f"says that it has {size} numbers, more than {MOST_NUMBERS:,} are not read")


def _check_opaque(alpha: np.ndarray) -> None:
    """Raise `BadFile` where something shines through: what, nobody knows."""
    top = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    if (alpha != top).any():
        raise BadFile("is transparent in places; save it without transparency")
