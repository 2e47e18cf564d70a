"""Low-rank adaptation of linear layers (Hu et al. 2022, arXiv:2106.09685); equal to peft's.

A layer W stays as it is, and two small matrices beside it are trained (Hu eq. 3):

    (1)  y = x W + s (alpha / rank) (x A) B,     A ~ N(0, 1 / rank^2),  B = 0 at the start

so an untrained adaptation changes nothing. peft calls this initialization "gaussian". The scale s
is 1 while training; at use it says how much the adaptation counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from common.nn.by_name import Path

ATTENTION = ("query", "key", "value", "out")  # the four projections of every attention


class LoRAParam(nnx.Param):
    """A trained matrix of an adaptation; ``nnx.split(network, LoRAParam, ...)`` finds them."""


class LoRAScale(nnx.Variable):
    """A number of an adaptation: not trained, and an argument of compiled programs."""


class Adaptation(NamedTuple):
    """What is beside one layer, in equation (1): A, B and alpha."""

    a: Float[Any, "in_features rank"]
    b: Float[Any, "rank out_features"]
    alpha: float | int


class LoRALinear(nnx.Module):
    """A linear layer with an adaptation beside it: equation (1).

    `lora_a` and `lora_b` are float32 whatever the layer's type is, and computed in the layer's.
    """

    def __init__(self, base: nnx.Linear, adaptation: Adaptation):
        self.base = base
        self.lora_a = LoRAParam(jnp.asarray(adaptation.a, jnp.float32))
        self.lora_b = LoRAParam(jnp.asarray(adaptation.b, jnp.float32))
        self.alpha = LoRAScale(jnp.asarray(adaptation.alpha, jnp.float32))
        self.scale = LoRAScale(jnp.ones((), jnp.float32))

    def __call__(self, x: Float[Array, "*batch in_features"]) -> Float[Array, "*batch features"]:
        """Return the layer's output with what the adaptation adds."""
        y = self.base(x)
        a, b, factor = (
            each.astype(y.dtype) for each in (self.lora_a[...], self.lora_b[...], self.factor)
        )
        return y + (x.astype(y.dtype) @ a) @ b * factor

    @property
    def factor(self) -> Float[Array, ""]:
        """What the product of the matrices is multiplied by: s alpha / rank."""
        return self.scale[...] * self.alpha[...] / self.lora_a.shape[1]

    def merged(self) -> nnx.Linear:
        """Return the plain layer that gives the same, up to rounding; ours is not usable then."""
        kernel = self.base.kernel
        kernel[...] = _merged(kernel[...], self.lora_a[...], self.lora_b[...], self.factor)
        return self.base


def linear_layers(network: nnx.Module) -> Iterator[tuple[Path, nnx.Linear | LoRALinear]]:
    """Yield every linear layer with its path, an adapted one as a whole, in the paths' order."""
    inside = set()
    for path, module in sorted(nnx.iter_modules(network), key=lambda each: [*map(str, each[0])]):
        if isinstance(module, LoRALinear):
            inside.add((*path, "base"))
        if isinstance(module, nnx.Linear | LoRALinear) and path not in inside:
            yield path, module


def adapted_layers(network: nnx.Module) -> dict[Path, LoRALinear]:
    """Return the layers that have an adaptation."""
    return {path: each for path, each in linear_layers(network) if isinstance(each, LoRALinear)}


def add_lora(
    network: nnx.Module,
    rank: int,
    alpha: float | int,
    *,
    layers: tuple[str | int, ...] = ATTENTION,
    rngs: nnx.Rngs,
) -> None:
    """Put an untrained adaptation beside every linear layer whose last name is in `layers`.

    Raises ValueError where there is none, or one has an adaptation already.
    """
    found = {path: each for path, each in linear_layers(network) if path[-1] in layers}
    if not found or rank < 1:
        raise ValueError(f"rank {rank} on {len(found)} linear layers called {layers}")
    sizes = [plain(path, each).in_features for path, each in found.items()]
    drawn = _draw(rngs.params(), sizes, rank)
    adaptations = {}
    for (path, each), a in zip(found.items(), drawn, strict=True):
        b = jnp.zeros((rank, plain(path, each).out_features), jnp.float32)
        adaptations[path] = Adaptation(a, b, alpha)
    set_lora(network, adaptations)


def set_lora(network: nnx.Module, adaptations: Mapping[Path, Adaptation]) -> None:
    """Put these adaptations beside the linear layers at their paths, in place.

    Raises ValueError, before anything is changed, where a layer has one already.
    """
    layers = dict(linear_layers(network))
    bases = {path: plain(path, layers[path]) for path in adaptations}
    for path, adaptation in adaptations.items():
        _put(network, path, LoRALinear(bases[path], adaptation))


def set_scale(network: nnx.Module, scale: float | int) -> None:
    """Set how much every adaptation counts, s of equation (1), in place; compiles nothing."""
    for layer in adapted_layers(network).values():
        layer.scale[...] = jnp.asarray(scale, jnp.float32)


def merge_lora(network: nnx.Module) -> None:
    """Add every adaptation at its scale to the layer that it is beside, in place."""
    for path, layer in adapted_layers(network).items():
        _put(network, path, layer.merged())


def remove_lora(network: nnx.Module) -> None:
    """Leave every adaptation away, in place: the network is what it was without."""
    for path, layer in adapted_layers(network).items():
        _put(network, path, layer.base)


def lora_of(network: nnx.Module) -> dict[Path, Adaptation]:
    """Return the adaptations, in host memory; `set_lora` puts them into another network."""
    return {
        path: Adaptation(
            np.asarray(layer.lora_a[...]), np.asarray(layer.lora_b[...]), float(layer.alpha[...])
        )
        for path, layer in adapted_layers(network).items()
    }


def parameters(network: nnx.Module) -> int:
    """Return how many parameters are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, LoRAParam)))


def plain(path: Path, layer: nnx.Linear | LoRALinear) -> nnx.Linear:
    """Return a layer that has no adaptation; raises ValueError if it has one."""
    if isinstance(layer, LoRALinear):
        name = ".".join(map(str, path))
        raise ValueError(f"{name} has an adaptation already; merge_lora or remove_lora it first")
    return layer


def _draw(key: Array, sizes: Sequence[int], rank: int) -> Iterator[Array]:
    """Yield A of layers with so many inputs: one draw, cut up where nothing has to be compiled."""
    values = jax.random.normal(key, (sum(sizes), rank)) / rank
    for end, size in zip(itertools.accumulate(sizes), sizes, strict=True):
        yield jax.lax.dynamic_slice(values, (end - size, 0), (size, rank))


@jax.jit
def _merged(kernel: Array, a: Array, b: Array, factor: Array) -> Array:
    return (kernel.astype(jnp.float32) + factor * (a @ b)).astype(kernel.dtype)


def _put(network: nnx.Module, path: Path, layer: nnx.Module) -> None:
    owner: Any = network
    for name in path[:-1]:
        owner = owner[name] if isinstance(name, int) else getattr(owner, name)
    if isinstance(path[-1], int):
        owner[path[-1]] = layer
    else:
        setattr(owner, path[-1], layer)
