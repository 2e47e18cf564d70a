"""Weights of the source's network, as Keras names them, for ours."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from flax import nnx

from common.nn.by_name import Path, load_by_name
from papers.lgg_attention_unet.config import ModelConfig
from papers.lgg_attention_unet.model import AttentionUNet

CONV, TRANSPOSED, NORM = "conv2d", "conv2d_transpose", "batch_normalization"
# our name of a parameter or statistic -> Keras's, in BatchNorm
_NORM_PARTS = {
    "scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance",
}  # fmt: skip


def _layers(levels: int, gates: bool) -> Iterator[tuple[Path, str]]:
    """Yield every layer's path in our network and its Keras kind, in the source's order."""

    def block(*path: str | int) -> Iterator[tuple[Path, str]]:
        yield (*path, "conv1"), CONV
        yield (*path, "conv2"), CONV
        yield (*path, "norm"), NORM

    for level in range(levels):
        yield from block("down", level)
    for level in range(levels - 1):
        yield ("up", level, "upsample"), TRANSPOSED
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
    shape = np.shape(weights.get(f"{CONV}/kernel", ()))
    channels = shape[2] if len(shape) == 4 else 3
    empty = nnx.eval_shape(lambda: AttentionUNet(config, channels, rngs=nnx.Rngs(0)))
    names = keras_names(config)

    def convert(path: Path, weight: np.ndarray) -> np.ndarray:
        if path[-1] == "kernel" and names[path].startswith(TRANSPOSED):
            # [rows, columns, out, in], to be laid about each pixel -> one that is slid over them
            return weight[::-1, ::-1].swapaxes(2, 3)
        return weight

    return load_by_name(empty, weights, names.__getitem__, convert, "weights")
