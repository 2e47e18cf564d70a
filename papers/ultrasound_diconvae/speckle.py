"""Speckle put on images, as the reference paper does (Karaoğlu, Bilge, Uluer 2022).

The paper's abstract: "speckle noises with Rayleigh distribution at four different noise levels
(sigma = 0.10, 0.25, 0.50, 0.75) are added to ultrasound images". Its equations were not at hand.
Speckle being multiplicative noise, the form here is the common one (MATLAB's imnoise "speckle",
with another distribution): (1) y = clip(x + x n, 0, 1), n ~ Rayleigh(sigma) for each pixel alone,
drawn by n = sigma sqrt(-2 ln U). As n has the mean sigma sqrt(pi/2) it brightens: by 12.5% at 0.10
and by 94% at 0.75. (2) With `centered` the mean is taken off n, and the brightness stays.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

RAYLEIGH_MEAN = (jnp.pi / 2) ** 0.5  # of sigma 1
RAYLEIGH_VARIANCE = 2 - jnp.pi / 2

Images = Float[Array, "*batch height width channels"]


def rayleigh(
    key: Key[Array, ""] | UInt32[Array, " two"],
    shape: tuple[int, ...],
    sigma: float | Float[Array, "*sigmas"],
) -> Float[Array, "*points"]:
    """Return numbers of Rayleigh's distribution with the scale `sigma`."""
    # 1 - U is above 0, where uniform numbers may be 0.
    return sigma * jnp.sqrt(-2 * jnp.log1p(-jax.random.uniform(key, shape)))


def speckled(
    key: Key[Array, ""] | UInt32[Array, " two"],
    images: Images,
    sigma: float | Float[Array, "*sigmas"],
    *,
    centered: bool = False,
) -> Images:
    """Return images of [0, 1] with speckle, by equation 1 or 2, again in [0, 1].

    `sigma` is one number, or one for each image in a shape that broadcasts: [batch, 1, 1, 1].
    """
    noise = rayleigh(key, images.shape, sigma)
    if centered:
        noise = noise - RAYLEIGH_MEAN * jnp.asarray(sigma)
    return jnp.clip(images + images * noise, 0, 1).astype(images.dtype)
