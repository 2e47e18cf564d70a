"""The small latent diffusion model that is trained where none is given: sizes, words, latents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from common.diffusion.unet.unet import UNetConfig
from common.latent_diffusion.config import LatentDiffusionConfig, TextConfig, VAEConfig
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.prompts import LENGTH, every_prompt, word_tokenizer


def sizes(config: Config) -> LatentDiffusionConfig:
    """Return the sizes of all parts; latents have variance 1 and so the scale 1."""
    options = config.diffusion
    levels = len(options.channels)
    unet = UNetConfig(
        in_channels=options.latent_channels,
        out_channels=options.latent_channels,
        channels=options.channels,
        attention=(True,) * levels,
        head_channels=(options.head_channels,) * levels,
        context_features=options.context,
        residual_blocks=1,
        groups=options.groups,
        epsilon=1e-5,
        dtype=config.train.dtype,
    )
    vae = VAEConfig(
        latent_channels=options.latent_channels,
        channels=options.autoencoder_channels,
        residual_blocks=1,
        groups=options.groups,
        scale=1.0,
        dtype=config.train.dtype,
    )
    text = TextConfig(
        vocabulary=tokenizer(config).size,
        positions=LENGTH,
        features=options.context,
        hidden_features=4 * options.context,
        layers=1,
        heads=max(1, options.context // 32),
        dtype=config.train.dtype,
    )
    return replace(LatentDiffusionConfig(), unet=unet, vae=vae, text=text, side=config.data.size)


def tokenizer(config: Config) -> Tokenizer:
    """Return the tokenizer of the words of all prompts that the study has."""
    return word_tokenizer([*every_prompt().values(), config.diffusion.lora_prompt])


def unit_latents(config: Config, trained: State) -> VAE:
    """Return a trained autoencoder whose latents have variance 1.

    What they are divided by goes into the layers about them, so that every seed has one program.
    """
    graph = nnx.graphdef(nnx.eval_shape(lambda: VAE(sizes(config).vae, rngs=nnx.Rngs(0))))
    vae: Any = nnx.merge(graph, jax.tree.map(jnp.array, trained.params))
    deviation = jnp.sqrt(trained.stats)
    mean = jnp.arange(vae.quant.bias.shape[0]) < config.diffusion.latent_channels
    vae.quant.kernel[...] = jnp.where(
        mean, vae.quant.kernel[...] / deviation, vae.quant.kernel[...]
    )
    moved = vae.quant.bias[...] - 2 * jnp.log(deviation)  # the logarithm of the variance
    vae.quant.bias[...] = jnp.where(mean, vae.quant.bias[...] / deviation, moved)
    vae.post_quant.kernel[...] = vae.post_quant.kernel[...] * deviation
    return vae


def encoded(
    vae: VAE, images: Float[Array, "batch height width 3"], key: Array
) -> Float[Array, "batch rows columns channels"]:
    """Return scaled latents of images in [-1, 1], drawn by the key."""
    normal = vae.encode(images)
    return vae.scale * normal.sample(jax.random.normal(key, normal.mean.shape))
