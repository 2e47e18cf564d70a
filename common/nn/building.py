"""Networks by the functions that build them: what a network is, and fresh parameters."""

from __future__ import annotations

from collections.abc import Callable

from flax import nnx
from jaxtyping import Array, Key

Build = Callable[[nnx.Rngs], nnx.Module]


def graph_of(build: Build) -> nnx.GraphDef:
    """Return the graph of the network that `build` makes, without making its weights."""
    return nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))


def drawn(build: Build, key: Key[Array, ""]) -> nnx.State:
    """Return fresh parameters of the network."""
    return nnx.state(build(nnx.Rngs(key)), nnx.Param)
