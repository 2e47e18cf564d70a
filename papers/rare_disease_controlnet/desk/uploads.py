"""Films that users bring: nothing of a file is kept but the pixels of one film.

What a file is, it must be by its content; its name is shown and never opened. It is decoded only
if its header promises no more pixels than are admitted, one file at a time, and what comes out is a
plain array: whatever else the file held, such as a script or a patient's name, is gone.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageOps
from pydicom.filereader import read_file_meta_info

from common.data.dicom import tags_of
from common.data.file_kinds import DICOM, JPEG, PNG, kind_of
from common.data.raw import BadFile, unreadable
from common.errors import InputError
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.dicom import ENDS

NAME = 100  # characters of a file's name that are shown
_SUFFIX = {PNG: ".png", JPEG: ".jpg", DICOM: ".dcm"}
_DEEP = ("I", "F")  # how the modes of more than 8 bits begin: Pillow would cut these off at 255
_OTHERS = {  # how files begin that are brought by mistake, or by somebody who tries
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"RIFF": "a WebP image",
    b"PK": "a ZIP file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF file",
    b"<": "SVG, HTML or other text",
}
_EXPANDING = {  # transfer syntaxes in which a small file may become a very large one
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.8.1": "deflated",
    "1.2.840.10008.1.2.5": "run-length encoded",
}
_ALONE = threading.Lock()  # of who decodes: a large film takes hundreds of megabytes


def accept(content: bytes, name: str, limits: Limits) -> UInt8[np.ndarray, "side side"]:
    """Return the film in a PNG, JPEG or DICOM file as a square of 8 bits, as `gray_film` reads it.

    Args:
        content: of the file.
        name: that the user's machine gave it; of which errors show the harmless part.
        limits: how many bytes and pixels it may have.

    Raises:
        InputError: it is something else, damaged, too large, in color, or no film by its shape.
    """
    what = shown(name)
    if len(content) > limits.upload:
        size, most = len(content) / 2**20, limits.upload / 2**20
        raise InputError(f"{what}: has {size:.1f} MB, expected at most {most:g} MB; reduce it")
    try:
        kind = _kind(content)
        with _ALONE, TemporaryDirectory() as folder:
            file = Path(folder) / f"film{_SUFFIX[kind]}"
            file.write_bytes(content)
            _check_size(*(_size_of_dicom(file) if kind == DICOM else _size(content)), limits)
            if kind == PNG and content[24:25] == b"\x10":
                file.write_bytes(_of_8_bits(content))
            return gray_film.read(file)
    except BadFile as error:
        raise InputError(f"{what}: {error}") from None


def shown(name: str) -> str:
    """Return what may be shown of a file's name: its last part, without what is not printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:NAME].strip() or "the file"


def _kind(content: bytes) -> str:
    """Return what a file is by its first bytes, as `gray_film` will take it."""
    if (kind := kind_of(content)) in _SUFFIX:
        return kind
    start = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    found = [other for begin, other in _OTHERS.items() if start.startswith(begin)]
    told = found[0] if found else "of another kind" if content else "empty"
    raise BadFile(f"is {told}, expected a PNG, JPEG or DICOM file; save the film as one")


def _check_size(height: int, width: int, limits: Limits) -> None:
    if height * width > limits.side**2:
        raise BadFile(
            f"is {width}x{height}, expected at most {limits.side}x{limits.side} pixels; reduce it"
        )


def _size(content: bytes) -> tuple[int, int]:
    """Return height and width by the header; Pillow decodes nothing yet."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
            return opened.height, opened.width
    except Image.DecompressionBombError:
        raise BadFile("has far too many pixels; reduce it") from None
    except Exception as error:  # as many kinds of error as there are ways to damage an image
        raise unreadable(error) from None


def _size_of_dicom(file: Path) -> tuple[int, int]:
    """Return height and width by the header, of a file that reading does not make larger."""
    try:
        syntax = str(read_file_meta_info(file).get("TransferSyntaxUID", ""))
    except Exception as error:  # as many kinds of error as there are ways to damage a header
        raise unreadable(error) from None
    if how := _EXPANDING.get(syntax):
        raise BadFile(f"is {how} DICOM; write it uncompressed (gdcmconv --raw), or give it as PNG")
    header = tags_of(file, ["Rows", "Columns"], stop_before_pixels=True)
    try:
        return int(header.Rows), int(header.Columns)
    except (AttributeError, TypeError, ValueError):
        raise BadFile("is a DICOM file without pixels, such as a report; give films") from None


def _of_8_bits(content: bytes) -> bytes:
    """Return a PNG of 16 bits as one of 8: gray is stretched as that of DICOM without a window."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith(_DEEP):
                return png.encoded(_stretched(np.asarray(image)))
            file = io.BytesIO()  # of colors and transparency Pillow has read the upper 8 bits
            image.convert("RGB").save(file, "PNG")
            return file.getvalue()
    except BadFile:
        raise
    except Exception as error:  # as many kinds of error as there are ways to damage an image
        raise unreadable(error) from None


def _stretched(image: Shaped[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    low, high = np.percentile(image, ENDS)
    if not low < high:
        raise BadFile("is of one gray value, not a film")
    return np.rint(255 * np.clip((image - low) / (high - low), 0, 1)).astype(np.uint8)
