"""Weights of the published codes' networks for ours, by the names that those give their layers.

A table of names maps the path of each of our layers, `down.0.layer.convolution`, to theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from flax import nnx

from common.nn.by_name import (
    Path,
    from_torch_parameter,
    from_torch_transposed_kernel,
    load_by_name,
)
from common.nn.conv import ConvTranspose
from papers.surgical_vision.models.coder import Autoencoder

Names = dict[str, str]
_PARTS = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_UNFOLDED = "first"  # DCGAN's transposed convolution of one pixel to a map: a linear layer of ours
_ATTENTION = ("query", "key", "value")  # `query_conv`, ... of the attention that most code has
_MEANS = (".running_mean", ".running_var", ".num_batches_tracked")


def torch_name(path: Path, names: Names) -> str:
    """Return what PyTorch calls the parameter or statistic at `path` of our network."""
    layer, part = ".".join(map(str, path[:-1])), str(path[-1])
    return ".".join(filter(None, (names[layer], _PARTS.get(part, part))))


def from_torch(network: nnx.Module, weights: Mapping[str, np.ndarray], names: Names) -> nnx.State:
    """Return the state of `network`, which may be abstract, with weights of PyTorch's `state_dict`.

    Raises InputError where names or shapes do not fit. Running statistics that ours has no place
    for are ignored: StarGAN's of instance normalization are means over images.
    """
    modules: Any = nnx.iter_modules(network)
    transposed = {path for path, layer in modules if isinstance(layer, ConvTranspose)}
    shapes = {path: v.shape for path, v in nnx.to_flat_state(nnx.state(network))}

    def convert(path: Path, weight: np.ndarray) -> np.ndarray:
        if path[-1] != "kernel":
            return weight.reshape(shapes[path])  # a gamma may be a scalar
        if path[:-1] in transposed:
            return from_torch_transposed_kernel(weight)
        if path[-2] == _UNFOLDED and len(shapes[path]) == 2:
            return weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1)
        return from_torch_parameter(path, weight, len(shapes[path]))

    return load_by_name(
        network, weights, lambda path: torch_name(path, names), convert, "weights",
        ignored=lambda name: name.endswith(_MEANS),
    )  # fmt: skip


def attention_names(ours: str = "attention", theirs: str = "attention") -> Names:
    """Return the names of a self-attention module."""
    return {ours: theirs} | {f"{ours}.{part}": f"{theirs}.{part}_conv" for part in _ATTENTION}


def keras_name(path: Path, levels: int) -> str:
    """Return what Keras's example of a VAE, which halves so many times, calls our parameter.

    Keras numbers the layers of a kind: the example's networks are the first of their process.
    """
    names = {"dense": "dense", "expand": "dense_1", "mean": "z_mean", "log_variance": "z_log_var"}
    layer, kinds = ".".join(map(str, path[:-1])), {"down": "conv2d", "up": "conv2d_transpose"}
    if layer not in names:
        number = levels if layer == "last" else int(path[1])
        kind = kinds["up" if layer == "last" else str(path[0])]
        names[layer] = f"{kind}_{number}" if number else kind
    return f"{names[layer]}/{path[-1]}"


def from_keras(network: Autoencoder, weights: Mapping[str, np.ndarray]) -> nnx.State:
    """Return the state of an autoencoder with the weights of Keras's example, by Keras's paths.

    Raises InputError where names or shapes do not fit.
    """

    def convert(path: Path, weight: np.ndarray) -> np.ndarray:
        if path[-1] == "kernel" and path[0] in ("up", "last"):
            # [rows, columns, out, in], to be laid about each pixel -> one that is slid over them
            return weight[::-1, ::-1].swapaxes(2, 3)
        return weight

    name_of = partial(keras_name, levels=len(network.down))
    return load_by_name(network, weights, name_of, convert, "weights")


def cyclegan_names(blocks: int = 9) -> Names:
    """Return the names of CycleGAN's generator (junyanz), without dropout."""
    residual = {"first.layer": 1, "first.norm": 2, "second": 5, "norm": 6}
    up = 10 + blocks
    return _translator(
        {f"model.{1 + 3 * i}": f"model.{2 + 3 * i}" for i in range(3)},
        [
            {ours: f"model.{10 + i}.conv_block.{k}" for ours, k in residual.items()}
            for i in range(blocks)
        ],
        {f"model.{up + 3 * i}": f"model.{up + 1 + 3 * i}" for i in range(2)},
        f"model.{up + 7}",
    )


def stargan_names(blocks: int = 6) -> Names:
    """Return the names of StarGAN's generator (yunjey)."""
    residual = {"first.layer": 0, "first.norm": 1, "second": 3, "norm": 4}
    up = 9 + blocks
    return _translator(
        {f"main.{3 * i}": f"main.{1 + 3 * i}" for i in range(3)},
        [{ours: f"main.{9 + i}.main.{k}" for ours, k in residual.items()} for i in range(blocks)],
        {f"main.{up + 3 * i}": f"main.{up + 1 + 3 * i}" for i in range(2)},
        f"main.{up + 6}",
    )


def style_names(blocks: int = 5) -> Names:
    """Return the names of the example fast_neural_style's network (PyTorch)."""
    residual = {"first.layer": "conv1", "first.norm": "in1", "second": "conv2", "norm": "in2"}
    names = _translator(
        {f"conv{i}": f"in{i}" for i in (1, 2, 3)},
        [{ours: f"res{i + 1}.{name}" for ours, name in residual.items()} for i in range(blocks)],
        {f"deconv{i}": f"in{i + 3}" for i in (1, 2)},
        "deconv3",
    )
    return {
        ours: theirs if theirs.split(".")[-1].startswith("in") else f"{theirs}.conv2d"
        for ours, theirs in names.items()
    } | attention_names()


def pix2pix_names(downs: int = 8) -> Names:
    """Return the names of Pix2Pix's U-Net (junyanz): blocks in blocks."""
    names, block = {"down.0": "model.model.0", "up.0": "model.model.3"}, "model.model.1"
    for level in range(1, downs):
        inner = level == downs - 1
        names[f"down.{level}"] = f"{block}.model.1"
        names[f"up.{level}"] = f"{block}.model.{3 if inner else 5}"
        names[f"up_norms.{level - 1}"] = f"{block}.model.{4 if inner else 6}"
        if not inner:
            names[f"down_norms.{level - 1}"] = f"{block}.model.2"
        block += ".model.3"
    return names


def patchgan_names(layers: int = 3) -> Names:
    """Return the names of the PatchGAN (junyanz)."""
    return _stack(layers + 1, "model", normalized=True) | {"head": f"model.{3 * layers + 2}"}


def stargan_discriminator_names(layers: int = 6) -> Names:
    """Return the names of StarGAN's discriminator (yunjey)."""
    return _stack(layers, "main", normalized=False) | {"patches": "conv1", "labels": "conv2"}


def dcgan_discriminator_names(levels: int = 4) -> Names:
    """Return the names of DCGAN's discriminator (PyTorch's example)."""
    return _stack(levels, "main", normalized=True) | {"head": f"main.{3 * levels - 1}"}


def dcgan_decoder_names(levels: int = 4) -> Names:
    """Return the names of DCGAN's generator (PyTorch's example)."""
    layers = {f"up.{i}": f"main.{3 * (i + 1)}" for i in range(levels)}
    return {"first": "main.0"} | layers | {f"norms.{i}": f"main.{3 * i + 1}" for i in range(levels)}


def _translator(
    down: Mapping[str, str], blocks: Sequence[Mapping[str, str]], up: Mapping[str, str], last: str
) -> Names:
    """Return a translator's names of pairs of convolution and norm, and of its blocks' layers."""
    names = {"last.convolution": last} | attention_names()
    for i, (layer, norm) in enumerate(down.items()):
        ours = f"down.{i - 1}" if i else "first"
        names |= {f"{ours}.layer.convolution": layer, f"{ours}.norm": norm}
    for i, block in enumerate(blocks):
        for part, theirs in block.items():
            ours = f"blocks.{i}.{part}"
            names[ours if part.endswith("norm") else f"{ours}.convolution"] = theirs
    for i, (layer, norm) in enumerate(up.items()):
        names |= {f"up.{i}.layer": layer, f"up.{i}.norm": norm}
    return names


def _stack(layers: int, prefix: str, *, normalized: bool) -> Names:
    """Return the names of a discriminator's convolutions, and of norms between them and ReLU."""
    first = {"stack.convolutions.0": f"{prefix}.0"}
    step = 3 if normalized else 2
    names = {
        f"stack.convolutions.{i}": f"{prefix}.{step * i - (step - 2)}" for i in range(1, layers)
    }
    norms = {f"stack.norms.{i - 1}": f"{prefix}.{3 * i}" for i in range(1, layers)}
    return first | names | (norms if normalized else {}) | attention_names("stack.attention")
