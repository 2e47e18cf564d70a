"""Weights of the source's network, as Keras names them, for ours."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from common.errors import InputError
from papers.lgg_attention_unet.config import ModelConfig
from papers.lgg_attention_unet.model import AttentionUNet

CONV, GROWN, NORM = "conv2d", "conv2d_transpose", "batch_normalization"
# our name of a parameter or statistic -> Keras's, in BatchNorm
_NORM_PARTS = {
    "scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance",
}  # fmt: skip
Path = tuple[Any, ...]


def _layers(levels: int, gates: bool) -> Iterator[tuple[Path, str]]:
    """Yield every layer's path in our network and its Keras kind, in the source's order."""

    def block(*path: str | int) -> Iterator[tuple[Path, str]]:
        yield (*path, "conv1"), CONV
        yield (*path, "conv2"), CONV
        yield (*path, "norm"), NORM

    for level in range(levels):
        yield from block("down", level)
    for level in range(levels - 1):
        yield ("up", level, "grow"), GROWN
        if gates:
            for name in ("phi", "theta", "psi"):
                yield ("up", level, "gate", name), CONV
            yield ("up", level, "gate", "norm"), NORM
        yield from block("up", level, "block")
    yield ("head",), CONV


def keras_names(config: ModelConfig) -> dict[Path, str]:
    """Return what Keras calls the weight at each path of our network: conv2d_3/kernel, ...

    Keras numbers the layers of a kind in the order in which they are made: none, _1, _2, ...
    These are the names of a network that is the first of its process, or made after
    `keras.utils.clear_session()`.
    """
    names: dict[Path, str] = {}
    made = Counter[str]()
    for path, kind in _layers(len(config.filters), config.gates):
        layer = f"{kind}_{made[kind]}" if made[kind] else kind
        made[kind] += 1
        parts = _NORM_PARTS if kind == NORM else {"kernel": "kernel", "bias": "bias"}
        names |= {(*path, ours): f"{layer}/{theirs}" for ours, theirs in parts.items()}
    return names


def from_keras(weights: Mapping[str, np.ndarray], config: ModelConfig) -> nnx.State:
    """Return parameters and statistics of `AttentionUNet(config)` with the weights of Keras's.

    `weights` is `{w.path: np.asarray(w) for w in model.weights}`, the names being those of
    `keras_names`; `nnx.update(network, from_keras(...))` loads them. Raises InputError where
    names or shapes do not fit the config.
    """
    channels = np.shape(weights.get(f"{CONV}/kernel", np.zeros((3, 3, 3, 1))))[2]
    empty = nnx.eval_shape(lambda: AttentionUNet(config, channels, rngs=nnx.Rngs(0)))
    names, loaded = keras_names(config), []
    for path, variable in nnx.to_flat_state(nnx.state(empty)):
        name = names[path]
        if name not in weights:
            raise InputError(f"weights: no {name!r}, which the configured network has")
        weight = np.asarray(weights[name], np.float32)
        if name.startswith(GROWN) and weight.ndim == 4:
            # [rows, columns, out, in], to be laid about each pixel -> one that is slid over them
            weight = weight[::-1, ::-1].swapaxes(2, 3)
        if weight.shape != variable.shape:
            raise InputError(
                f"weights: {name!r} is {np.shape(weights[name])}, the configured network's is "
                f"{tuple(variable.shape)} (ours); check model.filters"
            )
        loaded.append((path, variable.replace(jnp.asarray(weight))))
    if unused := set(weights) - set(names.values()):
        raise InputError(f"weights: {min(unused)!r} is no part of the configured network")
    return nnx.from_flat_state(loaded)
