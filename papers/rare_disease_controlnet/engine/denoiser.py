"""U-Net and words of a small model, which learn together on the autoencoder's latents.

They minimize (Ho et al. 2020, equation 14), or the same of the velocity,

    mean || e - e'(sqrt(a_t) z + sqrt(1 - a_t) e, t, prompt) ||²

The adaptation by all parameters is the same training, begun with what was learned before.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, PyTree

from common.diffusion.schedule import Schedule
from common.latent_diffusion.config import LatentDiffusionConfig
from common.latent_diffusion.scratch import denoiser_builds, encoded
from common.latent_diffusion.training import (
    Fixed,
    Objective,
    draw_examples,
    make_loss,
    unet_prediction,
)
from common.latent_diffusion.vae import VAE
from common.nn.building import drawn, graph_of
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
from papers.rare_disease_controlnet.prompts import tokenizer


class Known(NamedTuple):
    """What the training reads: the autoencoder, and the parameters that it begins with, if any."""

    vae: VAE
    params: PyTree = None


@functools.cache
def learning(config: Config, findings: tuple[str, ...], rate: float) -> Learning:
    """Return how they learn at this rate on a batch's `image` and the `ids` of its prompts."""
    options, size = config.engine, sizes(config, findings)
    objective = Objective(options.prediction, dropout=options.prompt_dropout)
    builds, graphs = denoiser_builds(size), graphs_of(size)
    empty = tokenizer(findings, options.label)("")
    loss_of = make_loss(unet_prediction(graphs["unet"]), objective)

    def init(key: Array, fixed: Known) -> State:
        if fixed.params is not None:
            return begun(fixed.params)
        keys = jax.random.split(key)
        named = zip(builds.items(), keys, strict=True)
        return begun({name: drawn(build, one) for (name, build), one in named})

    def step(
        state: State, batch: Any, index: Array, key: Array, fixed: Known
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index))
        latents = encoded(fixed.vae, rgb(batch["image"]), keys[0])

        def loss(params: Any) -> Array:
            encode: Any = nnx.merge(graphs["text"], params["text"])
            whole = Fixed({}, Schedule.scaled_linear(), encode(jnp.asarray(empty))[0])
            rows = {"latents": latents, "context": encode(batch["ids"])}
            examples = draw_examples(rows, keys[1], whole, objective.dropout)
            return loss_of(params["unet"], whole, examples)

        value, gradients = jax.value_and_grad(loss)(state.params)
        return moved(state, gradients, rate), {"loss": value}

    return Learning(init, step)


def networks_of(config: Config, findings: tuple[str, ...], params: PyTree) -> dict[str, Any]:
    """Return the trained `unet` and `text`."""
    graphs = graphs_of(sizes(config, findings))
    return {name: nnx.merge(graph, params[name]) for name, graph in graphs.items()}


@functools.cache
def graphs_of(size: LatentDiffusionConfig) -> dict[str, nnx.GraphDef]:
    """Return the graphs of U-Net and text encoder of this size."""
    return {name: graph_of(build) for name, build in denoiser_builds(size).items()}
