"""The adaptation of a whole Stable Diffusion model: matrices beside its attention, and new words.

The matrices are LoRA's (Hu et al. 2022), the words the findings' own (textual inversion, Gal et al.
2022); all else stays as it is.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.lora import LoRAParam, add_lora, remove_lora
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.scratch import encoded
from common.latent_diffusion.textual_inversion import extended
from common.latent_diffusion.training import (
    Fixed,
    Objective,
    draw_examples,
    make_loss,
    unet_prediction,
)
from common.latent_diffusion.vae import VAE
from common.training.state import State
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.engine.learning import Learning, Losses, begun, moved, rgb
from papers.rare_disease_controlnet.prompts import with_labels

_SPREAD = 0.02  # standard deviation of a new word's embedding, as of CLIP's own at the start


class Known(NamedTuple):
    """What the training reads: the model, its U-Net with matrices beside its layers."""

    vae: VAE
    unet: UNet
    text: TextEncoder
    empty: Any  # ids of the empty prompt, [1 tokens]


def known(pipeline: Pipeline) -> Known:
    """Return what is read of a model that `prepared` returned."""
    return Known(pipeline.vae, pipeline.unet, pipeline.text, pipeline.tokenizer(""))


def prepared(pipeline: Pipeline, config: Config, findings: tuple[str, ...]) -> Pipeline:
    """Return the model with untrained matrices, and with the findings' words if there are any."""
    unet: Any = nnx.merge(*nnx.split(pipeline.unet))  # another module of the same arrays
    add_lora(unet, config.adapt.rank, config.adapt.alpha, rngs=nnx.Rngs(0))
    if not config.engine.label:
        return replace(pipeline, unet=unet)
    count = len(findings) + 1
    vectors = np.zeros((count, pipeline.config.text.features), np.float32)
    tokenizer = with_labels(pipeline.tokenizer, findings)
    return replace(
        pipeline,
        config=replace(
            pipeline.config, text=replace(pipeline.config.text, vocabulary=tokenizer.size)
        ),
        tokenizer=tokenizer,
        text=extended(pipeline.text, pipeline.tokenizer, vectors),
        unet=unet,
    )


@functools.cache
def learning(
    config: Config, findings: tuple[str, ...], prediction: Literal["epsilon", "v_prediction"]
) -> Learning:
    """Return how matrices and words learn on a batch's `image` and the `ids` of its prompts."""
    options = config.engine
    objective = Objective(prediction, dropout=options.prompt_dropout)
    words = len(findings) + 1 if options.label else 0

    def init(key: Array, fixed: Known) -> State:
        keys = jax.random.split(key)
        unet: Any = nnx.merge(*nnx.split(fixed.unet))
        remove_lora(unet)
        add_lora(unet, config.adapt.rank, config.adapt.alpha, rngs=nnx.Rngs(keys[0]))
        params: dict[str, Any] = {"unet": nnx.state(unet, LoRAParam)}
        if words:
            shape = (words, fixed.text.tokens.embedding.shape[1])
            params["words"] = _SPREAD * jax.random.normal(keys[1], shape)
        return begun(params)

    def step(
        state: State, batch: Any, index: Array, key: Array, fixed: Known
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index))
        latents = encoded(fixed.vae, rgb(batch["image"]), keys[0])
        graph, _, rest = nnx.split(fixed.unet, LoRAParam, ...)  # type: ignore[misc]
        loss_of = make_loss(unet_prediction(graph), objective)

        def loss(params: Any) -> Array:
            text = spoken(fixed.text, params.get("words"))
            whole = Fixed(rest, Schedule.scaled_linear(), text(fixed.empty)[0])
            rows = {"latents": latents, "context": text(batch["ids"])}
            examples = draw_examples(rows, keys[1], whole, objective.dropout)
            return loss_of(params["unet"], whole, examples)

        value, gradients = jax.value_and_grad(loss)(state.params)
        return moved(state, gradients, config.adapt.learning_rate), {"loss": value}

    return Learning(init, step)


def spoken(text: TextEncoder, words: Array | None) -> TextEncoder:
    """Return a text encoder of the same weights whose last embeddings are these words."""
    if words is None:
        return text
    made: Any = nnx.merge(*nnx.split(text))
    rows = made.tokens.embedding[...]
    made.tokens.embedding = nnx.Param(rows.at[-len(words) :].set(jnp.asarray(words, rows.dtype)))
    return made


def adapted(pipeline: Pipeline, trained: State) -> Pipeline:
    """Return a model that `prepared` returned with what was learned."""
    nnx.update(pipeline.unet, trained.params["unet"])
    return replace(pipeline, text=spoken(pipeline.text, trained.params.get("words")))
