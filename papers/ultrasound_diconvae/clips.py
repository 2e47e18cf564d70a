"""Users' own ultrasound as gray frames of 8 bits: images, and DICOM files of one frame or many.

What a DICOM file shows on a screen is what counts here: palettes and colors become gray, windows
are applied, and MONOCHROME1 is turned around. Of its header nothing is read but `TAGS`, so that
nothing in it that names a patient can come into what is made of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing

from common.data.dicom import (
    SUFFIXES,
    begins_as_dicom,
    decoded,
    looked_up,
    padding_of,
    tags_of,
)
from common.data.image_files import read_image
from common.data.images import Window
from common.data.raw import BadFile, unreadable
from common.data.scans import in_8_bits
from common.data.user_files import TIFF, Kinds
from papers.ultrasound_diconvae.image import gray

JPEG = (".jpg", ".jpeg")
COLORS = [
    f"{segmented}{color}PaletteColorLookupTable{part}"
    for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    for color in ("Red", "Green", "Blue")
]
TAGS = [
    *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"),
    *("PlanarConfiguration", "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "VOILUTSequence"),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("SequenceOfUltrasoundRegions", "PixelSpacing", "ImagerPixelSpacing"),
    *COLORS,
]
TISSUE, TWO_D, CENTIMETERS = 1, 1, 3  # DICOM's codes of regions

Frames = UInt8[np.ndarray, "frames height width"]


@dataclass(frozen=True)
class Clip:
    """Frames of one file, 0 to 255; the part of them that shows tissue; and a pixel's size."""

    frames: Frames
    tissue: Window
    mm: tuple[float, float] | None = None  # height and width; None where nobody says


KINDS = Kinds(
    (".png", *TIFF, *JPEG, *SUFFIXES),
    made=("_denoised", "_mask", "_overlay"),
    nameless=begins_as_dicom,
)


def read(file: Path) -> Clip:
    """Return what an image or a DICOM file shows, or raise `BadFile`."""
    end = KINDS.suffix(file).lower()
    if end in SUFFIXES or not end:
        return _read_dicom(file)
    image = gray(read_image(file))
    return Clip(_shown(image[None]), _whole(*image.shape))


def _read_dicom(file: Path) -> Clip:
    dataset = tags_of(file, TAGS)
    try:
        if "PixelData" not in dataset:
            raise BadFile("is a DICOM file without pixels, such as a report; give images")
        stored = list(decoded(dataset, "its frames as PNG"))
        images = np.stack([_gray(frame, dataset) for frame in stored])
        if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
            return Clip(_shown(images), *_geometry(dataset))
        padding = np.stack([padding_of(frame, dataset) for frame in stored])
        inside = images[~padding]
        frames = _shown(np.where(padding, inside.min() if inside.size else 0, images))
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            frames = 255 - frames
        return Clip(np.where(padding, 0, frames).astype(np.uint8), *_geometry(dataset))
    except BadFile:
        raise
    except Exception as error:  # pydicom and its decoders each raise their own for a damaged file
        raise unreadable(error) from None


def _gray(frame: np.ndarray, dataset: Dataset) -> Shaped[np.ndarray, "height width"]:
    """Return a frame as one channel: of 8 bits where it has them or the file says a window."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colors = apply_color_lut(frame, dataset)
        excess = dataset.RedPaletteColorLookupTableDescriptor[2] - 8  # bits
        return gray((colors >> excess).astype(np.uint8))
    if dataset.SamplesPerPixel > 1:
        return gray(frame)
    values = apply_modality_lut(frame, dataset)
    if "VOILUTSequence" in dataset:
        return np.rint(255 * looked_up(values, dataset.VOILUTSequence[0])).astype(np.uint8)
    if "WindowWidth" in dataset and "WindowCenter" in dataset:
        ends = np.array([-np.inf, np.inf])  # what is below the window, and what is above
        low, high = apply_windowing(ends, dataset)
        windowed = apply_windowing(values, dataset)
        return np.rint((windowed - low) * (255 / (high - low))).astype(np.uint8)
    return frame if np.array_equal(values, frame) else values


def _shown(images: Shaped[np.ndarray, "frames height width"]) -> Frames:
    """Return 8 bits as they are, others scaled to them; raises `BadFile` for what is no number."""
    if images.dtype.kind not in "buif" or not np.isfinite(images).all():
        raise BadFile(f"holds {images.dtype}, or values that are not finite")
    return in_8_bits(images[..., None])[..., 0]


def _geometry(dataset: Dataset) -> tuple[Window, tuple[float, float] | None]:
    """Return the only region of 2-D tissue, or all of the image, and the pixel's size in mm."""
    regions = [
        region
        for region in dataset.get("SequenceOfUltrasoundRegions", [])
        if region.get("RegionSpatialFormat") == TWO_D and region.get("RegionDataType") == TISSUE
    ]
    window, mm = _whole(dataset.Rows, dataset.Columns), None
    if len(regions) == 1:
        window, mm = _box(regions[0], window), _centimeters(regions[0])
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        sides = np.atleast_1d(np.asarray(dataset.get(name, ()), float))
        mm = mm or (_size(*sides) if len(sides) == 2 else None)
    return window, mm


def _box(region: Dataset, whole: Window) -> Window:
    """Return a region's rows and columns; all of them where it does not lie in the image."""
    rows = slice(region.RegionLocationMinY0, region.RegionLocationMaxY1 + 1)
    columns = slice(region.RegionLocationMinX0, region.RegionLocationMaxX1 + 1)
    for part, all_of in zip((rows, columns), whole, strict=True):
        if not 0 <= part.start < part.stop <= all_of.stop:
            return whole
    return rows, columns


def _centimeters(region: Dataset) -> tuple[float, float] | None:
    units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
    if units != (CENTIMETERS, CENTIMETERS):
        return None
    return _size(*(10 * abs(region.get(f"PhysicalDelta{axis}") or 0.0) for axis in "YX"))


def _size(height: float, width: float) -> tuple[float, float] | None:
    size = float(height), float(width)  # plain ones, not pydicom's
    return size if np.isfinite(size).all() and min(size) > 0 else None


def _whole(rows: int, columns: int) -> Window:
    return slice(0, rows), slice(0, columns)
