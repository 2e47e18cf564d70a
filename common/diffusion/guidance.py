"""Classifier-free guidance, Ho & Salimans 2022 (arXiv:2207.12598).

Two conventions are in use for the same thing. The paper's, with its weight ``omega``, and the one
of Stable Diffusion and of most code since, with the guidance scale ``w = 1 + omega``:

    (1)  eps = (1 + omega) eps_c - omega eps_u                                         Ho eq. 6
    (2)  eps = eps_u + w (eps_c - eps_u)

Here and in the source of `papers.camcan_cfg` it is always (2): w = 0 is unconditional, w = 1 is
conditional without guidance, and w > 1 follows the condition more than the data do.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def guided(
    eps_u: Float[Array, "*shape"], eps_c: Float[Array, "*shape"], w: Float[Array, ""] | float | int
) -> Float[Array, "*shape"]:
    """Return the guided noise of the unconditional and the conditional prediction: equation (2)."""
    return eps_u + w * (eps_c - eps_u)


def guided_eps(
    predict_eps: Callable,
    x: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
    condition: Float[Array, "batch features"],
    unconditional: Float[Array, " features"],
    w: Float[Array, ""] | float | int,
) -> Float[Array, "batch height width channels"]:
    """Return the guided noise by one evaluation of the network on both conditions of each image.

    The two rows of an image are neighbours, so that a batch cut into devices stays where it is.
    """
    both = jnp.stack([jnp.broadcast_to(unconditional, condition.shape), condition], axis=1)
    eps = predict_eps(
        jnp.repeat(x, 2, axis=0), jnp.repeat(t, 2), both.reshape(-1, condition.shape[1])
    )
    pairs = eps.reshape(-1, 2, *x.shape[1:])
    return guided(pairs[:, 0], pairs[:, 1], w)
