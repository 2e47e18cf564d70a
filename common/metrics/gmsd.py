"""Gradient magnitude similarity deviation (Xue et al. 2014).

    GMS(x, y) = (2 |∇x| |∇y| + c) / (|∇x|² + |∇y|² + c),   GMSD = std of GMS over the image    (1)

on images of half the size, with the gradient by Prewitt's 3x3 filters and c = 170 / 255². Matches
piq 0.8.0's `gmsd` at its defaults: RGB is turned into luminance first, images of a side of odd
length get a row and a column of zeros behind, and zeros lie around the halved image.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape
from common.metrics.roots import root
from common.nn.conv import avg_pool

AnyArray = jax.Array | np.ndarray
_C = 170 / 255**2
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def gmsd(
    x: Float[AnyArray, "batch height width channels"], y: Float[AnyArray, ...]
) -> Float[Array, " batch"]:
    """Return the GMSD of each pair of images [0, 1], gray or RGB; in [0, 0.5], 0 for equal ones.

    Pure; its gradient is finite where the image's vanishes. Raises InputError for values outside
    [0, 1], NaN, shapes that differ, other numbers of channels, and images of one row or column.
    """
    for name, images in (("first images", x), ("second images", y)):
        check_images(images, name)
        if images.shape[3] not in (1, 3):
            raise InputError(f"{name}: {images.shape[3]} channels, expected 1 or 3")
        if min(images.shape[1:3]) < 2:
            raise InputError(f"{name}: {images.shape[1]}x{images.shape[2]}, expected at least 2x2")
    check_same_shape(x, y, ("first images", "second images"))
    slope_x, slope_y = _slope(x), _slope(y)
    similarity = (2 * slope_x * slope_y + _C) / (slope_x**2 + slope_y**2 + _C)
    return root(similarity.var((1, 2)))


def _slope(x: AnyArray) -> Float[Array, "batch rows columns"]:
    """Return the gradient's magnitude in images of half the size."""
    color = x.shape[3] == 3
    gray = jnp.matmul(x, _LUMINANCE, precision="highest") if color else x[..., 0]
    odd = max(size % 2 for size in x.shape[1:3])
    half = avg_pool(jnp.pad(gray, ((0, 0), (0, odd), (0, odd)))[..., None], 2)[..., 0]
    edged = jnp.pad(half, ((0, 0), (1, 1), (1, 1)))
    across = (edged[:, :, 2:] - edged[:, :, :-2]) / 3
    down = (edged[:, 2:] - edged[:, :-2]) / 3
    across = across[:, :-2] + across[:, 1:-1] + across[:, 2:]
    down = down[:, :, :-2] + down[:, :, 1:-1] + down[:, :, 2:]
    return root(across**2 + down**2)
