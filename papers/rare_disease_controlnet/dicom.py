"""Chest films as DICOM: what a viewer shows of them, and whose they are, and nothing else.

What is shown on a screen counts: lookup tables and windows are applied, MONOCHROME1 is turned
around, padding is black, and a film stored mirrored or upside down comes as it is looked at: the
patient's right on the image's left. Of the header nothing is read but `IDENTITY` and `TAGS`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from pydicom.dataset import Dataset

from common.data import dicom, dicom_display
from common.data.dicom import SUFFIXES, begins_as_dicom, check_pixels, decoded, padding_of, tags_of
from common.data.dicom_display import check_display, displayed, values_of
from common.data.raw import BadFile, unreadable

IDENTITY = ["PatientID", "ViewPosition"]
TAGS = [
    *("Modality", "ViewPosition", "PatientOrientation", "BurnedInAnnotation"),
    *dicom.TAGS,
    *dicom_display.TAGS,
]
MODALITIES = ("CR", "DX", "RG", "DR")  # the last one is not DICOM's, but written
FRONTAL = ("AP", "PA")
ENDS = (0.1, 99.9)  # percentiles that become black and white where the file gives no window


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its suffix, or without one by what it begins with."""
    return path.suffix.lower() in SUFFIXES or begins_as_dicom(path)


def identity(path: Path) -> tuple[str, str]:
    """Return the patient's id, and the view if it is frontal, empty where the header has none.

    Raises `BadFile` where it is no DICOM file.
    """
    header = tags_of(path, IDENTITY, stop_before_pixels=True)
    view = str(header.get("ViewPosition", "")).upper()
    return str(header.get("PatientID", "")).strip(), view if view in FRONTAL else ""


def read(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Return a frontal film as 8 bits, air dark, as a viewer shows it.

    The window is the file's first one, or its lookup table; where there is neither, 8 bits stay as
    they are and more are stretched between two percentiles. Raises `BadFile` for what is no gray
    frontal film, cannot be decoded here, or says that it has burned-in annotations.
    """
    dataset = tags_of(path, TAGS)
    try:
        _check(dataset)
        stored = next(decoded(dataset, "as PNG"))  # without the drawings that old films hold above
        padding = padding_of(stored, dataset)
        shown = _shown(stored, padding, dataset)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            shown = 1 - shown
        shown = np.where(padding, 0, shown)
        return _as_looked_at(np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8), dataset)
    except BadFile:
        raise
    except Exception as error:  # pydicom and its decoders each raise their own for a damaged file
        raise unreadable(error) from None


def _check(dataset: Dataset) -> None:
    """Raise `BadFile` for what is no gray frontal film, and for burned-in annotations."""
    modality = dataset.get("Modality", MODALITIES[0])
    if modality not in MODALITIES:
        raise BadFile(f"is of modality {modality}, expected one of {', '.join(MODALITIES)}")
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        raise BadFile("has burned-in annotations, which may name the patient; remove them first")
    view = str(dataset.get("ViewPosition", FRONTAL[0])).upper()
    if view not in FRONTAL:
        raise BadFile(f"is a view {view}, expected {' or '.join(FRONTAL)}; leave it out")
    check_pixels(dataset, "films")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise BadFile(f"holds {dataset.NumberOfFrames} frames, a film is one")
    kind = dataset.PhotometricInterpretation
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise BadFile(f"holds {kind}, a film is MONOCHROME1 or MONOCHROME2")
    check_display(dataset)


def _shown(
    stored: np.ndarray, padding: np.ndarray, dataset: Dataset
) -> Float[np.ndarray, "height width"]:
    """Return the film from 0 (what the display's lowest value is) to 1."""
    values = values_of(stored, dataset)
    shown = displayed(values, dataset)
    if shown is not None:
        return shown
    if dataset.BitsStored <= 8 and not dataset.PixelRepresentation:
        return stored / (2**dataset.BitsStored - 1)
    inside = values[~padding]
    low, high = np.percentile(inside, ENDS) if inside.size else (0.0, 0.0)
    if not low < high:
        raise BadFile("is of one gray value, not a film")
    return (values - low) / (high - low)


def _as_looked_at(film: np.ndarray, dataset: Dataset) -> UInt8[np.ndarray, "height width"]:
    """Return the film turned so that columns lead to the patient's left and rows to the feet."""
    right, down = (part[:1] for part in dataset.get("PatientOrientation", ("L", "F")))
    if right not in ("L", "R") or down not in ("F", "H"):
        raise BadFile(f"has PatientOrientation {right}, {down}, which is not frontal; leave it out")
    return film[:: 1 if down == "F" else -1, :: 1 if right == "L" else -1].copy()
