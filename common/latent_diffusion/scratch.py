"""A small latent diffusion model that is trained from nothing: its sizes, and its autoencoder.

Stable Diffusion's latents are divided by their standard deviation through a constant. Here what
they are divided by is measured while the autoencoder learns, and goes into its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from common.diffusion.unet.unet import UNet, UNetConfig
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import (
    HintConfig,
    LatentDiffusionConfig,
    ScheduleConfig,
    TextConfig,
    VAEConfig,
)
from common.latent_diffusion.vae import VAE
from common.nn.building import Build, graph_of

Images = Float[Array, "batch height width channels"]  # [-1, 1]


def small_config(
    *,
    side: int,
    latent_channels: int,
    autoencoder_channels: tuple[int, ...],
    channels: tuple[int, ...],
    head_channels: int,
    context: int,
    groups: int,
    vocabulary: int,
    positions: int,
    text_layers: int = 1,
    schedule: ScheduleConfig | None = None,
    hint: HintConfig | None = None,
    dtype: str = "float32",
) -> LatentDiffusionConfig:
    """Return the sizes of all parts: attention at every level, one residual block of each."""
    levels = len(channels)
    unet = UNetConfig(
        in_channels=latent_channels,
        out_channels=latent_channels,
        channels=channels,
        attention=(True,) * levels,
        head_channels=(head_channels,) * levels,
        context_features=context,
        residual_blocks=1,
        groups=groups,
        epsilon=1e-5,
        dtype=dtype,
    )
    vae = VAEConfig(
        latent_channels=latent_channels,
        channels=autoencoder_channels,
        residual_blocks=1,
        groups=groups,
        scale=1.0,
        dtype=dtype,
    )
    text = TextConfig(
        vocabulary=vocabulary,
        positions=positions,
        features=context,
        hidden_features=4 * context,
        layers=text_layers,
        heads=max(1, context // 32),
        dtype=dtype,
    )
    return replace(
        LatentDiffusionConfig(),
        unet=unet,
        vae=vae,
        text=text,
        schedule=schedule or ScheduleConfig(),
        hint=hint,
        side=side,
    )


def denoiser_builds(config: LatentDiffusionConfig) -> dict[str, Build]:
    """Return what builds U-Net and text encoder, which learn together."""
    return {
        "unet": lambda rngs: UNet(config.unet, rngs=rngs),
        "text": lambda rngs: TextEncoder(config.text, rngs=rngs),
    }


def autoencoder_loss(
    network: VAE, images: Images, key: Array, kl: float
) -> tuple[Float[Array, ""], tuple[Mapping[str, Array], Float[Array, ""]]]:
    """Return mean |x - y| plus `kl` times the penalty a value, its parts, and the latents' square.

    The last is the mean square of the latents, whose moving average is for `unit_latents`.
    """
    normal = network.encode(images)
    latents = normal.sample(jax.random.normal(key, normal.mean.shape))
    error = jnp.abs(network.decode(latents) - images).mean()
    penalty = kl * normal.kl().mean() / images[0].size
    losses = {"loss": error + penalty, "l1": error, "kl": penalty}
    return losses["loss"], (losses, jnp.square(latents).mean())


def unit_latents(config: VAEConfig, params: PyTree, square: Float[Array | np.ndarray, ""]) -> VAE:
    """Return a trained autoencoder whose latents have variance 1, given their mean square.

    What they are divided by goes into the layers about them, so that every seed has one program.
    """
    graph = graph_of(lambda rngs: VAE(config, rngs=rngs))
    vae: Any = nnx.merge(graph, jax.tree.map(jnp.array, params))
    deviation = jnp.sqrt(square)
    mean = jnp.arange(vae.quant.bias.shape[0]) < config.latent_channels
    vae.quant.kernel[...] = jnp.where(
        mean, vae.quant.kernel[...] / deviation, vae.quant.kernel[...]
    )
    moved = vae.quant.bias[...] - 2 * jnp.log(deviation)  # the logarithm of the variance
    vae.quant.bias[...] = jnp.where(mean, vae.quant.bias[...] / deviation, moved)
    vae.post_quant.kernel[...] = vae.post_quant.kernel[...] * deviation
    return vae


def encoded(
    vae: VAE, images: Images, key: Array
) -> Float[Array, "batch rows columns latent_channels"]:
    """Return scaled latents of images, drawn by the key."""
    normal = vae.encode(images)
    return vae.scale * normal.sample(jax.random.normal(key, normal.mean.shape))
