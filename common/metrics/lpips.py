"""Learned perceptual image patch similarity (Zhang et al. 2018), v0.1.

    LPIPS(x, y) = sum over taps l of mean over positions of  w_l · (f_l(x) - f_l(y))²          (1)

with features f_l scaled to unit length over the channels. Matches lpips 0.1.4's
`LPIPS(net="alex" | "vgg")` at its defaults with `normalize=True`, that is, images in [0, 1].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.errors import InputError
from common.metrics.checks import check_images, check_same_shape
from common.metrics.roots import root
from common.pretrained.perceptual import LAYOUTS, PerceptualNetwork, perceptual_features

AnyArray = jax.Array | np.ndarray
_EPSILON = 1e-10


def lpips(
    network: PerceptualNetwork,
    x: Float[AnyArray, "batch height width channels"],
    y: Float[AnyArray, ...],
) -> Float[Array, " batch"]:
    """Return the LPIPS of each pair of images [0, 1], RGB or gray; in [0, inf), 0 for equal ones.

    `network` from `common.pretrained.perceptual.load_perceptual`. Gray images count as three equal
    channels, as in lpips. Pure; its gradient is finite also where all features vanish, which
    lpips's is not. Raises InputError for values outside [0, 1], NaN, shapes that differ, other
    numbers of channels, and images smaller than the network takes.
    """
    smallest = LAYOUTS[network.net].smallest
    for name, images in (("first images", x), ("second images", y)):
        check_images(images, name)
        if images.shape[3] not in (1, 3):
            raise InputError(f"{name}: {images.shape[3]} channels, expected 1 or 3")
        if min(images.shape[1:3]) < smallest:
            raise InputError(
                f"{name}: {images.shape[1]}x{images.shape[2]}, expected at least "
                f"{smallest}x{smallest} for {network.net}"
            )
    check_same_shape(x, y, ("first images", "second images"))
    taps = zip(perceptual_features(network, x), perceptual_features(network, y), strict=True)
    distances = [
        jnp.matmul((unit(f) - unit(g)) ** 2, head, precision="highest").mean((1, 2))
        for (f, g), head in zip(taps, network.heads, strict=True)
    ]
    return jnp.stack(distances).sum(0)


def unit(features: Array) -> Array:
    """Return features of unit length over the channels; zeros stay zeros."""
    return features / (root((features**2).sum(-1, keepdims=True)) + _EPSILON)
