"""What a family of models offers to training and evaluation, and what its steps are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Key, PyTree, UInt8

from common.data.loader import Source
from common.training.state import State
from papers.surgical_vision.data import Part
from papers.surgical_vision.variants import identity_of

Losses = Mapping[str, Float[Array, ""]]
Images = Float[Array, "batch height width 3"]  # [-1, 1]


@dataclass(frozen=True)
class Faces:
    """What a model is asked for: faces, what is to be operated, and the seed of each image."""

    image: UInt8[Any, "batch height width 3"]
    label: UInt8[Any, "batch 3"] | Float32[Any, "batch 3"]  # StarGANs take shares as well
    seed: UInt8[Any, "batch 4"]  # the bytes of a number below 2^32

    @property
    def keys(self) -> Key[Array, " batch"]:
        """A random key for each image, of its seed alone."""
        return jax.vmap(jax.random.key)(jax.lax.bitcast_convert_type(self.seed, jnp.uint32))


jax.tree_util.register_dataclass(Faces, ["image", "label", "seed"], [])


@dataclass(frozen=True)
class Recipe:
    """How a model learns, and what it makes of a face: functions of arrays, the same for all seeds.

    ``fixed(states, part)`` is what a training only reads: made of the states of the networks that
    it learns from and, while it learns, of the training part. ``step(state, batch, index, key,
    steps, fixed)`` gives the new state and the losses by name; `index` of `steps` picks its draws
    from `key`.
    ``weights(state, states)`` is what ``translate(weights, faces)`` needs, which gives faces in
    [-1, 1]. A model without `step` has nothing to learn.
    """

    init: Callable[[Key[Array, ""], Any], State]  # key, fixed
    step: Callable[[State, Any, Any, Any, Any, Any], tuple[State, Losses]] | None
    weights: Callable[[State, Any], Any]
    translate: Callable[[Any, Faces], Images]
    source: Callable[[Part], Source]
    fixed: Callable[[Mapping[str, State], Part | None], Any] = lambda states, part: None


def beginning(states: Mapping[str, State], family: str) -> PyTree | None:
    """Return the trained identity's parameters by network, None where drawn weights begin."""
    name = identity_of(family)
    return states[name].params if name in states else None


def begun(params: nnx.State, known: nnx.State | None) -> nnx.State:
    """Return fresh parameters with the known ones in place of all that these have."""
    if known is None:
        return params
    flat = dict(nnx.to_flat_state(params)) | dict(nnx.to_flat_state(known))
    return nnx.from_flat_state(list(flat.items()))


def run(graph: nnx.GraphDef, params: PyTree, *arguments: Any, **options: Any) -> Any:
    """Return what the network with these parameters gives; all it has are parameters."""
    return nnx.merge(graph, params)(*arguments, **options)


def falling_rate(rate: float, over: Float[Array, ""], share: float) -> float | Float[Array, ""]:
    """Return the rate when so much of the training is over: constant, at last falling to 0.

    It falls linearly during the last `share` of the training.
    """
    return rate * jnp.minimum(1.0, (1 - over) / share) if share else rate


def halves(image: UInt8[Array, "batch height width 3"]) -> Images:
    """Return 8-bit images as [-1, 1]."""
    return image.astype(jnp.float32) / 127.5 - 1
