"""How much of a change is in few pixels.

With d the absolute change of each pixel, summed over the channels:

    concentration = Σ d over the tenth of the pixels that change most / Σ d over all           (1)
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Float64

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape

AnyArray = jax.Array | np.ndarray


def concentration(
    before: Float[AnyArray, "n height width channels"],
    after: Float[AnyArray, ...],
    share: float | int = 0.1,
) -> Float64[np.ndarray, " n"]:
    """Return equation (1) of each pair of images [0, 1]; in [share, 1].

    It is `share` where all pixels change alike, 1 where no others change than that share of them,
    which is rounded to whole pixels, at least one. NaN where nothing changes. Raises InputError
    for values outside [0, 1], NaN, shapes that differ, and a share not between 0 and 1.
    """
    check_images(before, "images before")
    check_images(after, "images after")
    check_same_shape(before, after, ("images before", "images after"))
    if not 0 < share < 1:
        raise InputError(f"share {share:g} of the pixels: expected a number between 0 and 1")
    change = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64))
    pixels = np.sort(change.sum(3).reshape(len(change), -1), 1)
    most = max(1, round(share * pixels.shape[1]))
    top, total = pixels[:, -most:].sum(1), pixels.sum(1)
    return np.divide(top, total, out=np.full_like(total, np.nan), where=total > 0)
