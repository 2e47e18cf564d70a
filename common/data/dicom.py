"""What all readers of DICOM files have in common; what a file shows is each study's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Bool, Float
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder

from common.data.raw import BadFile, unreadable

SUFFIXES = (".dcm", ".dicom")
SHARED, FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
GROUPS = {  # where an enhanced file keeps what others have at the root
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}


def begins_as_dicom(file: Path) -> bool:
    """Return whether a file is DICOM by what it begins with; a medium's directory is not meant.

    Nor is a file with a suffix of letters: it is of another kind, and not opened.
    """
    if file.suffix.lstrip(".").isalpha() or file.name == "DICOMDIR" or not file.is_file():
        return False
    try:
        with file.open("rb") as content:
            return content.read(132)[128:] == b"DICM"
    except OSError:
        return False


def tags_of(file: Path, tags: Sequence[str], stop_before_pixels: bool = False) -> Dataset:
    """Return those of the tags of a file that have a value, and nothing else of its header.

    Raises `BadFile` where it is no DICOM file or damaged.
    """
    try:
        dataset = pydicom.dcmread(
            file, specific_tags=[*tags, SHARED, FRAMES], stop_before_pixels=stop_before_pixels
        )
        _bring_to_root(dataset, tags)
        for empty in [element for element in dataset if element.is_empty]:
            del dataset[empty.tag]
    except BadFile:
        raise
    except InvalidDicomError:
        raise BadFile("is no DICOM file, or one without the DICOM preamble") from None
    except Exception as error:  # pydicom raises its own for a damaged file
        raise unreadable(error) from None
    return dataset


def decoded(dataset: Dataset, otherwise: str) -> Iterator[np.ndarray]:
    """Yield the frames as stored, YBR as RGB, without the bits above those of the pixels.

    Raises `BadFile` for what cannot be decoded here; `otherwise` says how else to give it.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    advice = f"write it uncompressed (gdcmconv --raw, dcmdjpeg), or {otherwise}"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadFile(f"holds {syntax.name}, which is not read here; {advice}") from None
    if not decoder.is_available:
        raise BadFile(f"holds {syntax.name}, for which no decoder is installed; {advice}")
    for frame, _ in decoder.iter_array(dataset):
        yield frame


def padding_of(stored: np.ndarray, dataset: Dataset) -> Bool[np.ndarray, "height width"]:
    """Return which pixels lie around the film and are none of it."""
    if "PixelPaddingValue" not in dataset:
        return np.zeros(stored.shape, bool)
    ends = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")]
    first, last = sorted(int(end if end is not None else ends[0]) for end in ends)
    return (stored >= first) & (stored <= last)


def looked_up(values: np.ndarray, table: Dataset) -> Float[np.ndarray, "height width"]:
    """Return what a table of the header makes of the values, its largest number being 1.

    Not by pydicom, which wraps values beyond 255 where the table's own numbers have 8 bits.
    """
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count or 2**16
    entries = table.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, "<u2" if len(entries) >= 2 * count else np.uint8)
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)
    return np.asarray(entries)[:count][places] / (2**bits - 1)


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
