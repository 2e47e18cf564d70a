"""The engine as it draws: a pipeline made of trained networks, or of the user's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax

from common.latent_diffusion.checkpoint import load
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.vae import VAE
from common.training.loop import trained_state
from common.training.state import State
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.engine import autoencoder, controlnet, denoiser, lora
from papers.rare_disease_controlnet.engine.learning import Learning, sizes
from papers.rare_disease_controlnet.networks import (
    AUTOENCODER,
    CONTROLNET,
    DENOISER,
    adaptation,
)
from papers.rare_disease_controlnet.prompts import tokenizer

Folders = Callable[[str], Path]  # where a network of the seed lies


def given(config: Config, controlled: bool = True) -> Pipeline:
    """Return the user's own model, with its ControlNet unless nothing is to be `controlled`."""
    options = config.engine
    control = (options.controlnet or None) if controlled else None
    return load(options.weights, controlnet=control, dtype=options.dtype)


def engine_of(
    config: Config, findings: tuple[str, ...], folder: Folders, count: int | None
) -> Pipeline:
    """Return the engine that was adapted to `count` films of the rare finding; None: to none.

    Raises:
        InputError: a network is not trained, or the user's weights cannot be read.
    """
    if config.engine.weights:
        whole = lora.prepared(given(config), config, findings)
        if count is None:
            return whole
        learning = lora.learning(config, findings, whole.config.schedule.prediction)
        return lora.adapted(whole, _state(folder(adaptation(count)), learning, lora.known(whole)))
    vae = trained_autoencoder(config, findings, folder)
    params = trained_denoiser(config, findings, folder, count, vae).params
    networks = denoiser.networks_of(config, findings, params)
    known = controlnet.Known(vae, networks["unet"], networks["text"])
    control = _state(folder(CONTROLNET), controlnet.learning(config, findings), known)
    return Pipeline(
        sizes(config, findings),
        tokenizer(findings, config.engine.label),
        vae=vae,
        controlnet=controlnet.network_of(config, findings, control),
        **networks,
    )


def trained_autoencoder(config: Config, findings: tuple[str, ...], folder: Folders) -> VAE:
    """Return the small model's autoencoder, its latents of variance 1."""
    return autoencoder.network_of(config, findings, _autoencoder(config, findings, folder))


def trained_denoiser(
    config: Config, findings: tuple[str, ...], folder: Folders, count: int | None, vae: VAE
) -> State:
    """Return U-Net and words of the small model, adapted to `count` films or, if None, to none."""
    name, rate = DENOISER, config.engine.learning_rate
    if count is not None:
        name, rate = adaptation(count), config.adapt.learning_rate
    return _state(folder(name), denoiser.learning(config, findings, rate), denoiser.Known(vae))


def trained_state_of(
    config: Config, findings: tuple[str, ...], folder: Folders, name: str
) -> State:
    """Return the state of a network of the small model that was adapted to `arms.main` films."""
    if name == AUTOENCODER:
        return _autoencoder(config, findings, folder)
    vae = trained_autoencoder(config, findings, folder)
    adapted = trained_denoiser(config, findings, folder, config.arms.main, vae)
    if name == adaptation(config.arms.main):
        return adapted
    networks = denoiser.networks_of(config, findings, adapted.params)
    known = controlnet.Known(vae, networks["unet"], networks["text"])
    return _state(folder(CONTROLNET), controlnet.learning(config, findings), known)


def _autoencoder(config: Config, findings: tuple[str, ...], folder: Folders) -> State:
    return _state(folder(AUTOENCODER), autoencoder.learning(config, findings), None)


def _state(folder: Path, learning: Learning, known: object) -> State:
    return trained_state(folder, jax.eval_shape(learning.init, jax.random.key(0), known))
