"""What all readers of DICOM files have in common: tags, what is refused, and stored pixels."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from common.data.file_kinds import DICOM, HEAD, kind_of, not_as_expected
from common.data.raw import BadFile, unreadable

warnings.filterwarnings("ignore", module="pydicom")  # a damaged file has its error

SUFFIXES = (".dcm", ".dicom")
MOST_BYTES = 2**31  # of all frames: minutes of ultrasound
SHARED, FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
GROUPS = {  # where an enhanced file keeps what others have at the root
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}
PIXELS = (  # tags without which pixels cannot be read
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
OPTIONAL = (
    "NumberOfFrames", "PlanarConfiguration", "PixelData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)  # fmt: skip
PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
TAGS = (*PIXELS, *OPTIONAL, *PADDING)  # that `decoded` and `padding_of` read
_PACKED = {"YBR_RCT": 3, "YBR_ICT": 3, "YBR_PARTIAL_420": 3}  # kinds that packed pixels only have
_KINDS = {
    **{"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1},
    **{"RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3},
}
_NUMBERS = ("DS", "IS")  # kinds of values that are numbers, written as texts
_END = b"\xff\xd9"  # of a JPEG image, and of one of JPEG 2000
_RLE = 64  # times its size, what that packs becomes at most


def holds_dicom(file: Path) -> bool:
    """Return whether a file is DICOM by what it begins with, False where it cannot be read."""
    try:
        with file.open("rb") as content:
            return kind_of(content.read(HEAD)) == DICOM
    except OSError:
        return False


def begins_as_dicom(file: Path) -> bool:
    """Return whether a file is DICOM by what it begins with; a medium's directory is not meant.

    Nor is a file with a suffix of letters: it is of another kind, and not opened.
    """
    if file.suffix.lstrip(".").isalpha() or file.name == "DICOMDIR" or not file.is_file():
        return False
    return holds_dicom(file)


def tags_of(file: Path, tags: Sequence[str], stop_before_pixels: bool = False) -> Dataset:
    """Return those of the tags of a file that have a value, and nothing else of its header.

    Raises `BadFile` where it is no DICOM file or damaged.
    """
    try:
        _check_start(file)
        with _mapped(file) as content:
            _check_deflated(content)
            content.seek(0)
            dataset = pydicom.dcmread(
                cast(BinaryIO, content), specific_tags=[*tags, SHARED, FRAMES],
                stop_before_pixels=stop_before_pixels,
            )  # fmt: skip
            _check_values(dataset)
        _bring_to_root(dataset, tags)
        for empty in [element for element in dataset if element.is_empty]:
            del dataset[empty.tag]
    except BadFile:
        raise
    except Exception as error:  # pydicom raises its own for a damaged file
        raise unreadable(error) from None
    return dataset


def check_pixels(dataset: Dataset, what: str = "images") -> None:
    """Raise `BadFile` unless a file has pixels, and a header that says how they are stored."""
    if "PixelData" not in dataset:
        raise BadFile(f"is a DICOM file without pixels, such as a report; give {what}")
    if missing := [name for name in PIXELS if name not in dataset]:
        raise BadFile(f"cannot be read: its header has no {', '.join(missing)}")
    kind, samples = dataset.PhotometricInterpretation, dataset.SamplesPerPixel
    is_packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    kinds = {**_KINDS, **(_PACKED if is_packed else {})}
    if kinds.get(kind) != samples:
        raise BadFile(
            f"holds {kind} in {samples} channels, expected one of MONOCHROME1, MONOCHROME2, "
            "PALETTE COLOR, RGB, YBR_FULL, YBR_FULL_422; write it anew as one of these"
        )
    bits, stored = dataset.BitsAllocated, dataset.BitsStored
    if not 1 <= stored <= bits or bits not in (1, 8, 16, 32) or dataset.HighBit != stored - 1:
        raise BadFile(
            f"has {stored} of {bits} bits up to number {dataset.HighBit}, expected the lowest ones "
            "of 1, 8, 16 or 32"
        )
    _check_amount(dataset, is_packed)


def decoded(dataset: Dataset, otherwise: str) -> Iterator[np.ndarray]:
    """Yield the frames as stored, YBR as RGB, without the bits above those of the pixels.

    The header has passed `check_pixels`. Raises `BadFile` for what cannot be decoded here;
    `otherwise` says how else to give it.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    advice = f"write it uncompressed (gdcmconv --raw, dcmdjpeg), or {otherwise}"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadFile(f"holds {syntax.name}, which is not read here; {advice}") from None
    if not decoder.is_available:
        raise BadFile(f"holds {syntax.name}, for which no decoder is installed; {advice}")
    count, found = _frames(dataset), 0
    for frame, _ in decoder.iter_array(dataset):
        found += 1
        if found > count:
            break
        yield frame
    if found != count:
        raise BadFile(f"cannot be read: it has not the {count} frames that its header says")


def padding_of(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return which pixels [height width] lie around what was taken, and are none of it."""
    if "PixelPaddingValue" not in dataset:
        return np.zeros(stored.shape, bool)
    ends = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")]
    whole = [int(end if end is not None else ends[0]) for end in ends]
    first, last = sorted(int(np.int64(end).astype(stored.dtype)) for end in whole)
    return (stored >= first) & (stored <= last)


def _frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _check_amount(dataset: Dataset, is_packed: bool) -> None:
    """Raise `BadFile` where pixels are more than any scan has, or fewer than the header says."""
    frames, kind = _frames(dataset), dataset.PhotometricInterpretation
    shape = frames, int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    if min(shape) < 1:
        raise BadFile(f"cannot be read: its header says {shape} frames, rows, columns and channels")
    bits = math.prod(shape) * dataset.BitsAllocated
    if bits > 8 * MOST_BYTES:
        raise BadFile(f"says that it has {shape} pixels, more than are read; give a part of them")
    content, syntax = dataset.PixelData, dataset.file_meta.TransferSyntaxUID
    if is_packed:
        if syntax == RLELossless and bits > 8 * _RLE * len(content):
            raise BadFile(f"says that it has {shape} pixels, which its content cannot hold")
        if syntax in (*JPEGTransferSyntaxes, *JPEG2000TransferSyntaxes):
            _check_ends(content, frames)
        return
    if kind == "YBR_FULL_422":  # two pixels share their colors
        bits = bits * 2 // 3
    expected = -(-bits // 8)
    if not expected <= len(content) < expected + max(2, expected // frames // 4):
        raise BadFile(
            f"cannot be read: it has {len(content)} bytes of pixels, its header says {expected}"
        )


def _check_ends(content: bytes, frames: int) -> None:
    """Raise `BadFile` where a JPEG image has no mark of its end."""
    for frame in generate_frames(content, number_of_frames=frames):
        if not frame.rstrip(b"\0").endswith(_END):
            raise BadFile("cannot be read: an image in it has no end; copy it again")


@contextmanager
def _mapped(file: Path) -> Iterator[mmap]:
    """Yield a file of which no more is read than there is, whatever lengths its header says."""
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def _check_start(file: Path) -> None:
    """Raise `BadFile` where it is no DICOM file."""
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    if kind_of(head) != DICOM:
        reason = not_as_expected(head, (DICOM,))
        raise BadFile(f"{reason}; where it only lacks the preamble, dcmconv +F writes it anew")


def _check_deflated(content: mmap) -> None:
    """Raise `BadFile` where a deflated file would become larger than any scan."""
    meta = 144 + int.from_bytes(content[140:144], "little")  # where that ends, which is not packed
    if DeflatedExplicitVRLittleEndian.encode() not in content[:meta]:
        return
    inflate, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, content[meta:]
    while rest and not inflate.eof:
        size += len(inflate.decompress(rest, 2**20))
        rest = inflate.unconsumed_tail
        if size > MOST_BYTES:
            raise BadFile("unpacks to more than any scan has; it is not read")


def _check_values(dataset: Dataset) -> None:
    """Raise `BadFile` that names the tag whose value is not what the tag may hold."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            if element.VR in _NUMBERS and not element.is_empty:
                np.asarray(element.value, float)  # pydicom leaves what is none as a text
        except Exception:  # as many kinds of error as there are ways to damage a value
            name = pydicom.datadict.keyword_for_tag(tag) or tag
            raise BadFile(f"cannot be read: its {name} is not what that tag may hold") from None


def _bring_to_root(dataset: Dataset, tags: Sequence[str]) -> None:
    """Give an enhanced file, at its root, what its functional groups say of all frames alike.

    Raises `BadFile` where they say different things of different frames.
    """
    groups = [*dataset.get(FRAMES, []), *dataset.get(SHARED, [])]
    for sequence, names in GROUPS.items():
        for name in set(names).intersection(tags):
            found = [
                one[name] for group in groups for one in group.get(sequence, []) if name in one
            ]
            if any(element.value != found[0].value for element in found):
                raise BadFile(f"has frames of different {name}; give each as a file of its own")
            if found and name not in dataset:
                dataset.add(found[0])
    for name in (SHARED, FRAMES):
        if name in dataset:
            del dataset[name]
