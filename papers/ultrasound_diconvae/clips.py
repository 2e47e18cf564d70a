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
from pydicom.pixels import apply_color_lut

from common.data import dicom, dicom_display
from common.data.dicom import SUFFIXES, begins_as_dicom
from common.data.file_kinds import DICOM
from common.data.image_files import KINDS as IMAGES
from common.data.image_files import read_image
from common.data.images import Window
from common.data.raw import BadFile, unreadable
from common.data.scans import check_intensities, in_8_bits
from common.data.user_files import TIFF, Kinds
from papers.ultrasound_diconvae.image import gray

JPEG = (".jpg", ".jpeg")
COLORS = [
    f"{segmented}{color}PaletteColorLookupTable{part}"
    for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    for color in ("Red", "Green", "Blue")
]
TAGS = [
    *dicom.TAGS,
    *dicom_display.TAGS,
    *("SequenceOfUltrasoundRegions", "PixelSpacing", "ImagerPixelSpacing"),
    *COLORS,
]
PIXEL = (1e-3, 10.0)  # mm: the shortest and the longest side of one that anybody measures
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
    made=("_denoised", "_mask", "_overlay", "_probability"),
    drawn=("_annotation",),
    nameless=begins_as_dicom,
)


def read(file: Path) -> Clip:
    """Return what an image or a DICOM file shows, whatever its name says, or raise `BadFile`."""
    if dicom.holds_dicom(file):
        return _read_dicom(file)
    image = gray(read_image(file, (*IMAGES, DICOM)))
    check_intensities(image)
    return Clip(_shown(image[None]), _whole(*image.shape))


def _read_dicom(file: Path) -> Clip:
    dataset = dicom.tags_of(file, TAGS)
    try:
        dicom.check_pixels(dataset)
        is_gray = dataset.PhotometricInterpretation.startswith("MONOCHROME")
        if is_gray:
            dicom_display.check_display(dataset)
        stored = list(dicom.decoded(dataset, "its frames as PNG"))
        frames = _grays(stored, dataset) if is_gray else _colors(stored, dataset)
        return Clip(frames, *_geometry(dataset))
    except BadFile:
        raise
    except Exception as error:  # pydicom and its decoders each raise their own for a damaged file
        raise unreadable(error) from None


def _grays(stored: list[np.ndarray], dataset: Dataset) -> Frames:
    """Return gray frames as the header shows them, padding black."""
    values = np.stack([_gray(frame, dataset) for frame in stored])
    padding = np.stack([dicom.padding_of(frame, dataset) for frame in stored])
    inside = values[~padding]
    lowest = inside.min() if inside.size else values.dtype.type(0)
    values = np.where(padding, lowest, values)
    if lowest < 0:  # with nothing said of how it is shown, the lowest value is black
        values = values - np.float64(lowest)
    frames = _shown(values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        frames = 255 - frames
    return np.where(padding, 0, frames).astype(np.uint8)


def _gray(frame: np.ndarray, dataset: Dataset) -> Shaped[np.ndarray, "height width"]:
    """Return a frame of 8 bits where it has them, or fewer, or the header says how it is shown."""
    values = dicom_display.values_of(frame, dataset)
    shown = dicom_display.displayed(values, dataset)
    if shown is None and values is frame and frame.dtype.kind == "u" and dataset.BitsStored <= 8:
        shown = frame / (2**dataset.BitsStored - 1)
    return values if shown is None else np.rint(255 * shown).astype(np.uint8)


def _colors(stored: list[np.ndarray], dataset: Dataset) -> Frames:
    """Return frames of a palette or of three channels as gray of 8 bits."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        excess = dataset.RedPaletteColorLookupTableDescriptor[2] - 8  # bits
        stored = [apply_color_lut(frame, dataset) >> excess for frame in stored]
    elif dataset.BitsStored > 8:
        stored = [frame >> (dataset.BitsStored - 8) for frame in stored]
    return np.stack([gray(frame.astype(np.uint8)) for frame in stored])


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
    """Return a pixel's size, None where it is none that anybody measures."""
    size = float(height), float(width)  # plain ones, not pydicom's
    return size if all(PIXEL[0] <= side <= PIXEL[1] for side in size) else None


def _whole(rows: int, columns: int) -> Window:
    return slice(0, rows), slice(0, columns)
