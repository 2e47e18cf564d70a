"""Penalties on a discriminator's gradient at images.

Both are differentiated once more, for the discriminator's weights: in reverse, as the forms of
convolutions for the CPU have no forward mode.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from common.metrics.roots import root

Images = Float[Array, "batch height width channels"]
Score = Callable[[Images], Float[Array, "batch ..."]]


def between(real: Images, generated: Images, key: Key[Array, ""]) -> Images:
    """Return points on the lines between pairs of images, uniform, one share for each pair."""
    share = jax.random.uniform(key, (len(real), 1, 1, 1))
    return share * real + (1 - share) * generated


def gradient_penalty(score: Score, images: Images) -> Float[Array, ""]:
    """Return the mean of (norm of the gradient - 1)² (WGAN-GP, Gulrajani et al. 2017, eq. 3).

    At images that lie `between` real and generated ones. An image with several scores, as those of
    StarGAN's patches, has the gradient of their sum, as in its authors' code.
    """
    norms = root(_squared_norms(score, images))  # finite gradient at 0
    return jnp.square(norms - 1).mean()


def r1(score: Score, images: Images) -> Float[Array, ""]:
    """Return half the mean squared norm of the gradient at real images (Mescheder et al. 2018)."""
    return _squared_norms(score, images).mean() / 2


def _squared_norms(score: Score, images: Images) -> Float[Array, " batch"]:
    """Return the squared norm of each image's gradient; no image's score depends on another."""
    slopes = jax.grad(lambda x: score(x).sum())(images)
    return jnp.square(slopes).sum((1, 2, 3))
