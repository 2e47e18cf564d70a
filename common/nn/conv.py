"""Convolutions in NHWC, in the form that is fastest on the backend in use.

GPU and TPU have fast kernels for all of them; for the CPU see `common.nn.cpu_forms`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from common.nn import cpu_forms
from common.nn.cpu_products import LAYOUT

Pair = int | tuple[int, int]
AnyArray = Array | np.ndarray
Padding = int | tuple[int, int] | str

_KERNEL_INIT = nnx.initializers.lecun_normal()


def pair(value: Pair) -> tuple[int, int]:
    """Return (height, width) of one number for both, or the pair itself."""
    return (value, value) if isinstance(value, int) else value


def explicit_padding(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
) -> list[tuple[int, int]]:
    """Return (before, after) of height and width: symmetric for numbers, XLA's for strings."""
    if isinstance(padding, str):
        extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        return list(lax.padtype_to_pads(size, extent, stride, padding))
    return [(p, p) for p in pair(padding)]


def transposed_padding(kernel: int, stride: int, padding: str) -> tuple[int, int]:
    """Return what `lax.conv_transpose` adds around the dilated input for "SAME" or "VALID"."""
    total = (
        kernel + stride - 2 if padding == "SAME" else kernel + stride - 2 + max(kernel - stride, 0)
    )
    if padding != "SAME":
        return kernel - 1, total - kernel + 1
    before = kernel - 1 if stride > kernel - 1 else -(-total // 2)
    return before, total - before


def conv(
    x: Float[AnyArray, "batch height width channels"],
    kernel: Float[AnyArray, "rows columns channels features"],
    stride: Pair = 1,
    padding: Padding = "SAME",
    dilation: Pair = 1,
) -> Float[Array, "batch out_height out_width features"]:
    """Return the convolution of `x` with an HWIO `kernel`.

    A number as `padding` is PyTorch's: that many zeros on each side; "SAME" and "VALID" are XLA's.
    """
    stride, dilation = pair(stride), pair(dilation)
    pads = explicit_padding(x.shape[1:3], kernel.shape[:2], stride, padding, dilation)
    if cpu_forms.on_cpu() and dilation == (1, 1):
        if stride == (1, 1):
            return cpu_forms.plain(x, kernel, (pads[0], pads[1]))
        return cpu_forms.strided(x, kernel, stride, (pads[0], pads[1]))
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    return lax.conv_general_dilated(
        x, kernel, stride, pads, rhs_dilation=dilation, dimension_numbers=LAYOUT
    )


def conv_transpose(
    x: Float[AnyArray, "batch height width channels"],
    kernel: Float[AnyArray, "rows columns channels features"],
    stride: Pair = 2,
    padding: Padding = "SAME",
    output_padding: int = 0,
) -> Float[Array, "batch out_height out_width features"]:
    """Return the transposed convolution of `x` with an HWIO `kernel`, as `lax.conv_transpose`.

    A number as `padding` is PyTorch's: it removes as much on either side of the output, to which
    its `output_padding` adds rows and columns at the end. "SAME" gives `stride` times the size.
    PyTorch's weight [in, out, rows, columns] is this kernel with rows and columns reversed.
    """
    if not isinstance(padding, str):
        sides = zip(kernel.shape[:2], pair(padding), strict=True)
        pads: Any = [(k - 1 - p, k - 1 - p + output_padding) for k, p in sides]
    else:
        pads = padding
    if cpu_forms.on_cpu():
        explicit = pads
        if isinstance(pads, str):
            sides = zip(kernel.shape[:2], pair(stride), strict=True)
            explicit = [transposed_padding(k, s, pads) for k, s in sides]
        return cpu_forms.transposed(x, kernel, pair(stride), (explicit[0], explicit[1]))
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    return lax.conv_transpose(x, kernel, pair(stride), pads, dimension_numbers=LAYOUT)


class Conv(nnx.Module):
    """Convolution layer: `kernel` [rows columns in out] and `bias` [out], as `flax.nnx.Conv`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = "SAME",
        dilation: Pair = 1,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = _KERNEL_INIT,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        shape = (*pair(kernel_size), in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None
        self.stride, self.padding, self.dilation, self.dtype = stride, padding, dilation, dtype

    def __call__(
        self, x: Float[AnyArray, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width features"]:
        """Return the convolution of `x` in the compute type."""
        dtype = self.dtype or jnp.float32
        kernel = self.kernel[...].astype(dtype)
        y = conv(x.astype(dtype), kernel, self.stride, self.padding, self.dilation)
        return y if self.bias is None else y + self.bias[...].astype(dtype)


class ConvTranspose(nnx.Module):
    """Transposed convolution layer: `kernel` [rows columns in out] and `bias` [out], as flax."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Pair,
        *,
        stride: Pair = 2,
        padding: Padding = "SAME",
        output_padding: int = 0,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = _KERNEL_INIT,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        shape = (*pair(kernel_size), in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None
        self.stride, self.padding, self.dtype = stride, padding, dtype
        self.output_padding = output_padding

    def __call__(
        self, x: Float[AnyArray, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width features"]:
        """Return the transposed convolution of `x` in the compute type."""
        dtype = self.dtype or jnp.float32
        kernel = self.kernel[...].astype(dtype)
        y = conv_transpose(x.astype(dtype), kernel, self.stride, self.padding, self.output_padding)
        return y if self.bias is None else y + self.bias[...].astype(dtype)


class UpsampleConv(nnx.Module):
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution; parameters as `Conv`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = _KERNEL_INIT,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        shape = (3, 3, in_features, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None
        self.dtype = dtype

    def __call__(
        self, x: Float[AnyArray, "batch height width channels"]
    ) -> Float[Array, "batch 2*height 2*width features"]:
        """Return the convolution of the upsampled `x` in the compute type."""
        dtype = self.dtype or jnp.float32
        x, kernel = x.astype(dtype), self.kernel[...].astype(dtype)
        # to add the kernel's taps up would cost more than they save where there are few pixels
        few = cpu_forms.is_wide(kernel, x.shape[0] * x.shape[1] * x.shape[2])
        if cpu_forms.on_cpu() and not few:
            y = cpu_forms.upsampled(x, kernel)
        else:
            y = conv(upsample_nearest(x, 2), kernel)
        return y if self.bias is None else y + self.bias[...].astype(dtype)


def upsample_nearest(
    x: Float[AnyArray, "batch height width channels"], factor: int
) -> Float[Array, "batch {factor}*height {factor}*width channels"]:
    """Return `x` with every pixel repeated `factor` times in both directions."""
    b, h, w, c = x.shape
    blocks = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
    return blocks.reshape(b, h * factor, w * factor, c)


def max_pool(
    x: Float[AnyArray, "batch height width channels"],
    window: int,
    stride: int | None = None,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width channels"]:
    """Return the maximum of each window, as PyTorch's max_pool2d; stride: the window's size.

    Where windows lie side by side, equal largest values share the gradient.
    """
    if (blocks := _blocks(x, window, stride, padding)) is not None:
        return blocks.max((2, 4))  # its gradient needs no select-and-scatter
    return _reduce(x, -jnp.inf, lax.max, window, stride, padding)


def avg_pool(
    x: Float[AnyArray, "batch height width channels"],
    window: int,
    stride: int | None = None,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width channels"]:
    """Return the mean of each window, padding not counted; stride: the window's size.

    Matches PyTorch's avg_pool2d with `count_include_pad=False`.
    """
    if (blocks := _blocks(x, window, stride, padding)) is not None:
        return blocks.mean((2, 4))
    total = _reduce(x, 0.0, lax.add, window, stride, padding)
    return total / _reduce(jnp.ones_like(x[:1, :, :, :1]), 0.0, lax.add, window, stride, padding)


def _blocks(x: Any, window: int, stride: int | None, padding: int) -> jax.Array | None:
    """Return `x` cut into windows that lie side by side, minus what they leave over; else None."""
    b, h, w, c = x.shape
    if padding or stride not in (None, window):
        return None
    h, w = h // window, w // window
    return x[:, : h * window, : w * window].reshape(b, h, window, w, window, c)


def _reduce(
    x: AnyArray, start: float, operation: Any, window: int, stride: int | None, padding: int
) -> jax.Array:
    stride = stride or window
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(
        x, start, operation, (1, window, window, 1), (1, stride, stride, 1), pads
    )
