"""Luminance, the gray of an image at which the measures of shape and sharpness look."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Float64

from common.errors import InputError
from common.metrics.checks import check_images

AnyArray = jax.Array | np.ndarray
_WEIGHTS = np.array([0.299, 0.587, 0.114])


def luminance(
    images: Float[AnyArray, "n height width channels"], name: str = "images"
) -> Float64[np.ndarray, "n height width"]:
    """Return 0.299 R + 0.587 G + 0.114 B of images [0, 1], in [0, 1]; gray ones as they are.

    The luma of ITU-R BT.601, as Pillow's "L". `name` is what errors call the images. Raises
    InputError for values outside [0, 1], NaN, and numbers of channels but 1 and 3.
    """
    check_images(images, name)
    if images.shape[3] not in (1, 3):
        raise InputError(f"{name}: {images.shape[3]} channels, expected 1 or 3")
    values = np.asarray(images, np.float64)
    return values @ _WEIGHTS if values.shape[3] == 3 else values[..., 0]
