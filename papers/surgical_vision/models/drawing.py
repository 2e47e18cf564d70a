"""First weights of a network, by the rule of the code that it is from."""

from __future__ import annotations

import math
from typing import Any

from flax import nnx

from common.nn.conv import ConvTranspose
from common.nn.initialization import draw_normal, draw_uniform, glorot_bound

DEVIATION = 0.02  # of DCGAN's weights, and of all networks since that follow it


def draw_dcgan(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Draw kernels from N(0, 0.02²) and norms' scales from N(1, 0.02²), as DCGAN and Pix2Pix do."""
    scales = [layer.scale for layer in _layers(network, "scale")]
    kernels = [layer.kernel for layer in _layers(network, "kernel")]
    draw_normal([(parameter, DEVIATION) for parameter in (*kernels, *scales)], rngs)
    for scale in scales:
        scale.set_value(1 + scale[...])


def draw_pytorch(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Draw kernels and biases from U(±1 / sqrt(fan_in)), PyTorch's default.

    Its `fan_in` of a transposed convolution counts the output's channels.
    """
    parameters = []
    for layer in _layers(network, "kernel"):
        *window, before, after = layer.kernel.shape
        channels = after if isinstance(layer, ConvTranspose) else before
        bound = 1 / math.sqrt(math.prod(window) * channels)
        parameters += [(p, bound) for p in (layer.kernel, layer.bias) if p is not None]
    draw_uniform(parameters, rngs)


def draw_keras(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Draw kernels from Glorot & Bengio 2010's uniform distribution, Keras's default."""
    kernels = [layer.kernel for layer in _layers(network, "kernel")]
    draw_uniform([(kernel, glorot_bound(kernel.shape)) for kernel in kernels], rngs)


def _layers(network: nnx.Module, part: str) -> list[Any]:
    """Return the layers of the network that have this parameter."""
    modules: Any = nnx.iter_modules(network)
    return [layer for _, layer in modules if getattr(layer, part, None) is not None]
