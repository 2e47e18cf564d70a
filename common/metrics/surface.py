"""Distances between the surfaces of two segmentations, in mm, on the host.

A mask's surface are its pixels with a face on the background or on the image's edge. With d the
distances of one surface's pixels to the nearest pixel of the other surface:

    HD95 = max(95th percentile of d from P to T, 95th percentile of d from T to P)             (1)
    ASSD = mean of d over both surfaces together                                               (2)

Both are 0 for equal masks. Where both masks are empty they are NaN, where only one is, infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from common.errors import InputError
from common.metrics.checks import check_same_shape

AnyArray = jax.Array | np.ndarray


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of every surface pixel of either mask to the other's surface, in mm."""

    from_predicted: Float64[np.ndarray, " n"]
    from_target: Float64[np.ndarray, " m"]

    def hausdorff(self, percentile: float = 95, *, pooled: bool = False) -> float:
        """Return equation (1), the HD95, or another percentile; 100 is the Hausdorff distance.

        Matches MONAI 1.4.0's `compute_hausdorff_distance`, save where one mask alone is empty: its
        interpolation of infinite distances gives NaN. `pooled` takes one percentile of both
        surfaces together, which is no less common and another number: medpy 0.5.2's `hd95`.
        """
        if not 0 <= percentile <= 100:
            raise InputError(f"percentile {percentile:g}: expected 0 to 100")
        if (unknown := self._without_surface()) is not None:
            return unknown
        both = (self.from_predicted, self.from_target)
        parts = [np.concatenate(both)] if pooled else both
        return max(float(np.percentile(d, percentile)) for d in parts)

    def average(self) -> float:
        """Return equation (2), the average symmetric surface distance.

        Matches MONAI 1.4.0's `compute_average_surface_distance` with `symmetric=True`, and medpy
        0.5.2's `assd`, which refuses empty masks.
        """
        if (unknown := self._without_surface()) is not None:
            return unknown
        return float(np.concatenate((self.from_predicted, self.from_target)).mean())

    def _without_surface(self) -> float | None:
        """Return what every distance is where a mask is empty; None where neither is."""
        sizes = len(self.from_predicted), len(self.from_target)
        if all(sizes):
            return None
        return float("inf") if any(sizes) else float("nan")


def surface_distances(
    predicted: Bool[AnyArray, "*space"],
    target: Bool[AnyArray, ...],
    spacing: Sequence[float],
) -> SurfaceDistances:
    """Return the surface distances of two masks, 2-D or 3-D; of a class, masks of `labels == c`.

    `spacing` is the size of a pixel along each axis in mm, in the order of the axes; (1, 1) gives
    distances in pixels. Raises InputError for masks that are not boolean, shapes that differ, and
    a spacing of another length or not above 0.
    """
    p, t = np.asarray(predicted), np.asarray(target)
    _check(p, t, spacing)
    where = ndimage.find_objects((p | t).astype(np.int8))
    if where:  # beyond both masks there is nothing to measure
        p, t = p[where[0]], t[where[0]]
    p_surface, t_surface = (mask & ~ndimage.binary_erosion(mask) for mask in (p, t))
    return SurfaceDistances(
        _distances(p_surface, t_surface, spacing), _distances(t_surface, p_surface, spacing)
    )


def _distances(surface: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return how far each pixel of `surface` is from `other`."""
    if not other.any():
        return np.full(np.count_nonzero(surface), np.inf)
    return ndimage.distance_transform_edt(~other, sampling=spacing)[surface]


def _check(p: np.ndarray, t: np.ndarray, spacing: Sequence[float]) -> None:
    check_same_shape(p, t, ("predicted", "target"))
    for name, mask in (("predicted", p), ("target", t)):
        if mask.dtype != bool:
            raise InputError(f"{name}: type {mask.dtype}, expected a boolean mask; labels == class")
        if mask.ndim not in (2, 3):
            raise InputError(f"{name}: shape {mask.shape}, expected one image or one volume")
    sizes = np.asarray(spacing, np.float64)
    if sizes.shape != (p.ndim,) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError(f"spacing {spacing}: expected {p.ndim} sizes of a pixel above 0, in mm")
