"""The residual translator: generator of CycleGAN and StarGAN, and Johnson et al. 2016's network.

Two convolutions halve the image, residual blocks work on what is left, and two layers bring it
back. `cyclegan`, `stargan` and `style_transfer` make the published forms, which differ in widths,
padding, normalization, biases, and the way back up.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt8

from common.errors import InputError
from common.nn.conv import Conv, ConvTranspose, UpsampleConv
from common.nn.linear import ZEROS
from common.nn.normalization import InstanceNorm
from papers.surgical_vision.models.attention import SelfAttention
from papers.surgical_vision.models.drawing import draw_dcgan, draw_pytorch

Padding = Literal["reflect", "zero"]
Up = Literal["transposed3", "transposed4", "nearest"]
Maps = Float[Array, "batch height width channels"]
HALVINGS = 2


class Translator(nnx.Module):
    """Images of images in [-1, 1]: in [-1, 1] if `tanh`, about that, with nothing to bound them.

    `condition` labels are laid over the image as planes. `padding` is that of the convolutions
    that keep the size, `halving_padding` of those that halve it; norms have scale and bias if
    `affine`, convolutions before them a bias if `bias`. `up` is a transposed convolution, or
    "nearest": repeated pixels, reflected at the edges, before a 3x3 convolution. `attention`
    self-attention modules stand behind the residual blocks: this study's reading.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        blocks: int = 9,
        condition: int = 0,
        ends: int = 7,
        down: int = 3,
        up: Up = "transposed3",
        padding: Padding = "reflect",
        halving_padding: Padding = "zero",
        affine: bool = False,
        bias: bool = True,
        last_bias: bool = True,
        tanh: bool = True,
        attention: int = 0,
        reduced: int = 8,
        pooled: bool = False,
        draw: Literal["dcgan", "pytorch"] = "dcgan",
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        types: Any = {"dtype": dtype, "rngs": rngs}
        options: Any = {"affine": affine, "bias": bias, **types}
        widths = [width * 2**level for level in range(HALVINGS + 1)]
        self.first = Layer(channels + condition, width, ends, padding=padding, **options)
        self.down = nnx.List(
            Layer(before, after, down, stride=2, padding=halving_padding, **options)
            for before, after in pairwise(widths)
        )
        self.blocks = nnx.List(Residual(widths[-1], padding, **options) for _ in range(blocks))
        modules: Any = {"heads": attention, "reduced": reduced, "pooled": pooled, **types}
        self.attention = SelfAttention(widths[-1], **modules) if attention else None
        self.up = nnx.List(
            UpLayer(before, after, up, **options) for before, after in pairwise(widths[::-1])
        )
        self.last = Padded(width, channels, ends, padding=padding, use_bias=last_bias, **types)
        self.condition, self.tanh = condition, tanh
        (draw_dcgan if draw == "dcgan" else draw_pytorch)(self, rngs)

    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        labels: UInt8[Array, "batch labels"] | Float[Array, "batch labels"] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Return the images, float32; `labels` are those of the images that are wanted.

        Raises InputError for a size that cannot be halved twice, ValueError for labels that are
        not as many as `condition`.
        """
        x = self._encoded(images, labels)
        if self.attention is not None:
            x = self.attention(x)
        for layer in self.up:
            x = layer(x)
        x = self.last(x).astype(jnp.float32)
        return jnp.tanh(x) if self.tanh else x

    def attention_maps(
        self,
        images: Float[Array, "batch height width channels"],
        labels: UInt8[Array, "batch labels"] | Float[Array, "batch labels"] | None = None,
    ) -> Float[Array, "batch heads rows columns key_rows key_columns"]:
        """Return what each pixel of a quarter of the size takes from all others; for figures."""
        if self.attention is None:
            raise ValueError("this translator has no attention")
        return self.attention.maps(self._encoded(images, labels))

    def _encoded(self, images: Array, labels: Array | None) -> Array:
        """Return what comes out of the residual blocks."""
        _check_size(images.shape[1], images.shape[2])
        if (0 if labels is None else labels.shape[1]) != self.condition:
            raise ValueError(f"expected {self.condition} labels of each image")
        x = images
        if labels is not None:
            planes = labels[:, None, None].astype(x.dtype)
            planes = jnp.broadcast_to(planes, (*x.shape[:3], self.condition))
            x = jnp.concatenate([x, planes], axis=-1)
        x = self.first(x)
        for layer in (*self.down, *self.blocks):
            x = layer(x)
        return x


class Padded(nnx.Module):
    """A convolution whose edges are zeros or reflect the map: 3 pixels for a 7x7 kernel."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Padding,
        use_bias: bool,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.edge = (kernel - 1) // 2
        self.reflect = padding == "reflect"
        self.convolution = Conv(
            before, after, kernel, stride=stride, padding=0 if self.reflect else self.edge,
            use_bias=use_bias, kernel_init=ZEROS, dtype=dtype, rngs=rngs,
        )  # fmt: skip

    def __call__(self, x: Maps) -> Float[Array, "batch new_height new_width features"]:
        """Return the convolution of `x`."""
        if self.reflect:
            x = jnp.pad(x, ((0, 0), (self.edge,) * 2, (self.edge,) * 2, (0, 0)), mode="reflect")
        return self.convolution(x)


class Layer(nnx.Module):
    """A convolution, instance normalization and ReLU."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Padding,
        affine: bool,
        bias: bool,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.layer = Padded(
            before, after, kernel, stride=stride, padding=padding, use_bias=bias, **options
        )
        self.norm = InstanceNorm(after, affine=affine, **options)

    def __call__(self, x: Maps) -> Float[Array, "batch new_height new_width features"]:
        """Return the layer's output."""
        return jax.nn.relu(self.norm(self.layer(x)))


class Residual(nnx.Module):
    """Two normalized 3x3 convolutions, ReLU between them, added to what goes in."""

    def __init__(
        self, width: int, padding: Padding, *, affine: bool, bias: bool, dtype: Any, rngs: nnx.Rngs
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.first = Layer(width, width, 3, padding=padding, affine=affine, bias=bias, **options)
        self.second = Padded(width, width, 3, padding=padding, use_bias=bias, **options)
        self.norm = InstanceNorm(width, affine=affine, **options)

    def __call__(self, x: Maps) -> Float[Array, "batch height width channels"]:
        """Return the block's output."""
        return x + self.norm(self.second(self.first(x)))


class UpLayer(nnx.Module):
    """A layer to twice the size, instance normalization and ReLU."""

    def __init__(
        self,
        before: int,
        after: int,
        up: Up,
        *,
        affine: bool,
        bias: bool,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        options: Any = {"use_bias": bias, "kernel_init": ZEROS, "dtype": dtype, "rngs": rngs}
        self.layer: UpsampleConv | ConvTranspose
        if up == "nearest":
            self.layer = UpsampleConv(before, after, **options)
        elif up == "transposed3":
            self.layer = ConvTranspose(before, after, 3, padding=1, output_padding=1, **options)
        else:
            self.layer = ConvTranspose(before, after, 4, padding=1, **options)
        self.norm = InstanceNorm(after, affine=affine, dtype=dtype, rngs=rngs)

    def __call__(self, x: Maps) -> Float[Array, "batch 2*height 2*width features"]:
        """Return the layer's output."""
        if isinstance(self.layer, ConvTranspose):
            y = self.layer(x)
        else:
            # to reflect what was upsampled is to repeat its edge before, and cut that off again
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
            y = self.layer(x)[:, 2:-2, 2:-2]
        return jax.nn.relu(self.norm(y))


def cyclegan(width: int = 64, blocks: int = 9, **options: Any) -> Translator:
    """Return CycleGAN's generator (Zhu et al. 2017): the authors' resnet_9blocks."""
    return Translator(width=width, blocks=blocks, **options)


def stargan(condition: int, width: int = 64, blocks: int = 6, **options: Any) -> Translator:
    """Return StarGAN's generator (Choi et al. 2018).

    Zeros at the edges: reflected ones and instance normalization would cancel the labels' planes.
    """
    return Translator(
        width=width, blocks=blocks, condition=condition, down=4, up="transposed4", padding="zero",
        affine=True, bias=False, last_bias=False, draw="pytorch", **options,
    )  # fmt: skip


def style_transfer(width: int = 32, blocks: int = 5, **options: Any) -> Translator:
    """Return Johnson et al. 2016's network as PyTorch's example has it, for images in [-1, 1]."""
    return Translator(
        width=width, blocks=blocks, ends=9, up="nearest", halving_padding="reflect", affine=True,
        tanh=False, draw="pytorch", **options,
    )  # fmt: skip


def _check_size(height: int, width: int) -> None:
    divisor = 2**HALVINGS
    if height % divisor or width % divisor:
        raise InputError(
            f"images of {height}x{width}: the translator halves them {HALVINGS} times; give "
            f"multiples of {divisor}"
        )
