"""Convolutions for the CPU where XLA's are slow: under few pixels, and to or from few maps.

    few pixels   under a large kernel: products with the kernel as it lies, where XLA would first
                 turn it over, or bring its taps into another order, at every pass
    few maps     to or from a handful of features by a large window: a convolution along the
                 columns, with a feature for each column of the window, then shifted and added up

Each is exact but for the order of summation, and a form of `common.nn.bilinear`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import jax
import jax.numpy as jnp
from jax import lax

from common.nn.bilinear import AnyArray

LAYOUT = ("NHWC", "HWIO", "NHWC")
Pads = tuple[tuple[int, int], tuple[int, int]]
FEW_MAPS = 8  # features that are a handful


@dataclass(frozen=True)
class Window:
    """Where a kernel's taps lie on an image of `size`: what is known of a convolution beforehand.

    Negative `pads` cut off.
    """

    size: tuple[int, int]
    taps: tuple[int, int]
    stride: tuple[int, int]
    pads: Pads

    @classmethod
    def of(cls, x: AnyArray, kernel: AnyArray, stride: tuple[int, int], pads: Pads) -> Window:
        """Return the window of `kernel` on `x`."""
        return cls(x.shape[1:3], kernel.shape[:2], stride, pads)

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output."""
        sides = zip(self.size, self.taps, self.stride, self.pads, strict=True)
        height, width = ((size + sum(pad) - k) // s + 1 for size, k, s, pad in sides)
        return height, width

    def met(self, x: AnyArray) -> list[jax.Array]:
        """Return for each tap the pixels that it meets: [batch out_height out_width channels]."""
        x, (down, across) = padded(x, self.pads), self.stride
        height, width = ((out - 1) * s + 1 for out, s in zip(self.out, self.stride, strict=True))
        return [
            x[:, row : row + height : down, column : column + width : across]
            for row, column in product(*map(range, self.taps))
        ]


@dataclass(frozen=True)
class FewPixels:
    """A convolution as one product: all that each output pixel sees, and the kernel as it lies."""

    window: Window

    def output(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        """Return the convolution."""
        y = self._seen(x) @ kernel.reshape(-1, kernel.shape[3])
        return y.reshape(x.shape[0], *self.window.out, -1)

    def input_slope(self, kernel: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the image."""
        channels, features = kernel.shape[2:]
        rows, matrix = slope.reshape(-1, features), kernel.reshape(-1, features)
        seen = lax.dot_general(matrix, rows, (((1,), (1,)), ((), ())))
        seen = lax.optimization_barrier(seen)  # XLA would bring the product into the slower order
        shape = (slope.shape[0], *self.window.size, channels)
        return pulled(self._seen, jnp.zeros(shape, slope.dtype), seen.T)

    def kernel_slope(self, x: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the kernel."""
        features = slope.shape[3]
        matrix = self._seen(x).T @ slope.reshape(-1, features)
        return matrix.reshape(*self.window.taps, x.shape[3], features)

    def _seen(self, x: AnyArray) -> jax.Array:
        """Return what each output pixel sees, tap after tap: [pixels, taps * channels]."""
        seen = jnp.concatenate(self.window.met(x), axis=3)
        return seen.reshape(-1, seen.shape[3])


@dataclass(frozen=True)
class FewPixelsTransposed:
    """A transposed convolution as a product for each tap, laid about each pixel of the input.

    `window` is that of the convolution whose gradient this is: from the pixels of the output to
    those of the input, its taps in the reverse of the kernel's order.
    """

    window: Window

    @classmethod
    def of(
        cls, x: AnyArray, kernel: AnyArray, stride: tuple[int, int], pads: Pads
    ) -> FewPixelsTransposed:
        """Return the form for `pads` around the dilated input."""
        sides = list(zip(x.shape[1:3], kernel.shape[:2], stride, pads, strict=True))
        height, width = ((size - 1) * s + 2 + sum(pad) - k for size, k, s, pad in sides)
        edges = [(k - 1 - before, k - 1 - after) for _, k, _, (before, after) in sides]
        return cls(Window((height, width), kernel.shape[:2], stride, (edges[0], edges[1])))

    def output(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        """Return the transposed convolution."""
        shape = (x.shape[0], *self.window.size, kernel.shape[3])
        laid = _by_tap(self._repeated(x), self._matrices(kernel), (2, 1))
        return pulled(self._met, jnp.zeros(shape, x.dtype), laid)

    def input_slope(self, kernel: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the image."""
        x = _by_tap(self._matrices(kernel), self._met(slope), (2, 2)).sum(0)  # [channels pixels]
        return x.T.reshape(slope.shape[0], *self.window.out, -1)

    def kernel_slope(self, x: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the kernel."""
        matrices = _by_tap(self._repeated(x), self._met(slope), (1, 1))
        return matrices.reshape(*self.window.taps, x.shape[3], slope.shape[3])

    def _met(self, y: AnyArray) -> jax.Array:
        """Return the output's pixels that each tap is laid on: [taps pixels features]."""
        met = jnp.stack(self.window.met(y)[::-1])
        return met.reshape(met.shape[0], -1, y.shape[3])

    def _repeated(self, x: AnyArray) -> jax.Array:
        """Return the input's pixels for each tap: [taps pixels channels]."""
        x = x.reshape(-1, x.shape[3])
        return jnp.broadcast_to(x, (math.prod(self.window.taps), *x.shape))

    def _matrices(self, kernel: AnyArray) -> jax.Array:
        return kernel.reshape(-1, *kernel.shape[2:])


def _by_tap(a: jax.Array, b: jax.Array, contracted: tuple[int, int]) -> jax.Array:
    """Return the products of two matrices for each tap, over these axes of `a` and `b`."""
    left, right = contracted
    return lax.dot_general(a, b, (((left,), (right,)), ((0,), (0,))))


@dataclass(frozen=True)
class FewMaps:
    """A stride-1 convolution that has no more than FEW_MAPS channels or features."""

    window: Window

    def output(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        """Return the convolution."""
        return _to_few_maps(x, kernel, self.window.pads)

    def input_slope(self, kernel: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the image: the convolution with the kernel turned over."""
        sides = zip(self.window.taps, self.window.pads, strict=True)
        edges = [(k - 1 - before, k - 1 - after) for k, (before, after) in sides]
        return _to_few_maps(slope, kernel[::-1, ::-1].swapaxes(2, 3), (edges[0], edges[1]))

    def kernel_slope(self, x: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for the kernel."""
        kernel = jnp.zeros((*self.window.taps, x.shape[3], slope.shape[3]), slope.dtype)
        return pulled(lambda kernel: _to_few_maps(x, kernel, self.window.pads), kernel, slope)


def _to_few_maps(x: AnyArray, kernel: AnyArray, pads: Pads) -> jax.Array:
    """Return the stride-1 convolution: where its features are few, of columns and then of rows."""
    rows, columns, channels, features = kernel.shape
    if features > FEW_MAPS:
        return convolution(x, kernel, pads)
    x = padded(x, ((0, 0), pads[1]))
    kernel = kernel.transpose(0, 2, 1, 3).reshape(rows, 1, channels, columns * features)
    y = convolution(x, kernel, (pads[0], (0, 0)))
    y = y.reshape(*y.shape[:3], columns, features)
    width = x.shape[2] - columns + 1
    return sum((y[:, :, j : j + width, j] for j in range(1, columns)), y[:, :, :width, 0])


def convolution(x: AnyArray, kernel: AnyArray, pads: Pads) -> jax.Array:
    """Return XLA's own stride-1 convolution."""
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=LAYOUT)


def padded(x: AnyArray, pads: Pads) -> jax.Array:
    """Return maps with zeros before and after height and width; negative numbers cut off."""
    edges = [(*pad, 0) for pad in pads]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))


def pulled(
    function: Callable[[jax.Array], jax.Array], primal: jax.Array, slope: AnyArray
) -> jax.Array:
    """Return the gradient for the argument of a linear function, whatever `primal` holds."""
    return jax.vjp(function, primal)[1](slope)[0]
