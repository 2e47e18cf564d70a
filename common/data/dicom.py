"""What all readers of DICOM files have in common; what a file shows is each study's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder

from common.data.raw import BadFile, unreadable

SUFFIXES = (".dcm", ".dicom")


def begins_as_dicom(file: Path) -> bool:
    """Return whether a file is DICOM by what it begins with; a medium's directory is not meant."""
    if not file.is_file() or file.name == "DICOMDIR":
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
            file, specific_tags=list(tags), stop_before_pixels=stop_before_pixels
        )
        for empty in [element for element in dataset if element.is_empty]:
            del dataset[empty.tag]
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
