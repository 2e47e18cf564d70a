"""The ControlNet of a small model (Zhang et al. 2023), beside a U-Net that stays as it is."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.scratch import encoded
from common.latent_diffusion.training import (
    Fixed,
    Objective,
    controlnet_prediction,
    draw_examples,
    make_loss,
)
from common.latent_diffusion.vae import VAE
from common.nn.building import graph_of
from common.training.state import State
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.engine.denoiser import graphs_of
from papers.rare_disease_controlnet.engine.learning import (
    Learning,
    Losses,
    begun,
    hints,
    moved,
    rgb,
    sizes,
)
from papers.rare_disease_controlnet.prompts import tokenizer


class Known(NamedTuple):
    """What the training reads: the rest of the model."""

    vae: VAE
    unet: UNet
    text: TextEncoder


@functools.cache
def learning(config: Config, findings: tuple[str, ...]) -> Learning:
    """Return how it learns on a batch's `image`, the `ids` of its prompts, and its `edges`."""
    options, size = config.engine, sizes(config, findings)
    objective = Objective(options.prediction, dropout=options.prompt_dropout)
    graph, unet_graph = graph_of_controlnet(config, findings), graphs_of(size)["unet"]
    empty = jnp.asarray(tokenizer(findings, options.label)(""))
    loss_of = make_loss(controlnet_prediction(graph, unet_graph), objective)

    def init(key: Array, fixed: Known) -> State:
        assert size.hint is not None
        made = ControlNet.of(fixed.unet, size.unet, size.hint, key)
        return begun(nnx.state(made, nnx.Param))

    def step(
        state: State, batch: Any, index: Array, key: Array, fixed: Known
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index))
        rows = {
            "latents": encoded(fixed.vae, rgb(batch["image"]), keys[0]),
            "context": fixed.text(batch["ids"]),
            "hint": hints(batch["edges"]),
        }
        whole = Fixed(nnx.state(fixed.unet), Schedule.scaled_linear(), fixed.text(empty)[0])
        examples = draw_examples(rows, keys[1], whole, objective.dropout)
        value, gradients = jax.value_and_grad(loss_of)(state.params, whole, examples)
        return moved(state, gradients, options.control_learning_rate), {"loss": value}

    return Learning(init, step)


def network_of(config: Config, findings: tuple[str, ...], trained: State) -> ControlNet:
    """Return the trained ControlNet."""
    return nnx.merge(graph_of_controlnet(config, findings), trained.params)


@functools.cache
def graph_of_controlnet(config: Config, findings: tuple[str, ...]) -> nnx.GraphDef:
    """Return the ControlNet's graph."""
    size = sizes(config, findings)
    assert size.hint is not None
    hint = size.hint
    return graph_of(lambda rngs: ControlNet(size.unet, hint, rngs=rngs))
