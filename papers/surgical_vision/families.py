"""The recipe of each model, and of what a model learns from."""

from __future__ import annotations

import functools
from collections.abc import Callable

from common.training.loop import Length
from papers.surgical_vision.config import Config
from papers.surgical_vision.recipes import (
    autoencoder,
    cyclegan,
    diffusion,
    gan,
    identity,
    pix2pix,
    stargan,
    starganv2,
    style,
)
from papers.surgical_vision.recipes.recipe import Recipe
from papers.surgical_vision.variants import MODELS, Family, Variant, identity_of

_RECIPES: dict[str, Callable[[Variant, Config], Recipe]] = {
    "autoencoder": autoencoder.recipe,
    "gan": gan.recipe,
    "pix2pix": pix2pix.recipe,
    "cyclegan": cyclegan.recipe,
    "stargan": stargan.recipe,
    "starganv2": starganv2.recipe,
    "style": style.recipe,
    "diffusion": diffusion.recipe,
}

_IDENTITIES: dict[str, Family] = {
    identity_of("cyclegan"): "cyclegan",
    identity_of("stargan"): "stargan",
    identity_of("starganv2"): "starganv2",
}


@functools.cache
def recipe_of(network: str, config: Config) -> Recipe:
    """Return how a network of the study learns; one object for all seeds."""
    if network == diffusion.AUTOENCODER:
        return diffusion.autoencoder(config)
    if network in _IDENTITIES:
        return identity.recipe(_IDENTITIES[network], config)
    variant = MODELS[network]
    return _RECIPES[variant.family](variant, config)


def length_of(network: str, config: Config, examples: int) -> Length:
    """Return how long a network is trained on so many examples of its source."""
    log = (config.train.log_every, config.train.checkpoint_minutes)
    if network in _IDENTITIES:
        return Length.of_steps(
            config.warm_start.steps, config.warm_start.batch_size, examples, *log
        )
    if network == diffusion.AUTOENCODER:
        return Length.of_steps(
            config.diffusion.autoencoder_steps, config.diffusion.batch_size, examples, *log
        )
    variant = MODELS[network]
    if variant.family == "stargan":
        options = config.stargan
        # a step of the loop holds the batches of all steps of the discriminator in it
        batch, steps = options.batch_size * options.critic_steps, options.steps
        return Length.of_steps(max(1, steps // options.critic_steps), batch, examples, *log)
    if variant.family == "starganv2":
        return Length.of_steps(config.starganv2.steps, config.starganv2.batch_size, examples, *log)
    if variant.lora:
        return Length(config.diffusion.lora_epochs, config.diffusion.lora_batch_size, *log)
    if variant.family == "diffusion":
        return Length.of_steps(
            config.diffusion.train_steps, config.diffusion.batch_size, examples, *log
        )
    options = getattr(config, variant.family)
    epochs = options.epochs + getattr(options, "decay_epochs", 0)
    return Length(epochs, options.batch_size, *log)
