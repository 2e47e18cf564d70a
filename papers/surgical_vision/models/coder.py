"""Encoders and decoders through a vector: those of autoencoder and VAE, and the GAN's generator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from common.nn.conv import Conv, ConvTranspose
from common.nn.linear import ZEROS, linear
from common.nn.normalization import BatchNorm
from papers.surgical_vision.models.discriminator import DCGANDiscriminator, remaining
from papers.surgical_vision.models.drawing import draw_dcgan, draw_keras

Images = Float[Array, "batch height width channels"]
Latents = Float[Array, "batch latent"]


class Autoencoder(nnx.Module):
    """Images of images through a vector of `latent` numbers, drawn from a normal if `variational`.

    Keras's example of a VAE: convolutions that halve, to each of `filters`, `dense` features, and
    the same way back.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        filters: Sequence[int] = (32, 64),
        dense: int = 16,
        latent: int = 2,
        variational: bool = True,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        left = remaining(size, len(filters), "the autoencoder")
        pixels = left * left * filters[-1]
        self.down = nnx.List(
            Conv(before, after, 3, stride=2, kernel_init=ZEROS, **options)
            for before, after in pairwise((channels, *filters))
        )
        self.dense = linear(pixels, dense, **options)
        self.mean = linear(dense, latent, **options)
        self.log_variance = linear(dense, latent, **options) if variational else None
        self.expand = linear(latent, pixels, **options)
        self.up = nnx.List(
            ConvTranspose(before, after, 3, kernel_init=ZEROS, **options)
            for before, after in pairwise((filters[-1], *reversed(filters)))
        )
        self.last = Conv(filters[0], channels, 3, kernel_init=ZEROS, **options)
        self.left = left
        draw_keras(self, rngs)

    def encode(self, images: Images) -> tuple[Latents, Latents | None]:
        """Return means and logarithms of variances, float32, of images in [-1, 1].

        The second is None unless `variational`.
        """
        x = images / 2 + 0.5
        for layer in self.down:
            x = jax.nn.relu(layer(x))
        x = jax.nn.relu(self.dense(x.reshape(len(x), -1)))
        log_variance = self.log_variance
        return self.mean(x).astype(jnp.float32), (
            None if log_variance is None else log_variance(x).astype(jnp.float32)
        )

    def decode(self, latents: Latents) -> Images:
        """Return images in [-1, 1], float32: the example's sigmoid, in [0, 1], brought there."""
        x = jax.nn.relu(self.expand(latents))
        x = x.reshape(len(x), self.left, self.left, -1)
        for layer in self.up:
            x = jax.nn.relu(layer(x))
        return jnp.tanh(self.last(x).astype(jnp.float32) / 2)  # 2 sigmoid(x) - 1

    def __call__(self, images: Images) -> Images:
        """Return the images of the means: nothing is drawn."""
        return self.decode(self.encode(images)[0])


def sample(mean: Latents, log_variance: Latents, key: Key[Array, ""]) -> Latents:
    """Return a draw of each latent vector (Kingma & Welling 2014, section 2.4)."""
    return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)


class GANGenerator(nnx.Module):
    """Images in [-1, 1]: DCGAN's generator (Radford et al. 2016) of the latents of an image.

    The encoder, which is DCGAN's discriminator with `latent` outputs, stands where the published
    network is given noise. `filters` from the finest map to the coarsest, one for each halving.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        filters: Sequence[int] = (64, 128, 256, 512),
        latent: int = 100,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        self.encoder = DCGANDiscriminator(
            size, channels, filters=filters, outputs=latent, dtype=dtype, rngs=rngs
        )
        self.decoder = DCGANDecoder(
            size, channels, filters=filters, latent=latent, dtype=dtype, rngs=rngs
        )

    def __call__(self, images: Images, train: bool = False) -> Images:
        """Return the images, float32; `train` normalizes by the batch and moves the statistics."""
        return self.decoder(self.encoder(images, train), train)


class DCGANDecoder(nnx.Module):
    """DCGAN's generator: images in [-1, 1] of latent vectors; arguments as `GANGenerator`."""

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        filters: Sequence[int] = (64, 128, 256, 512),
        latent: int = 100,
        dtype: Any = None,
        rngs: nnx.Rngs,
    ):
        options: Any = {"dtype": dtype, "rngs": rngs}
        self.left = remaining(size, len(filters), "the GAN")
        widths = (*reversed(filters), channels)
        # the published transposed convolution of a single pixel is a linear layer
        self.first = linear(latent, self.left**2 * widths[0], use_bias=False, **options)
        self.up = nnx.List(
            ConvTranspose(before, after, 4, padding=1, use_bias=False, kernel_init=ZEROS, **options)
            for before, after in pairwise(widths)
        )
        self.norms = nnx.List(  # PyTorch's defaults
            BatchNorm(width, momentum=0.9, epsilon=1e-5, relu=True, **options)
            for width in widths[:-1]
        )
        draw_dcgan(self, rngs)

    def __call__(self, latents: Latents, train: bool = False) -> Images:
        """Return the images, float32; `train` normalizes by the batch and moves the statistics."""
        x = self.first(latents).reshape(len(latents), self.left, self.left, -1)
        for norm, layer in zip(self.norms, self.up, strict=True):
            x = layer(norm(x, train))
        return jnp.tanh(x.astype(jnp.float32))
