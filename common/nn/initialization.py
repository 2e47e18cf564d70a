"""Random initial weights, all of a network's at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax
from flax import nnx


def draw_uniform(parameters: Sequence[tuple[nnx.Variable, float]], rngs: nnx.Rngs) -> None:
    """Set each parameter to a draw from U(-bound, bound); `parameters` are (parameter, bound).

    One draw that is cut up, because XLA needs a fifth of a second or more to compile each of a
    network's hundreds.
    """
    _set(parameters, jax.random.uniform(rngs.params(), (_size(parameters),), minval=-1, maxval=1))


def draw_normal(parameters: Sequence[tuple[nnx.Variable, float]], rngs: nnx.Rngs) -> None:
    """Set each parameter to a draw from N(0, deviation²), as `draw_uniform` does.

    `parameters` are (parameter, deviation).
    """
    _set(parameters, jax.random.normal(rngs.params(), (_size(parameters),)))


def _size(parameters: Sequence[tuple[nnx.Variable, float]]) -> int:
    return sum(parameter.size for parameter, _ in parameters)


def _set(parameters: Sequence[tuple[nnx.Variable, float]], values: jax.Array) -> None:
    """Set each parameter to its part of the values, multiplied by its factor."""
    ends = list(itertools.accumulate(parameter.size for parameter, _ in parameters))
    for (parameter, factor), end in zip(parameters, ends, strict=True):
        part = jax.lax.slice(values, (end - parameter.size,), (end,))
        parameter.set_value(factor * part.reshape(parameter.shape))


def glorot_bound(shape: tuple[int, ...]) -> float:
    """Return the bound of Glorot & Bengio 2010's uniform draw for a kernel [... in out]."""
    *window, fan_in, fan_out = shape
    return math.sqrt(6 / (math.prod(window) * (fan_in + fan_out)))


def he_bound(shape: tuple[int, ...]) -> float:
    """Return the bound of a uniform draw with He et al. 2015's variance, 2 / fan_in, [... in out].

    That is PyTorch's `kaiming_uniform_` for ReLU.
    """
    *window, fan_in, _ = shape
    return math.sqrt(6 / (math.prod(window) * fan_in))
