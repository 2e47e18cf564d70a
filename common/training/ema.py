"""Exponential moving average of a pytree."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree


def ema_update(
    average: PyTree,
    current: PyTree,
    decay: float | Float[Array, ""],
    updates: int | np.integer | Integer[Array, ""] | None = None,
) -> PyTree:
    """Return `decay * average + (1 - decay) * current` leaf by leaf, in the average's dtype.

    With `updates`, the number of updates made before this one, the decay starts low and rises to
    its value, min(decay, (1 + updates) / (10 + updates)), as TensorFlow's
    ExponentialMovingAverage(num_updates) does: a short training is not held to its first
    parameters. Leaves that are not floating point are taken from `current`.
    """
    share: float | Array = 1 - decay
    if updates is not None:
        share = 1 - jnp.minimum(decay, (1 + updates) / (10 + updates))

    def blend(old: Array, new: Array) -> Array:
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        # this form, and not decay * old + (1 - decay) * new, keeps a constant exactly constant
        return (old + share * (new.astype(old.dtype) - old)).astype(old.dtype)

    return jax.tree.map(blend, average, current)
