"""What a training changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, PyTree


class State(NamedTuple):
    """The state of a training: what a step takes and gives back, and a checkpoint holds.

    `params` and `opt_state` are of one network or, by name, of several that learn together (GANs).
    """

    params: PyTree
    opt_state: PyTree
    stats: PyTree = None  # moving averages of BatchNorm
    ema: Any = None  # moving average of the parameters


def updated(
    optimizer: optax.GradientTransformation,
    rate: float | Float[Array, ""],
    params: PyTree,
    opt_state: PyTree,
    gradients: PyTree,
) -> tuple[PyTree, PyTree]:
    """Return parameters and the optimizer's state after a step of this rate."""
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state
