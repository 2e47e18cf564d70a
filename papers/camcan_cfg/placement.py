"""Slices of a head on the grid of the published layout, however the head was scanned.

Slice number n means z = 2 n - 72 mm of the MNI152 space. A volume whose header says that it lies
in a template's space is taken at its word. Of all others the header says distances and directions
only, from wherever the scanner had its middle, so the head itself is looked for: its crown comes
to z = 90 mm, its middle, above the eyes, to that of the grid. Where the crown is not shown, the
volume's middle may come to the grid's, as in the source. The head is neither turned nor scaled:
a level is meant within about a centimeter, the spread of adults' heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.nifti1 import Nifti1Image
from nibabel.processing import resample_from_to
from nibabel.spaces import vox2out_vox
from nibabel.spatialimages import SpatialImage
from scipy import ndimage
from skimage.filters import threshold_otsu

from common.data.raw import BadFile
from papers.camcan_cfg.layout import CROWN, MIDDLE

SIDE = 2.0  # mm, of the grid's voxels
# FSL's MNI152 grid of 2 mm: the first axis leads to the left, as the source's arrays do.
GRID = np.array([[-SIDE, 0, 0, 90], [0, SIDE, 0, -126], [0, 0, SIDE, -72], [0, 0, 0, 1]])
ROWS, COLUMNS = 91, 109
TEMPLATES = (3, 4)  # NIfTI's codes of Talairach's and of MNI152's space
COARSEST = 4.0  # mm: a voxel's side, from which two levels of the grid are one slice
SMALLEST = 500.0  # mm²: a smaller part of the head is not yet its crown
ABOVE_EYES = 60.0  # mm below the crown, where neither nose nor neck counts
WIDTHS, LENGTHS = (90.0, 220.0), (120.0, 260.0)  # mm, of heads there, children's too


@dataclass(frozen=True)
class Placed:
    """Slices of the grid [slices left back-to-front], and whether the header said the space."""

    slices: Float[np.ndarray, "slices 91 109"]
    by_header: bool


def place(
    volume: Nifti1Image,
    numbers: Int[np.ndarray, " slices"],
    levels: Literal["head", "middle"] = "head",
) -> Placed:
    """Return the slices of these numbers, or raise `BadFile`.

    `levels` says what is looked for where the header does not say a template's space. `volume` is
    one of `common.data.volumes.read_placed`. Finer voxels are smoothed to the grid's, values
    between voxels are linear, and what lies outside of the volume is 0.
    """
    sides = voxel_sizes(volume.affine)
    if max(sides) > COARSEST:
        size = " x ".join(f"{side:.3g}" for side in sides)
        raise BadFile(f"has voxels of {size} mm, expected sides of at most {COARSEST:g} mm")
    smooth = _smoothed(volume)
    if by_header := int(volume.header["sform_code"]) in TEMPLATES:
        shift = np.zeros(3)
    else:
        shift = _shift(smooth) if levels == "head" else _middle(smooth)
    _check_levels(smooth, numbers, shift)
    target = GRID.copy()
    target[:3, 3] = apply_affine(GRID, [0, 0, numbers[0]]) + shift
    grid = resample_from_to(smooth, ((ROWS, COLUMNS, len(numbers)), target), order=1)
    return Placed(np.moveaxis(np.asarray(grid.dataobj, np.float32), 2, 0), by_header)


def _smoothed(volume: SpatialImage) -> SpatialImage:
    """Return a volume with what voxels of `SIDE` cannot show smoothed away, in each direction."""
    ratios = np.maximum(1, SIDE / voxel_sizes(volume.affine))
    widths = np.sqrt(ratios**2 - 1) / np.sqrt(8 * np.log(2))  # full width at half maximum: a voxel
    smooth = ndimage.gaussian_filter(np.asarray(volume.dataobj), widths)
    return type(volume)(smooth, volume.affine)


def _middle(volume: SpatialImage) -> Float[np.ndarray, " 3"]:
    """Return what leads from the template's space to the volume's, in mm, if both share a middle.

    The middle slice's number is that of the source: half the number of slices, rounded down.
    """
    center = apply_affine(volume.affine, (np.array(volume.shape) - 1) / 2)
    up = int(np.abs(volume.affine[2, :3]).argmax())
    lift = 0.0 if volume.shape[up] % 2 else voxel_sizes(volume.affine)[up] / 2
    middle = apply_affine(GRID, [(ROWS - 1) / 2, (COLUMNS - 1) / 2, MIDDLE])
    return center + np.array([0, 0, lift]) - middle


def _shift(volume: SpatialImage) -> Float[np.ndarray, " 3"]:
    """Return what leads from the template's space to the volume's, in mm, found from the head."""
    shape, affine = vox2out_vox((volume.shape, volume.affine), (SIDE,) * 3)
    upright = resample_from_to(volume, (shape, affine), order=1)
    head = _head(np.asarray(upright.dataobj))
    areas = head.sum((0, 1)) * SIDE**2
    crown = int(np.flatnonzero(areas >= SMALLEST)[-1])
    if crown == len(areas) - 1:
        raise BadFile(
            "ends below the crown of the head, which tells its levels; register it to MNI152, or "
            "take the volume's middle with --set data.levels=middle"
        )
    upper = head[:, :, max(0, crown - round(ABOVE_EYES / SIDE)) : crown + 1]
    middle, extent = zip(*(_along(upper, axis) for axis in (0, 1)), strict=True)
    for what, size, (low, high) in zip(("wide", "long"), extent, (WIDTHS, LENGTHS), strict=True):
        if not low <= size <= high:
            raise BadFile(
                f"shows a head {size:.0f} mm {what}, expected {low:g} to {high:g}; check the size "
                "of its voxels"
            )
    found = apply_affine(affine, [*middle, crown])
    return found - apply_affine(GRID, [(ROWS - 1) / 2, (COLUMNS - 1) / 2, CROWN])


def _head(voxels: Float[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the largest connected part that is brighter than air."""
    if voxels.min() == voxels.max():
        raise BadFile(f"shows nothing: all of it is {voxels.min():g}")
    regions, count = ndimage.label(voxels > threshold_otsu(voxels) / 2)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    head = regions == 1 + sizes.argmax()
    if head.sum((0, 1)).max() * SIDE**2 < SMALLEST:
        raise BadFile("shows no head")
    return head


def _along(head: Bool[np.ndarray, "x y z"], axis: int) -> tuple[float, float]:
    """Return the middle of the head along an axis, in voxels, and its extent in mm."""
    other = tuple(one for one in range(3) if one != axis)
    first, last = np.flatnonzero(head.any(other))[[0, -1]]
    return (first + last) / 2, float(last - first + 1) * SIDE


def _check_levels(
    volume: SpatialImage, numbers: Int[np.ndarray, " slices"], shift: Float[np.ndarray, " 3"]
) -> None:
    """Raise `BadFile` unless the volume reaches from the lowest to the highest level."""
    corners = np.array(np.meshgrid(*([-0.5, count - 0.5] for count in volume.shape))).reshape(3, -1)
    heights = apply_affine(volume.affine, corners.T)[:, 2] - shift[2]
    low, high = (heights[[heights.argmin(), heights.argmax()]] - GRID[2, 3]) / SIDE
    if low > numbers[0] or high < numbers[-1]:
        raise BadFile(
            f"reaches from level {max(0, np.ceil(low)):.0f} to {np.floor(high):.0f}, "
            f"{numbers[0]} to {numbers[-1]} are used; leave it out, or set data.slices"
        )
