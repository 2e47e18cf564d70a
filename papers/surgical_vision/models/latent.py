"""The small latent diffusion model that is trained where none is given: sizes and words."""

from __future__ import annotations

from common.latent_diffusion.config import LatentDiffusionConfig
from common.latent_diffusion.scratch import small_config
from common.latent_diffusion.tokenizer import Tokenizer
from papers.surgical_vision.config import Config
from papers.surgical_vision.prompts import LENGTH, every_prompt, word_tokenizer


def sizes(config: Config) -> LatentDiffusionConfig:
    """Return the sizes of all parts; latents have variance 1 and so the scale 1."""
    options = config.diffusion
    return small_config(
        side=config.data.size,
        latent_channels=options.latent_channels,
        autoencoder_channels=options.autoencoder_channels,
        channels=options.channels,
        head_channels=options.head_channels,
        context=options.context,
        groups=options.groups,
        vocabulary=tokenizer(config).size,
        positions=LENGTH,
        dtype=config.train.dtype,
    )


def tokenizer(config: Config) -> Tokenizer:
    """Return the tokenizer of the words of all prompts that the study has."""
    return word_tokenizer([*every_prompt().values(), config.diffusion.lora_prompt])
