"""What a viewer shows of gray DICOM pixels: lookup tables and windows, checked and applied."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_windowing

from common.data.raw import BadFile

MODALITY = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
TAGS = (
    *MODALITY,
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PresentationLUTShape"),
)
LARGEST = 1e9  # number of a header that says how gray values are shown
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}

Values = Float[np.ndarray, "height width"]


def check_display(dataset: Dataset) -> None:
    """Raise `BadFile` where the header says nothing sensible of how gray values are shown."""
    slope, intercept = (float(dataset.get(f"Rescale{name}", 1)) for name in ("Slope", "Intercept"))
    if not _is_sensible(slope, intercept) or not slope:
        raise BadFile(
            f"has RescaleSlope {slope:g} and RescaleIntercept {intercept:g}; correct these"
        )
    if _has_window(dataset):
        center, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
        function = dataset.get("VOILUTFunction", FUNCTIONS[0])
        if function not in FUNCTIONS:
            raise BadFile(f"has VOILUTFunction {function}, expected {', '.join(FUNCTIONS)}")
        least = 1 if function == FUNCTIONS[0] else 0
        if not _is_sensible(center, width) or width < least or not width:
            raise BadFile(f"has WindowCenter {center:g} and WindowWidth {width:g}; correct these")
    kind, shape = dataset.PhotometricInterpretation, dataset.get("PresentationLUTShape")
    if shape and kind in SHAPES and shape != SHAPES[kind]:
        raise BadFile(f"says {kind} and PresentationLUTShape {shape}, which do not agree")


def values_of(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return stored pixels as the numbers that they stand for, by the header; else as they are."""
    if not any(name in dataset for name in MODALITY):
        return stored
    values = apply_modality_lut(stored, dataset)
    return stored if np.array_equal(values, stored) else values


def displayed(values: np.ndarray, dataset: Dataset) -> Values | None:
    """Return values from 0 to 1 as the lookup table or the first window of the header shows them.

    None where there is neither.
    """
    if "VOILUTSequence" in dataset:
        return _looked_up(values, dataset.VOILUTSequence[0])
    if _has_window(dataset):
        ends = np.array([-np.inf, np.inf])  # what is below the window, and what is above
        low, high = apply_windowing(ends, dataset)
        return (apply_windowing(values, dataset) - low) / (high - low)
    return None


def _has_window(dataset: Dataset) -> bool:
    return "WindowWidth" in dataset and "WindowCenter" in dataset


def _first(value: object) -> float:
    return float(np.atleast_1d(np.asarray(value, float))[0])


def _is_sensible(*numbers: float) -> bool:
    return all(abs(number) <= LARGEST for number in numbers)  # which no NaN is


def _looked_up(values: np.ndarray, table: Dataset) -> Values:
    """Return what a table of the header makes of the values, its largest number being 1.

    Not by pydicom, which wraps values beyond 255 where the table's own numbers have 8 bits.
    """
    if len(table.get("LUTDescriptor") or ()) != 3 or not table.get("LUTData"):
        raise BadFile("has a lookup table without numbers in its VOILUTSequence")
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count or 2**16
    entries = table.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, "<u2" if len(entries) >= 2 * count else np.uint8)
    if len(entries) < count or not 8 <= bits <= 16:
        raise BadFile(f"has {len(entries)} numbers in its VOILUTSequence, which says {count}")
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)
    return np.asarray(entries)[:count][places] / (2**bits - 1)
