"""How much of an edge map is found again in another: whether a drawn image kept a structure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from common.errors import InputError


def edge_recall(
    found: Bool[np.ndarray, "n height width"],
    expected: Bool[np.ndarray, ...],
    tolerance: int = 1,
    region: Bool[np.ndarray, ...] | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return the share of each image's expected edge pixels that have a found one near, in [0, 1].

    Near is within `tolerance` pixels along rows and along columns. With a `region` only expected
    pixels inside of it count. NaN where there are none. Many found edges raise it by themselves:
    compare it with that of other images' edges. Raises InputError for shapes that differ and a
    tolerance below 0.
    """
    if found.shape != expected.shape or (region is not None and region.shape != found.shape):
        raise InputError(f"edges of {found.shape} and {expected.shape}: expected one shape")
    if tolerance < 0:
        raise InputError(f"tolerance {tolerance}: expected at least 0 pixels")
    side = 2 * tolerance + 1
    near = ndimage.maximum_filter(found, (1, side, side), mode="constant")
    counted = expected if region is None else expected & region
    with np.errstate(invalid="ignore"):
        return (near & counted).sum((1, 2)) / counted.sum((1, 2), dtype=np.float64)
