"""TIFF images as their tags say that they are shown."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from itertools import islice

import numpy as np
import tifffile
from jaxtyping import Shaped

from common.data.image_checks import ZEROS, check_opaque, check_size
from common.data.raw import BadFile

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # a damaged file has its error
logging.getLogger("tifffile").propagate = False

Image = Shaped[np.ndarray, "height width *channels"]

_PHOTOMETRIC, _PACKED = tifffile.PHOTOMETRIC, tifffile.COMPRESSION
_GRAY = (_PHOTOMETRIC.MINISBLACK, _PHOTOMETRIC.MINISWHITE)
_READ = (*_GRAY, _PHOTOMETRIC.RGB, _PHOTOMETRIC.PALETTE)
_INKS = 4
_PLANES = "SYX"  # tifffile's name of channels stored one after the other
_AXES = ("YX", "YXS", _PLANES)
_PAGES = 64  # that are looked at
_TURNS = {  # of height and width: mirrored, and then turned to the left so many times
    2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3),
    8: (False, 1),
}  # fmt: skip


def read_tiff(content: bytes, otherwise: Callable[[bytes], Image]) -> Image:
    """Return the only image of a TIFF file: gray with black at zero, or RGB.

    `otherwise` reads what tifffile cannot unpack. Raises `BadFile` for several images, colors of
    other kinds, and what shines through; tifffile's errors where it is damaged.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = _only_page(file)
        check_size(*page.shape)
        _check_kind(page)
        if page.compression != _PACKED.NONE:
            _check_ends(page, content)
        try:
            if page.photometric == _PHOTOMETRIC.SEPARATED:
                return otherwise(content)
            return _shown(page.asarray(), page)
        except (ValueError, NotImplementedError) as error:
            if "imagecodecs" not in str(error):
                raise
        return _unpacked(page, content, otherwise)


def _unpacked(
    page: tifffile.TiffPage, content: bytes, otherwise: Callable[[bytes], Image]
) -> Image:
    """Return what `otherwise` reads, or raise `BadFile` for what it is known to show wrongly."""
    kind, packed = page.photometric, _name(page.compression)
    if page.bitspersample > 8 and (page.samplesperpixel > 1 or kind == _PHOTOMETRIC.MINISWHITE):
        bits = f"{page.bitspersample} bits, {_name(kind)} by {packed}"
        raise BadFile(f"has {bits}, which is not read here; save it unpacked, with 8 or 16 bits")
    try:
        return otherwise(content)
    except OSError:  # which Pillow raises for what it cannot unpack either
        how = f"damaged, or packed by {packed} in a way that is not read here"
        raise BadFile(f"is {how}; save it unpacked") from None


def _only_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    some = islice(file.pages, _PAGES)  # of a damaged file there may be no end
    pages = [page for page in some if not getattr(page, "is_reduced", False)]
    if not pages:
        raise BadFile("cannot be read: it holds no image, or its end is missing; copy it again")
    count = len(pages) if len(pages) < _PAGES else "many"
    if len(pages) == 1:
        page: tifffile.TiffPage = pages[0].aspage()
        count = int(np.prod(file.series[0].shape)) // max(1, int(np.prod(page.shape)))
        if page.is_volumetric:
            count = page.imagedepth
        if count <= 1:
            return page
    raise BadFile(f"holds {count} images; save each as a file of its own")


def _check_kind(page: tifffile.TiffPage) -> None:
    """Raise `BadFile` for colors that are not read here."""
    kind, packed = page.photometric, page.compression
    by_others: dict[int, bool] = {
        _PHOTOMETRIC.YCBCR: packed in (_PACKED.JPEG, _PACKED.OJPEG),
        _PHOTOMETRIC.SEPARATED: page.samplesperpixel == _INKS and page.bitspersample == 8,
    }
    if kind not in _READ and not by_others.get(kind):
        raise BadFile(f"holds colors as {_name(kind)}, which are not read here; save it as RGB")
    if kind == _PHOTOMETRIC.PALETTE and page.colormap is None:
        raise BadFile("has a palette without colors; save it as RGB")
    channels = page.samplesperpixel - len(page.extrasamples)
    if kind in _READ and channels != (3 if kind == _PHOTOMETRIC.RGB else 1):
        raise BadFile(f"has {channels} channels as {_name(kind)}; save it as gray or RGB")
    if page.axes not in _AXES:
        raise BadFile(f"has the shape {page.shape}; save it as one image, gray or RGB")


def _check_ends(page: tifffile.TiffPage, content: bytes) -> None:
    """Raise `BadFile` where a packed part ends in zeros, or beyond the end of the file."""
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        part = content[start : start + count]
        if len(part) < count or (len(part) > 2 * len(ZEROS) and part.endswith(ZEROS)):
            raise BadFile("cannot be read: a part of it is missing or zero; copy it again")


def _shown(image: np.ndarray, page: tifffile.TiffPage) -> Image:
    """Return the numbers of a page as its tags say that they are shown."""
    if page.axes == _PLANES:
        image = np.moveaxis(image, 0, -1)
    if page.extrasamples and image.ndim == 3:
        image = _without_extra(image, page)
    turn = page.tags.get("Orientation")
    mirrored, turns = _TURNS.get(int(turn.value) if turn else 1, (False, 0))
    image = _by_photometric(image, page)
    image = image[:, ::-1] if mirrored else image
    return np.ascontiguousarray(np.rot90(image, turns))


def _without_extra(image: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Return the channels that are shown, or raise `BadFile` where others say something."""
    shown, extra = np.split(image, [image.shape[-1] - len(page.extrasamples)], -1)
    if page.extrasamples[0] != tifffile.EXTRASAMPLE.UNSPECIFIED:
        check_opaque(extra[..., 0])
        extra = extra[..., 1:]
    if (extra != extra[:1, :1]).any():
        channels, few = image.shape[-1], shown.shape[-1]
        raise BadFile(f"has {channels} channels, of which {few} are shown; save these alone")
    return shown[..., 0] if shown.shape[-1] == 1 else shown


def _by_photometric(image: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Return gray with black at zero, or RGB; of fewer bits than 8 as 8."""
    bits = page.bitspersample
    if page.photometric == _PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.moveaxis(page.colormap[:, image] >> 8, 0, -1).astype(np.uint8)
    if page.photometric == _PHOTOMETRIC.MINISWHITE:
        if image.dtype.kind not in "bu":
            raise BadFile("has its white at zero, and numbers with a sign; save it black at zero")
        image = image ^ image.dtype.type(2**bits - 1)  # which is that less the image
    if bits < 8:
        return np.rint(image.astype(np.float32) * (255 / (2**bits - 1))).astype(np.uint8)
    return image


def _name(number: int) -> str:
    """Return the name of a photometric interpretation or compression, its number if unknown."""
    return str(getattr(number, "name", number))
