"""Classifier-free guidance, Ho & Salimans 2022 (arXiv:2207.12598).

Two conventions are in use for the same thing. The paper's, with its weight ``omega``, and the one
of Stable Diffusion and of most code since, with the guidance scale ``w = 1 + omega``:

    (1)  eps = (1 + omega) eps_c - omega eps_u                                         Ho eq. 6
    (2)  eps = eps_u + w (eps_c - eps_u)

Here and in the source of `papers.camcan_cfg` it is always (2): w = 0 is unconditional, w = 1 is
conditional without guidance, and w > 1 follows the condition more than the data do.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

AnyArray = Array | np.ndarray


def guided(
    eps_u: Float[Array, "*shape"], eps_c: Float[Array, "*shape"], w: Float[Array, ""] | float | int
) -> Float[Array, "*shape"]:
    """Return the guided noise of the unconditional and the conditional prediction: equation (2)."""
    return eps_u + w * (eps_c - eps_u)


def guided_eps(
    predict_eps: Callable,
    x: Float[Array, "batch height width channels"],
    t: Int[Array, " batch"],
    condition: PyTree[AnyArray],
    unconditional: PyTree[AnyArray],
    w: Float[Array, ""] | float | int,
    *shared: PyTree,
) -> Float[Array, "batch height width channels"]:
    """Return the guided noise by one evaluation of the network on both conditions of each image.

    `condition` is any pytree of arrays [batch, ...], `unconditional` as in `unconditioned`, and
    `shared` further arguments of the network, the same for all rows. The two rows of an image are
    neighbors, so that a batch cut into devices stays where it is.
    """

    def both(alone: AnyArray, given: AnyArray) -> Array:
        return jnp.stack([alone, given], axis=1).reshape(-1, *given.shape[1:])

    pairs = jax.tree.map(both, unconditioned(condition, unconditional), condition)
    eps = predict_eps(jnp.repeat(x, 2, axis=0), jnp.repeat(t, 2), pairs, *shared)
    eps = eps.reshape(-1, 2, *x.shape[1:])
    return guided(eps[:, 0], eps[:, 1], w)


def unconditioned(condition: PyTree[AnyArray], unconditional: PyTree[AnyArray]) -> PyTree:
    """Return `unconditional` for every image, a pytree of the shapes of `condition`.

    It has the arrays of `condition` without the first axis, and None in place of one that both
    evaluations of an image share, such as the image that a ControlNet follows. ValueError where
    the trees or shapes do not fit.
    """

    def rows(empty: AnyArray | None, given: AnyArray) -> AnyArray:
        if empty is None:
            return given
        if empty.shape != given.shape[1:]:
            raise ValueError(
                f"unconditional is {empty.shape}, each condition {given.shape[1:]}: expected equal"
            )
        return jnp.broadcast_to(empty, given.shape)

    return jax.tree.map(rows, unconditional, condition, is_leaf=lambda leaf: leaf is None)
