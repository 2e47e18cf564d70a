"""How sharp images are, by the energy of their gradient.

    energy(x)             = mean of (∂x/∂column)² + (∂x/∂row)² of the luminance                (1)
    relative sharpness    = energy(x) / energy(reference)                                      (2)

with central differences, over all pixels but the outermost.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Float64

from common.errors import InputError
from common.metrics.checks import check_same_shape
from common.metrics.luminance import luminance

AnyArray = jax.Array | np.ndarray
Images = Float[AnyArray, "n height width channels"]


def relative_sharpness(
    images: Images, reference: Float[AnyArray, ...]
) -> Float64[np.ndarray, " n"]:
    """Return equation (2) of each pair of images [0, 1]; in [0, inf), 1 for equal ones.

    Below 1 where an image is blurred against its reference. Contrast counts squared, and noise as
    sharpness. NaN where the reference is constant. Raises InputError for values outside [0, 1],
    NaN, shapes that differ, numbers of channels but 1 and 3, and sides below 3.
    """
    check_same_shape(images, reference, ("images", "reference images"))
    found, expected = gradient_energy(images), gradient_energy(reference, "reference images")
    return np.divide(found, expected, out=np.full_like(found, np.nan), where=expected > 0)


def gradient_energy(images: Images, name: str = "images") -> Float64[np.ndarray, " n"]:
    """Return equation (1) of each image [0, 1], per pixel squared; in [0, 0.5].

    A ramp of s a pixel has s². `name` is what errors call the images. Raises InputError for values
    outside [0, 1], NaN, numbers of channels but 1 and 3, and sides below 3.
    """
    planes = luminance(images, name)
    if min(planes.shape[1:]) < 3:
        raise InputError(f"{name}: {planes.shape[1]}x{planes.shape[2]}, expected at least 3x3")
    return plane_energy(planes)


def plane_energy(
    planes: Float64[np.ndarray, "*n height width"],
) -> Float64[np.ndarray, "*n"]:
    """Return equation (1) of planes of any range."""
    across = (planes[..., 1:-1, 2:] - planes[..., 1:-1, :-2]) / 2
    down = (planes[..., 2:, 1:-1] - planes[..., :-2, 1:-1]) / 2
    return np.asarray((across**2 + down**2).mean((-2, -1)))
