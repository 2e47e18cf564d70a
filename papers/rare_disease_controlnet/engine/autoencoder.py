"""The autoencoder of a small model, which stands for Stable Diffusion's frozen one."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from common.latent_diffusion.config import VAEConfig
from common.latent_diffusion.scratch import autoencoder_loss, unit_latents
from common.latent_diffusion.vae import VAE
from common.nn.building import drawn, graph_of
from common.training.ema import ema_update
from common.training.state import State
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.engine.learning import (
    Learning,
    Losses,
    begun,
    moved,
    rgb,
    sizes,
)

_DECAY = 0.99  # of the moving average of the latents' square


@functools.cache
def learning(config: Config, findings: tuple[str, ...]) -> Learning:
    """Return how it learns, by mean |x - y| and the KL penalty, on a batch's `image`."""
    options, size = config.engine, sizes(config, findings).vae
    build = functools.partial(_build, size)
    graph = graph_of(build)

    def init(key: Array, fixed: Any) -> State:
        return begun(drawn(build, key))._replace(stats=jnp.zeros(()))

    def step(
        state: State, batch: Any, index: Array, key: Array, fixed: Any
    ) -> tuple[State, Losses]:
        images, noise_key = rgb(batch["image"]), jax.random.fold_in(key, index)

        def loss(params: Any) -> Any:
            return autoencoder_loss(nnx.merge(graph, params), images, noise_key, options.kl)

        gradients, (losses, square) = jax.grad(loss, has_aux=True)(state.params)
        state = moved(state, gradients, options.autoencoder_learning_rate)
        return state._replace(stats=ema_update(state.stats, square, _DECAY, index)), losses

    return Learning(init, step)


def network_of(config: Config, findings: tuple[str, ...], trained: State) -> VAE:
    """Return the trained autoencoder, its latents of variance 1."""
    return unit_latents(sizes(config, findings).vae, trained.params, trained.stats)


def _build(size: VAEConfig, rngs: nnx.Rngs) -> VAE:
    return VAE(size, rngs=rngs)
