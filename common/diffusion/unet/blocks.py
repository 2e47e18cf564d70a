"""The parts of denoising U-Nets; equal to those of MONAI GenerativeModels 0.2.3.

All work on NHWC maps. Parameters are float32; convolutions, projections and attention compute in
`dtype`, normalization statistics and softmax always in float32. A 1x1 convolution is written as a
linear layer over channels, which it is. The time embedding is Ho et al. 2020's, with the cosines
first as in MONAI and in Stable Diffusion, for i = 0 ... c/2 - 1:

    (1)  e(t) = [cos(t f_0), cos(t f_1), ..., sin(t f_0), sin(t f_1), ...],  f_i = 10000^(-2i/c)
"""

import math
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from common.nn.attention import Attention
from common.nn.conv import Conv, UpsampleConv
from common.nn.initialization import draw_uniform
from common.nn.linear import ZEROS, layer_norm, linear
from common.nn.normalization import GroupNorm

NORM_EPSILON = 1e-6

# Initial weights are one draw, cut up in the order of the layers' names, but in a transformer in
# this one. The order is part of what a seed stands for.
_ORDER = {
    name: place
    for place, name in enumerate(("cross_attention", "ff_out", "self_attention", "ff_in"))
}


def init_weights(network: nnx.Module, rngs: nnx.Rngs, zero: Collection[str]) -> None:
    """Draw the kernels and biases of all layers as PyTorch does; those named in `zero` stay zero.

    U(-b, b) with b = 1 / sqrt(fan_in).
    """

    def place(module: tuple[tuple, Any]) -> list:
        return [(_ORDER.get(name, -1), name) for name in module[0]]

    modules: Any = sorted(nnx.iter_modules(network), key=place)
    drawn = [
        (parameter, 1 / math.sqrt(math.prod(layer.kernel.shape[:-1])))
        for path, layer in modules
        if hasattr(layer, "kernel") and path[-1] not in zero
        for parameter in (layer.kernel, layer.bias)
        if parameter is not None
    ]
    draw_uniform(drawn, rngs)


def time_embedding(t: Int[Array, " batch"], features: int) -> Float[Array, "batch features"]:
    """Return sines and cosines of the time step: equation (1)."""
    frequencies = jnp.exp(-jnp.log(10000.0) * jnp.arange(features // 2) / (features // 2))
    angles = t[:, None] * frequencies
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def convolution(in_features: int, out_features: int, **options: Any) -> Conv:
    """Return a 3x3 convolution with zero padding of one pixel."""
    return Conv(in_features, out_features, 3, padding=1, kernel_init=ZEROS, **options)


def upsampling(features: int, **options: Any) -> UpsampleConv:
    """Return nearest-neighbor upsampling by two with a 3x3 convolution."""
    return UpsampleConv(features, features, kernel_init=ZEROS, **options)


class ResidualBlock(nnx.Module):
    """Two normalized convolutions with the time embedding added between, around a skip.

    Without `time_features` there is no time, as in an autoencoder.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        time_features: int | None,
        groups: int,
        *,
        epsilon: float = NORM_EPSILON,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        norm: Any = {"epsilon": epsilon, "silu": True, **options}
        self.norm1 = GroupNorm(in_features, groups, **norm)
        self.conv1 = convolution(in_features, out_features, **options)
        if time_features is not None:
            self.time = linear(time_features, out_features, **options)
        self.norm2 = GroupNorm(out_features, groups, **norm)
        self.conv2 = convolution(out_features, out_features, **options)
        same = in_features == out_features
        self.skip = None if same else linear(in_features, out_features, **options)

    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        time: Float[Array, "batch time_features"] | None = None,
    ) -> Float[Array, "batch height width features"]:
        """Return the block's output; `time` is the activated time embedding."""
        h = self.conv1(self.norm1(x))
        if time is not None:
            h = h + self.time(time)[:, None, None]
        h = self.conv2(self.norm2(h))
        return h + (x if self.skip is None else self.skip(x))


class TransformerBlock(nnx.Module):
    """Self-attention, attention to the context, and a GEGLU feed-forward layer."""

    def __init__(
        self, features: int, heads: int, context_features: int, *, dtype: Any, rngs: nnx.Rngs
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.norm1, self.norm2, self.norm3 = (layer_norm(features, **options) for _ in range(3))
        self.self_attention = Attention(features, features, heads, **options)
        self.cross_attention = Attention(features, context_features, heads, **options)
        self.ff_in = linear(features, 8 * features, **options)
        self.ff_out = linear(4 * features, features, **options)

    def __call__(
        self,
        x: Float[Array, "batch tokens features"],
        context: Float[Array, "batch context_tokens context_features"],
    ) -> Float[Array, "batch tokens features"]:
        """Return the block's output."""
        y = self.norm1(x)
        x = x + self.self_attention(y, y)
        x = x + self.cross_attention(self.norm2(x), context)
        value, gate = jnp.split(self.ff_in(self.norm3(x)), 2, axis=-1)
        return x + self.ff_out(value * jax.nn.gelu(gate, approximate=False))


class SpatialTransformer(nnx.Module):
    """A transformer block over the pixels of a map, around a skip."""

    def __init__(
        self,
        features: int,
        head_features: int,
        context_features: int,
        groups: int,
        *,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.norm = GroupNorm(features, groups, epsilon=NORM_EPSILON, **options)
        self.proj_in = linear(features, features, **options)
        heads = features // head_features
        self.transformer = TransformerBlock(features, heads, context_features, **options)
        self.proj_out = linear(features, features, **options)

    def __call__(
        self,
        x: Float[Array, "batch height width features"],
        context: Float[Array, "batch context_tokens context_features"],
    ) -> Float[Array, "batch height width features"]:
        """Return `x` with what attention adds to it."""
        batch, height, width, features = x.shape
        tokens = self.proj_in(self.norm(x)).reshape(batch, height * width, features)
        return x + self.proj_out(self.transformer(tokens, context).reshape(x.shape))


class Block(nnx.Module):
    """A residual block, then attention where the level has it."""

    def __init__(self, residual: ResidualBlock, attention: SpatialTransformer | None):
        self.residual = residual
        self.attention = attention

    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        time: Float[Array, "batch time_features"],
        context: Float[Array, "batch context_tokens context_features"],
    ) -> Float[Array, "batch height width features"]:
        """Return the block's output."""
        x = self.residual(x, time)
        return x if self.attention is None else self.attention(x, context)


class Down(nnx.Module):
    """The blocks of one resolution on the way down, and the strided convolution to the next."""

    def __init__(self, blocks: list[Block], downsample: Conv | None):
        self.blocks = nnx.List(blocks)
        self.downsample = downsample


class Up(nnx.Module):
    """The blocks of one resolution on the way up, and the upsampling to the next."""

    def __init__(self, blocks: list[Block], upsample: UpsampleConv | None):
        self.blocks = nnx.List(blocks)
        self.upsample = upsample
