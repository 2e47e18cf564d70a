"""The discriminators: one stack of 4x4 convolutions that halve, and what each family ends it with.

Attention, where it is asked for, stands behind the second convolution: this study's reading, the
source does not say where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.errors import InputError
from common.nn.conv import Conv
from common.nn.linear import ZEROS
from common.nn.normalization import BatchNorm, InstanceNorm
from papers.surgical_vision.models.attention import SelfAttention
from papers.surgical_vision.models.drawing import draw_dcgan, draw_pytorch

Norm = Literal["none", "instance", "affine", "batch"]
Images = Float[Array, "batch height width channels"]


class Stack(nnx.Module):
    """4x4 convolutions to each width, each before its norm (not the first) and LeakyReLU.

    All halve but the last if `keeps`, which makes the map a pixel smaller. "affine" is instance
    normalization with scale and bias. The convolutions before a norm have a bias if `bias`, as the
    first, whichever it has. `attention` modules behind the second convolution.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        *,
        norm: Norm,
        slope: float,
        bias: bool,
        first_bias: bool = True,
        keeps: bool = False,
        attention: int = 0,
        reduced: int = 8,
        pooled: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        last = len(widths) - 1
        self.convolutions = nnx.List(
            Conv(
                widths[i - 1] if i else channels, width, 4, stride=1 if keeps and i == last else 2,
                padding=1, use_bias=bias if i else first_bias, kernel_init=ZEROS, **options,
            )
            for i, width in enumerate(widths)
        )  # fmt: skip
        self.norms = nnx.List(_norm(norm, width, **options) for width in widths[1:])
        modules: Any = {"heads": attention, "reduced": reduced, "pooled": pooled, **options}
        self.attention = SelfAttention(widths[1], **modules) if attention else None
        self.slope = slope

    def __call__(
        self, images: Images, train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Return the features; `train` is for batch normalization."""
        x = jax.nn.leaky_relu(self.convolutions[0](images), self.slope)
        for i, norm in enumerate(self.norms):
            x = self.convolutions[i + 1](x)
            if isinstance(norm, BatchNorm):
                x = norm(x, train)
            elif isinstance(norm, InstanceNorm):
                x = norm(x)
            x = jax.nn.leaky_relu(x, self.slope)
            if i == 0 and self.attention is not None:
                x = self.attention(x)
        return x


class PatchGAN(nnx.Module):
    """Logits of patches (Isola et al. 2017): 70 pixels wide with 3 layers, of the authors' code.

    Pix2Pix's sees input and output, 6 channels, with "affine" norms: at the published batch of one
    the statistics of its BatchNorm are an image's own. CycleGAN's: 3 channels, "instance".
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        layers: int = 3,
        norm: Literal["instance", "affine"] = "instance",
        attention: int = 0,
        reduced: int = 8,
        pooled: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        self.stack = Stack(
            channels, widths, norm=norm, slope=0.2, bias=norm == "instance", keeps=True,
            attention=attention, reduced=reduced, pooled=pooled, dtype=dtype, rngs=rngs,
        )  # fmt: skip
        self.head = Conv(
            widths[-1], 1, 4, padding=1, kernel_init=ZEROS, dtype=dtype, rngs=rngs
        )  # fmt: skip
        self.layers = layers
        draw_dcgan(self, rngs)

    def __call__(self, images: Images) -> Float[Array, "batch rows columns 1"]:
        """Return the logits of images in [-1, 1], float32.

        Raises InputError for images that leave no patch.
        """
        smallest = min(images.shape[1:3])
        if smallest < 3 * 2**self.layers:
            raise InputError(
                f"images of {images.shape[1]}x{images.shape[2]}: a PatchGAN of {self.layers} layers"
                f" sees no patch below {3 * 2**self.layers} pixels; give larger images or fewer "
                "layers"
            )
        return self.head(self.stack(images, False)).astype(jnp.float32)


class StarGANDiscriminator(nnx.Module):
    """Scores of patches and logits of labels (Choi et al. 2018); `size` is that of the images."""

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        labels: int,
        width: int = 64,
        layers: int = 6,
        attention: int = 0,
        reduced: int = 8,
        pooled: bool = False,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        left = remaining(size, layers, "StarGAN's discriminator")
        options: Any = {"use_bias": False, "kernel_init": ZEROS, "dtype": dtype, "rngs": rngs}
        widths = [width * 2**i for i in range(layers)]
        self.stack = Stack(
            channels, widths, norm="none", slope=0.01, bias=True,
            attention=attention, reduced=reduced, pooled=pooled, dtype=dtype, rngs=rngs,
        )  # fmt: skip
        self.patches = Conv(widths[-1], 1, 3, padding=1, **options)
        self.labels = Conv(widths[-1], labels, left, padding=0, **options)
        draw_pytorch(self, rngs)

    def __call__(
        self, images: Images
    ) -> tuple[Float[Array, "batch rows columns 1"], Float[Array, "batch labels"]]:
        """Return the patches' scores and the labels' logits of images in [-1, 1], float32."""
        x = self.stack(images, False)
        labels = self.labels(x)[:, 0, 0]
        return self.patches(x).astype(jnp.float32), labels.astype(jnp.float32)


class DCGANDiscriminator(nnx.Module):
    """`outputs` numbers of an image: the logit, or, as an encoder, latents (Radford et al. 2016).

    `filters` from the finest map to the coarsest, one for each halving; the last convolution is as
    large as what is left of the images, 4x4 of the published 64.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        filters: Sequence[int] = (64, 128, 256, 512),
        outputs: int = 1,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        left = remaining(size, len(filters), "the GAN")
        self.stack = Stack(
            channels, filters, norm="batch", slope=0.2, bias=False, first_bias=False,
            dtype=dtype, rngs=rngs,
        )  # fmt: skip
        self.head = Conv(
            filters[-1], outputs, left, padding=0, use_bias=False, kernel_init=ZEROS, dtype=dtype,
            rngs=rngs,
        )  # fmt: skip
        draw_dcgan(self, rngs)

    def __call__(self, images: Images, train: bool = False) -> Float[Array, "batch outputs"]:
        """Return the numbers of images in [-1, 1], float32.

        `train` normalizes by the batch and moves the statistics.
        """
        return self.head(self.stack(images, train))[:, 0, 0].astype(jnp.float32)


def remaining(size: int, halvings: int, what: str) -> int:
    """Return the side of images of `size` pixels after so many halvings.

    Raises InputError where they cannot be halved as often.
    """
    if size % 2**halvings or not size:
        raise InputError(
            f"images of {size} pixels: {what} halves them {halvings} times; give a multiple of "
            f"{2**halvings}"
        )
    return size // 2**halvings


def _norm(norm: Norm, features: int, **options: Any) -> BatchNorm | InstanceNorm | None:
    if norm == "none":
        return None
    if norm == "batch":  # PyTorch's defaults
        return BatchNorm(features, momentum=0.9, epsilon=1e-5, **options)
    return InstanceNorm(features, affine=norm == "affine", **options)
