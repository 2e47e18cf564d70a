"""What StarGANv2's networks are made of (Choi et al. 2020, appendix).

Pre-activation residual blocks, whose sum is divided by sqrt 2, with LeakyReLU 0.2 and average
pooling or nearest-neighbor upsampling by 2. Parameters are float32, all computes in `dtype`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.nn.conv import Conv, UpsampleConv, avg_pool, upsample_nearest
from common.nn.initialization import draw_normal
from common.nn.linear import ZEROS, linear
from common.nn.normalization import InstanceNorm

Maps = Float[Array, "batch height width channels"]
Styles = Float[Array, "batch style"]
SLOPE = 0.2  # of LeakyReLU below 0


class Block(nnx.Module):
    """Two convolutions around a skip, at half the size if `down`, normalized by image if `norm`."""

    def __init__(
        self, before: int, after: int, *, down: bool, norm: bool, dtype: Any, rngs: nnx.Rngs
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.norm1 = InstanceNorm(before, affine=True, **options) if norm else None
        self.conv1 = convolution(before, before, **options)
        self.norm2 = InstanceNorm(before, affine=True, **options) if norm else None
        self.conv2 = convolution(before, after, **options)
        self.skip = _skip(before, after, **options)
        self.down = down

    def __call__(self, x: Maps) -> Float[Array, "batch new_height new_width features"]:
        """Return the block's output."""
        h = self.conv1(leaky(x if self.norm1 is None else self.norm1(x)))
        if self.down:
            # a 1x1 convolution and a mean over pixels may change places: here the cheaper is first
            h, x = avg_pool(h, 2), avg_pool(x, 2)
        h = self.conv2(leaky(h if self.norm2 is None else self.norm2(h)))
        return _sum(h, x if self.skip is None else self.skip(x))


class StyledBlock(nnx.Module):
    """Two convolutions around a skip, normalized by the style, at twice the size if `up`."""

    def __init__(
        self, before: int, after: int, style: int, *, up: bool, dtype: Any, rngs: nnx.Rngs
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.norm1 = AdaIN(before, style, **options)
        self.conv1 = (
            UpsampleConv(before, after, kernel_init=ZEROS, **options)
            if up
            else convolution(before, after, **options)
        )
        self.norm2 = AdaIN(after, style, **options)
        self.conv2 = convolution(after, after, **options)
        self.skip = _skip(before, after, **options)
        self.up = up

    def __call__(
        self, x: Maps, styles: Styles
    ) -> Float[Array, "batch new_height new_width features"]:
        """Return the block's output."""
        h = self.conv1(leaky(self.norm1(x, styles)))
        h = self.conv2(leaky(self.norm2(h, styles)))
        x = x if self.skip is None else self.skip(x)
        return _sum(h, upsample_nearest(x, 2) if self.up else x)


class AdaIN(nnx.Module):
    """Adaptive instance normalization (Huang & Belongie 2017): scale and shift are the style's.

    The scale is 1 more than the linear layer gives, which is the paper's bias of one.
    """

    def __init__(self, features: int, style: int, *, dtype: Any, rngs: nnx.Rngs):
        self.norm = InstanceNorm(features, dtype=dtype, rngs=rngs)
        self.affine = linear(style, 2 * features, dtype=dtype, rngs=rngs)

    def __call__(self, x: Maps, styles: Styles) -> Float[Array, "batch height width channels"]:
        """Return `x` normalized, scaled and shifted."""
        scale, shift = jnp.split(self.affine(styles)[:, None, None], 2, axis=-1)
        return self.norm(x) * (1 + scale) + shift


class DomainLinear(nnx.Module):
    """A linear layer of each domain: `kernel` [domains in out] and `bias` [domains out]."""

    def __init__(self, before: int, after: int, domains: int, *, dtype: Any, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jnp.zeros((domains, before, after)))
        self.bias = nnx.Param(jnp.zeros((domains, after)))
        self.domains, self.dtype = domains, dtype

    def __call__(
        self, x: Float[Array, "batch domains before"]
    ) -> Float[Array, "batch domains after"]:
        """Return each domain's output of its input."""
        dtype = self.dtype or jnp.float32
        kernel, bias = self.kernel[...].astype(dtype), self.bias[...].astype(dtype)
        return jnp.einsum("ndi,dio->ndo", x.astype(dtype), kernel) + bias


def convolution(before: int, after: int, **options: Any) -> Conv:
    """Return a 3x3 convolution that keeps the size, its kernel zero until weights are drawn."""
    return Conv(before, after, 3, padding=1, kernel_init=ZEROS, **options)


def _skip(before: int, after: int, **options: Any) -> nnx.Linear | None:
    """Return the 1x1 convolution of a skip between two widths; None between equal ones."""
    return None if before == after else linear(before, after, use_bias=False, **options)


def leaky(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return LeakyReLU."""
    return jax.nn.leaky_relu(x, SLOPE)


def _sum(residual: Array, skip: Array) -> Array:
    return (residual + skip) / math.sqrt(2)


def draw(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Draw all kernels from He et al. 2015's normal distribution, N(0, 2 / fan_in)."""
    modules: Any = nnx.iter_modules(network)
    layers = [layer for _, layer in modules if hasattr(layer, "kernel")]
    draw_normal([(layer.kernel, math.sqrt(2 / _fan_in(layer))) for layer in layers], rngs)


def _fan_in(layer: Any) -> int:
    shape = layer.kernel.shape
    return shape[1] if isinstance(layer, DomainLinear) else math.prod(shape[:-1])
