"""What all trainings of the engine are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree, UInt8

from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig, ScheduleConfig
from common.latent_diffusion.scratch import small_config
from common.training.state import State, updated
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.prompts import POSITIONS, tokenizer

Losses = Mapping[str, Float[Array, ""]]
Adam = optax.scale_by_adam()


class Learning(NamedTuple):
    """How a network learns: pure functions of arrays, the same for all seeds.

    ``init(key, fixed)`` draws the first state, ``step(state, batch, index, key, fixed)`` gives the
    next one and the losses by name; `fixed` is what the training only reads.
    """

    init: Callable[[Array, Any], State]
    step: Callable[[State, Any, Array, Array, Any], tuple[State, Losses]]


def sizes(config: Config, findings: tuple[str, ...]) -> LatentDiffusionConfig:
    """Return the sizes of the small model, which knows the words of these findings."""
    options = config.engine
    return small_config(
        side=config.data.size,
        latent_channels=options.latent_channels,
        autoencoder_channels=options.autoencoder_channels,
        channels=options.channels,
        head_channels=options.head_channels,
        context=options.context,
        groups=options.groups,
        vocabulary=tokenizer(findings, options.label).size,
        positions=POSITIONS,
        text_layers=options.text_layers,
        schedule=ScheduleConfig(prediction=options.prediction, sampler="unipc"),
        hint=HintConfig(channels=options.hint_channels),
        dtype=options.dtype,
    )


def rgb(images: UInt8[Array, "batch height width 1"]) -> Float[Array, "batch height width 3"]:
    """Return gray films as three equal channels in [-1, 1], as Stable Diffusion reads images."""
    return jnp.repeat(images.astype(jnp.float32) / 127.5 - 1, 3, axis=-1)


def hints(edges: UInt8[Array, "batch height width"]) -> Float[Array, "batch height width 3"]:
    """Return edge maps, 255 on an edge, as a ControlNet reads them: [0, 1]."""
    return jnp.repeat(edges[..., None].astype(jnp.float32) / 255, 3, axis=-1)


def begun(params: PyTree) -> State:
    """Return the state in which a training of these parameters begins."""
    return State(params, Adam.init(params))


def moved(state: State, gradients: PyTree, rate: float | Array) -> State:
    """Return the state after Adam's step of this rate."""
    params, opt_state = updated(Adam, rate, state.params, state.opt_state, gradients)
    return state._replace(params=params, opt_state=opt_state)
