"""Low-rank adaptation of linear layers (Hu et al. 2022, arXiv:2106.09685); equal to peft's.

A layer W stays as it is, and two small matrices beside it are trained (Hu eq. 3):

    (1)  y = x W + (alpha / rank) (x A) B,     A ~ N(0, 1 / rank^2),  B = 0 at the start

so an untrained adaptation changes nothing. peft calls this initialization "gaussian".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
    """alpha / rank: not trained, and an argument of compiled programs."""


class LoRALinear(nnx.Module):
    """A linear layer with an adaptation beside it: equation (1).

    `lora_a` [in, rank] and `lora_b` [rank, out] are float32 whatever the layer's type is.
    """

    def __init__(self, base: nnx.Linear, rank: int, alpha: float, *, rngs: nnx.Rngs):
        self.base = base
        spread = nnx.initializers.normal(1 / rank)
        self.lora_a = LoRAParam(spread(rngs.params(), (base.in_features, rank), jnp.float32))
        self.lora_b = LoRAParam(jnp.zeros((rank, base.out_features), jnp.float32))
        self.scale = LoRAScale(jnp.float32(alpha / rank))

    def __call__(self, x: Float[Array, "*batch in_features"]) -> Float[Array, "*batch features"]:
        """Return the layer's output with what the adaptation adds."""
        y = self.base(x)
        x = x.astype(y.dtype)
        a, b = self.lora_a[...].astype(y.dtype), self.lora_b[...].astype(y.dtype)
        return y + (x @ a) @ b * self.scale[...].astype(y.dtype)

    def merged(self) -> nnx.Linear:
        """Return the plain layer that gives the same, up to rounding; ours is not usable then."""
        base, kernel = self.base, self.base.kernel
        change = self.scale[...] * (self.lora_a[...] @ self.lora_b[...])
        kernel[...] = (kernel[...].astype(jnp.float32) + change).astype(kernel.dtype)
        return base


def linear_layers(network: nnx.Module) -> Iterator[tuple[Path, nnx.Linear | LoRALinear]]:
    """Yield every linear layer with its path, an adapted one as a whole."""
    inside = set()
    for path, module in sorted(nnx.iter_modules(network), key=lambda each: str(each[0])):
        if isinstance(module, LoRALinear):
            inside.add((*path, "base"))
        if isinstance(module, nnx.Linear | LoRALinear) and path not in inside:
            yield path, module


def add_lora(
    network: nnx.Module,
    rank: int,
    alpha: float,
    *,
    layers: tuple[str, ...] = ATTENTION,
    rngs: nnx.Rngs,
) -> None:
    """Put an adaptation beside every linear layer whose last name is in `layers`, in place.

    Raises ValueError where there is none, or one has an adaptation already.
    """
    chosen = [(path, layer) for path, layer in linear_layers(network) if path[-1] in layers]
    if not chosen or rank < 1:
        raise ValueError(f"rank {rank} on {len(chosen)} linear layers called {layers}")
    for path, layer in chosen:
        if isinstance(layer, LoRALinear):
            raise ValueError(f"{path} has an adaptation already; merge or remove it first")
        _put(network, path, LoRALinear(layer, rank, alpha, rngs=rngs))


def merge_lora(network: nnx.Module) -> None:
    """Add every adaptation to the layer that it is beside, in place."""
    for path, layer in list(linear_layers(network)):
        if isinstance(layer, LoRALinear):
            _put(network, path, layer.merged())


def remove_lora(network: nnx.Module) -> None:
    """Leave every adaptation away, in place: the network is what it was without."""
    for path, layer in list(linear_layers(network)):
        if isinstance(layer, LoRALinear):
            _put(network, path, layer.base)


def set_lora(
    network: nnx.Module, path: Path, down: np.ndarray, up: np.ndarray, scale: float
) -> None:
    """Put given matrices, `down` [rank, in] and `up` [out, rank] as in files, beside one layer."""
    layer = dict(linear_layers(network))[path]
    base = layer.base if isinstance(layer, LoRALinear) else layer
    adapted = LoRALinear(base, down.shape[0], scale * down.shape[0], rngs=nnx.Rngs(0))
    adapted.lora_a[...] = jnp.asarray(down.T, jnp.float32)
    adapted.lora_b[...] = jnp.asarray(up.T, jnp.float32)
    _put(network, path, adapted)


def lora_matrices(network: nnx.Module) -> Mapping[Path, tuple[np.ndarray, np.ndarray, float]]:
    """Return (down, up, scale) of every adapted layer, as files have them: see `set_lora`."""
    return {
        path: (
            np.asarray(layer.lora_a[...]).T,
            np.asarray(layer.lora_b[...]).T,
            float(layer.scale[...]),
        )
        for path, layer in linear_layers(network)
        if isinstance(layer, LoRALinear)
    }


def _put(network: nnx.Module, path: Path, layer: Any) -> None:
    owner: Any = network
    for name in path[:-1]:
        owner = owner[name] if isinstance(name, int) else getattr(owner, str(name))
    setattr(owner, str(path[-1]), layer)


def parameters(network: nnx.Module) -> int:
    """Return how many parameters are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, LoRAParam)))
