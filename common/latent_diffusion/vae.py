"""The autoencoder between images and latents; equal to diffusers' `AutoencoderKL`.

Rombach et al. 2022 (arXiv:2112.10752), section 3.1, with the Kullback-Leibler penalty: the encoder
gives a normal distribution for each latent,

    (1)  q(z | x) = N(mean(x), exp(log_variance(x))),   log_variance clamped to [-30, 20]

Latents that a diffusion model sees are such z times `VAEConfig.scale`, which makes their standard
deviation about 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.diffusion.unet.blocks import (
    NORM_EPSILON,
    ResidualBlock,
    convolution,
    init_weights,
    upsampling,
)
from common.latent_diffusion.config import VAEConfig
from common.nn.attention import Attention
from common.nn.conv import Conv, UpsampleConv
from common.nn.linear import ZEROS, linear
from common.nn.normalization import GroupNorm

Images = Float[Array, "batch height width channels"]
Latents = Float[Array, "batch rows columns latent_channels"]
Map = Float[Array, "batch _rows _columns _features"]  # of any resolution


class Normal(NamedTuple):
    """The distribution of unscaled latents: equation (1)."""

    mean: Latents
    log_variance: Latents

    def sample(self, noise: Latents) -> Latents:
        """Return a draw by standard normal `noise`."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def kl(self) -> Float[Array, " batch"]:
        """Return the Kullback-Leibler divergence from a standard normal, summed over latents."""
        variance = jnp.exp(self.log_variance)
        return 0.5 * (self.mean**2 + variance - 1 - self.log_variance).sum((1, 2, 3))


class PixelAttention(nnx.Module):
    """Self-attention of one head over the pixels of a map, around a skip."""

    def __init__(self, features: int, groups: int, *, dtype: Any, rngs: nnx.Rngs):
        self.norm = GroupNorm(features, groups, epsilon=NORM_EPSILON, dtype=dtype, rngs=rngs)
        self.attention = Attention(features, features, 1, bias=True, dtype=dtype, rngs=rngs)

    def __call__(self, x: Images) -> Images:
        """Return `x` with what attention adds to it."""
        tokens = self.norm(x).reshape(x.shape[0], -1, x.shape[3])
        return x + self.attention(tokens, tokens).reshape(x.shape)


class Middle(nnx.Module):
    """Two residual blocks with attention between."""

    def __init__(self, features: int, groups: int, **options: Any):
        self.residual1 = ResidualBlock(features, features, None, groups, **options)
        self.attention = PixelAttention(features, groups, **options)
        self.residual2 = ResidualBlock(features, features, None, groups, **options)

    def __call__(self, x: Images) -> Images:
        """Return the blocks' output."""
        return self.residual2(self.attention(self.residual1(x)))


class Level(nnx.Module):
    """The blocks of one resolution, and the way to the next; None where it is the last."""

    def __init__(self, blocks: list[ResidualBlock], resample: Conv | UpsampleConv | None):
        self.blocks = nnx.List(blocks)
        self.resample = resample

    def run(self, x: Map) -> Map:
        """Return the output of the blocks."""
        for block in self.blocks:
            x = block(x)
        return x


class Encoder(nnx.Module):
    """Images to the mean and logarithm of the variance of their latents, before `quant`."""

    def __init__(self, config: VAEConfig, **options: Any):
        channels, features, groups = config.channels, config.channels[-1], config.groups
        self.conv_in = convolution(config.image_channels, channels[0], **options)
        blocks = config.residual_blocks
        self.down = _levels(channels, blocks, groups, _halving, **options)
        self.middle = Middle(features, groups, **options)
        self.norm_out = GroupNorm(features, groups, epsilon=NORM_EPSILON, silu=True, **options)
        self.conv_out = convolution(features, 2 * config.latent_channels, **options)

    def __call__(self, x: Images) -> Map:
        """Return twice as many channels as the latents have."""
        h = self.conv_in(x)
        for level in self.down:
            h = level.run(h)
            if level.resample is not None:
                # a row and a column of zeros behind the image and none before it
                h = level.resample(jnp.pad(h, ((0, 0), (0, 1), (0, 1), (0, 0))))
        return self.conv_out(self.norm_out(self.middle(h)))


class Decoder(nnx.Module):
    """Latents, after `post_quant`, to images."""

    def __init__(self, config: VAEConfig, **options: Any):
        channels, features, groups = config.channels[::-1], config.channels[0], config.groups
        self.conv_in = convolution(config.latent_channels, channels[0], **options)
        self.middle = Middle(channels[0], groups, **options)
        blocks = config.residual_blocks + 1
        self.up = _levels(channels, blocks, groups, upsampling, **options)
        self.norm_out = GroupNorm(features, groups, epsilon=NORM_EPSILON, silu=True, **options)
        self.conv_out = convolution(features, config.image_channels, **options)

    def __call__(self, z: Latents) -> Images:
        """Return images, unclipped."""
        h = self.middle(self.conv_in(z))
        for level in self.up:
            h = level.run(h)
            if level.resample is not None:
                h = level.resample(h)
        return self.conv_out(self.norm_out(h))


class VAE(nnx.Module):
    """The autoencoder: images in [-1, 1], scaled latents of 1/`factor` of their height and width.

    Layers compute in the config's `dtype`, what comes out is float32.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs):
        options: Any = {"dtype": jnp.dtype(config.dtype), "rngs": rngs}
        self.scale, self.factor = config.scale, config.factor
        self.encoder = Encoder(config, **options)
        self.quant = linear(2 * config.latent_channels, 2 * config.latent_channels, **options)
        self.post_quant = linear(config.latent_channels, config.latent_channels, **options)
        self.decoder = Decoder(config, **options)
        init_weights(self, rngs, zero=())

    def encode(self, images: Images) -> Normal:
        """Return the distribution of unscaled latents of images in [-1, 1]: equation (1).

        Raises ValueError where height or width are no multiples of `factor`.
        """
        if images.shape[1] % self.factor or images.shape[2] % self.factor:
            raise ValueError(
                f"height and width {images.shape[1:3]} must be multiples of {self.factor}"
            )
        moments = self.quant(self.encoder(images)).astype(jnp.float32)
        mean, log_variance = jnp.split(moments, 2, axis=-1)
        return Normal(mean, jnp.clip(log_variance, -30.0, 20.0))

    def decode(self, latents: Latents) -> Images:
        """Return the images of scaled latents: about [-1, 1], unclipped."""
        return self.decoder(self.post_quant(latents / self.scale)).astype(jnp.float32)


def to_unit_range(images: Images) -> Images:
    """Return images of [-1, 1] in [0, 1], clipped."""
    return jnp.clip(images / 2 + 0.5, 0, 1)


def _halving(features: int, **options: Any) -> Conv:
    return Conv(features, features, 3, stride=2, padding=0, kernel_init=ZEROS, **options)


def _levels(
    channels: tuple[int, ...], count: int, groups: int, resample: Callable, **options: Any
) -> nnx.List:
    """Return the resolutions one after the other, each of `count` blocks, and the ways between."""
    features, levels = channels[0], []
    for level, width in enumerate(channels):
        blocks = []
        for _ in range(count):
            blocks.append(ResidualBlock(features, width, None, groups, **options))
            features = width
        last = level == len(channels) - 1
        levels.append(Level(blocks, None if last else resample(features, **options)))
    return nnx.List(levels)
