"""Convolutions rewritten so that no strided or dilated convolution is left, gradients included.

XLA's CPU backend has fast kernels for plain convolutions only, and not for all of those; see
`cpu_products` for the others. Three identities, exact but for the order of summation:

    strided      space-to-depth of the input, then a stride-1 convolution with a smaller kernel
    transposed   a stride-1 convolution to stride^2 times the channels, then depth-to-space
    upsampled    nearest-neighbor upsampling by 2 and 3x3: as transposed, with the taps that meet
                 the same pixel added up, 16 multiplications where the plain form has 36
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.nn.bilinear import AnyArray, bilinear
from common.nn.cpu_products import (
    FEW_MAPS,
    LAYOUT,
    FewMaps,
    FewPixels,
    FewPixelsTransposed,
    Pads,
    Window,
    convolution,
    padded,
    pulled,
)

# Rows 2q - 1 (phase 0) and 2q (phase 1) of the upsampled image's convolution see rows q - 1 (tap 0)
# and q (tap 1) of the image: which of the three rows of the kernel fall on which. [tap, phase, row]
_MERGED = np.array([[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]], np.float32)
_WIDE = 1 << 20  # channels times features of a large kernel
_LARGE = 1 << 20  # numbers in a large kernel that is strided or transposed
_FEW = 128  # pixels of a batch: a third of the time or less for 16, as fast for 256
_TAPS = 25  # of a large window


def on_cpu() -> bool:
    """Return whether the backend in use is the CPU's, which these forms are for."""
    return jax.default_backend() == "cpu"


def plain(x: AnyArray, kernel: AnyArray, pads: Pads) -> jax.Array:
    """Return the stride-1 convolution with zeros added before and after height and width.

    Where the output is larger than the input the zeros are added beforehand: XLA would else let
    the two change places in the kernel's gradient, which its CPU backend has no fast way for.
    """
    if any(sum(pad) >= k for pad, k in zip(pads, kernel.shape[:2], strict=True)):
        x, pads = padded(x, pads), ((0, 0), (0, 0))
    window = Window.of(x, kernel, (1, 1), pads)
    if is_wide(kernel, x.shape[0] * math.prod(window.out)):
        return bilinear(FewPixels(window), x, kernel)
    rows, columns, channels, features = kernel.shape
    if rows * columns >= _TAPS and min(channels, features) <= FEW_MAPS:
        return bilinear(FewMaps(window), x, kernel)
    return convolution(x, kernel, pads)


def is_wide(kernel: AnyArray, pixels: int) -> bool:
    """Return whether one more pass over a kernel costs more than so many pixels under it."""
    return kernel.shape[2] * kernel.shape[3] >= _WIDE and pixels <= _FEW


def _is_large(kernel: AnyArray, pixels: int) -> bool:
    """Return the same of a kernel that is strided or transposed."""
    return math.prod(kernel.shape) >= _LARGE and pixels <= _FEW


def strided(x: AnyArray, kernel: AnyArray, stride: tuple[int, int], pads: Pads) -> jax.Array:
    """Return the strided convolution: XLA's forward pass is fast, its gradients are rewritten."""
    window = Window.of(x, kernel, stride, pads)
    few = _is_large(kernel, x.shape[0] * math.prod(window.out))
    return bilinear(FewPixels(window) if few else Strided(window), x, kernel)


@dataclass(frozen=True)
class Strided:
    """A strided convolution; its gradients are those of the space-to-depth form."""

    window: Window

    def output(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        """Return the convolution."""
        window = self.window
        return lax.conv_general_dilated(
            x, kernel, window.stride, window.pads, dimension_numbers=LAYOUT
        )

    def input_slope(self, kernel: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the image."""
        x = jnp.zeros((slope.shape[0], *self.window.size, kernel.shape[2]), slope.dtype)
        return pulled(lambda x: self._form(x, kernel), x, slope)

    def kernel_slope(self, x: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the kernel."""
        kernel = jnp.zeros((*self.window.taps, x.shape[3], slope.shape[3]), slope.dtype)
        return pulled(lambda kernel: self._form(x, kernel), kernel, slope)

    def _form(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        return space_to_depth_form(x, kernel, self.window.stride, self.window.pads)


def space_to_depth_form(
    x: AnyArray, kernel: AnyArray, stride: tuple[int, int], pads: Pads
) -> jax.Array:
    """Return the strided convolution as a stride-1 convolution of stride x stride blocks."""
    window = Window.of(x, kernel, stride, pads)
    batch, (channels, features) = x.shape[0], kernel.shape[2:]
    taps = [-(-k // s) for k, s in zip(kernel.shape[:2], stride, strict=True)]  # in blocks
    blocks = [o + t - 1 for o, t in zip(window.out, taps, strict=True)]
    edges = [
        (before, block * s - size - before)  # what no window reaches is cut off
        for (before, _), block, s, size in zip(pads, blocks, stride, window.size, strict=True)
    ]
    x = padded(x, (edges[0], edges[1]))
    x = x.reshape(batch, blocks[0], stride[0], blocks[1], stride[1], channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *blocks, -1)
    filled = [(0, t * s - k) for t, s, k in zip(taps, stride, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, (*filled, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], stride[0], taps[1], stride[1], channels, features)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(*taps, -1, features)
    return plain(x, kernel, ((0, 0), (0, 0)))


def transposed(x: AnyArray, kernel: AnyArray, stride: tuple[int, int], pads: Pads) -> jax.Array:
    """Return the transposed convolution with `pads` around the input dilated by `stride`."""
    if _is_large(kernel, math.prod(x.shape[:3])):
        return bilinear(FewPixelsTransposed.of(x, kernel, stride, pads), x, kernel)
    sides = [
        _subpixel_side(*side)
        for side in zip(x.shape[1:3], kernel.shape[:2], stride, pads, strict=True)
    ]
    taps, (channels, features) = [side[0] for side in sides], kernel.shape[2:]
    filled = [(0, t * s - k) for t, s, k in zip(taps, stride, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, (*filled, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], stride[0], taps[1], stride[1], channels, features)
    kernel = jnp.flip(kernel, (1, 3)).transpose(0, 2, 4, 1, 3, 5).reshape(*taps, channels, -1)
    x = padded(x, (sides[0][1], sides[1][1]))
    y = _depth_to_space(plain(x, kernel, ((0, 0), (0, 0))), stride, features)
    (_, _, top, height), (_, _, left, width) = sides
    return y[:, top : top + height, left : left + width]


def _subpixel_side(
    size: int, kernel: int, stride: int, pad: tuple[int, int]
) -> tuple[int, tuple[int, int], int, int]:
    """Return taps, padding, first output row and their number, for one side of the image."""
    out = (size - 1) * stride + 1 + sum(pad) - kernel + 1
    taps = -(-kernel // stride)
    first = (-1 - pad[0]) // stride  # block of the input before the first window
    start = -(stride * first + 1 + pad[0])
    rows = -(-(start + out) // stride)
    before, after = -(first + 1), first + rows + taps - size
    return taps, (before, after), start, out


def upsampled(x: AnyArray, kernel: AnyArray) -> jax.Array:
    """Return nearest-neighbor upsampling by 2 followed by a 3x3 convolution that keeps the size."""
    channels, features = kernel.shape[2:]
    kernel = jnp.einsum("usk,vtl,klio->uvisto", _MERGED, _MERGED, kernel, precision="highest")
    kernel = kernel.reshape(2, 2, channels, 4 * features).astype(x.dtype)
    y = _depth_to_space(plain(x, kernel, ((1, 1), (1, 1))), (2, 2), features)
    return y[:, 1:-1, 1:-1]


def _depth_to_space(x: AnyArray, stride: tuple[int, int], features: int) -> jax.Array:
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height, width, *stride, features).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * stride[0], width * stride[1], features)
