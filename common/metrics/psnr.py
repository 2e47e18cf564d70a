"""Peak signal-to-noise ratio.

PSNR(x, y) = -10 log10 of mean of (x - y)²,  in dB for images in [0, 1]                    (1)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.metrics.checks import check_images, check_same_shape

AnyArray = jax.Array | np.ndarray


def psnr(
    x: Float[AnyArray, "batch height width channels"], y: Float[AnyArray, ...]
) -> Float[Array, " batch"]:
    """Return the PSNR of each pair of images [0, 1] in dB; in [0, inf], inf for equal ones.

    Matches scikit-image 0.26.0's `peak_signal_noise_ratio` with `data_range=1`, image by image:
    the mean over a set is the mean of dB. Pure. Raises InputError for values outside [0, 1], NaN,
    and shapes that differ.
    """
    check_images(x, "first images")
    check_images(y, "second images")
    check_same_shape(x, y, ("first images", "second images"))
    return -10 * jnp.log10(jnp.square(x - y).mean((1, 2, 3)))
