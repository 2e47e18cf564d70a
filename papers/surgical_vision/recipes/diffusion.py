"""Stable Diffusion, image to image, and its low-rank adaptation.

Where the config names weights it is that model, whose row trains nothing. Else three trainings make
a small one: the autoencoder, by mean |x - y| and the KL penalty; U-Net and words on its latents of
all faces, each with its prompt; and, as with given weights, the adaptation on faces after surgery
with one prompt for all. Both of the latter minimize (Ho et al. 2020, equation 14)

    mean || e - e'(sqrt(a_t) z + sqrt(1 - a_t) e, t, prompt) ||²

A face is translated by `common.latent_diffusion.pipeline`: its latents get the noise of a time, and
are denoised from there under the prompt of what is to be operated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import ArraySource
from common.diffusion.schedule import Schedule
from common.diffusion.unet.unet import UNet
from common.latent_diffusion.checkpoint import load
from common.latent_diffusion.config import VAEConfig
from common.latent_diffusion.lora import LoRAParam, add_lora, remove_lora
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.scratch import (
    autoencoder_loss,
    denoiser_builds,
    encoded,
    unit_latents,
)
from common.latent_diffusion.training import (
    Fixed,
    Objective,
    draw_examples,
    make_loss,
    unet_prediction,
)
from common.latent_diffusion.vae import VAE
from common.nn.building import drawn, graph_of
from common.training.ema import ema_update
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config, DiffusionConfig
from papers.surgical_vision.data import Part, single
from papers.surgical_vision.models import latent
from papers.surgical_vision.prompts import every_prompt, prompt_of
from papers.surgical_vision.recipes.recipe import Faces, Images, Losses, Recipe
from papers.surgical_vision.variants import Variant

AUTOENCODER, DENOISER = "latent_autoencoder", "stable_diffusion"


def autoencoder(config: Config) -> Recipe:
    """Return how the autoencoder of a model trained from nothing learns."""
    options, adam = config.diffusion, optax.scale_by_adam()

    def build(rngs: nnx.Rngs) -> VAE:
        return VAE(latent.sizes(config).vae, rngs=rngs)

    graph = graph_of(build)

    def init(key: Array, fixed: Any) -> State:
        params = drawn(build, key)
        return State(params, adam.init(params), stats=jnp.zeros(()))

    def loss(params: Any, images: Images, key: Array) -> tuple[Array, tuple[Losses, Array]]:
        return autoencoder_loss(nnx.merge(graph, params), images, key, options.kl)

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        draw_key, noise_key = jax.random.split(jax.random.fold_in(key, index))
        (images,) = augmented(draw_key, config.augment, batch["image"])
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (_, (losses, squares)), gradients = differentiate(state.params, images, noise_key)
        params, opt_state = updated(
            adam, options.learning_rate, state.params, state.opt_state, gradients
        )
        return State(params, opt_state, ema_update(state.stats, squares, 0.99, index)), losses

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        network: Any = nnx.merge(graph, params)
        return network.decode(network.encode(faces.image / 127.5 - 1).mean)

    return Recipe(init, step, lambda state, states: state.params, translate, single)


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how the model, or its adaptation, learns, and what it makes of faces."""
    if variant.lora:
        return _adaptation(config)
    if config.diffusion.weights:
        return _given(config)
    return _denoiser(config)


def _denoiser(config: Config) -> Recipe:
    """Return how U-Net and words learn together on the latents of a trained autoencoder."""
    options, adam = config.diffusion, optax.scale_by_adam()
    objective, sizes = Objective(dropout=options.prompt_dropout), latent.sizes(config)
    builds = denoiser_builds(sizes)
    graphs = {name: graph_of(build) for name, build in builds.items()}
    tokenizer = latent.tokenizer(config)
    ids, empty = tokenizer(list(every_prompt().values())), tokenizer("")
    loss_of = make_loss(unet_prediction(graphs["unet"]), objective)

    def fixed(states: Mapping[str, State], part: Part | None) -> VAE:
        return _autoencoder(sizes.vae, states)

    def init(key: Array, fixed: Any) -> State:
        keys = jax.random.split(key)
        params = {
            name: drawn(build, k) for (name, build), k in zip(builds.items(), keys, strict=True)
        }
        return State(params, adam.init(params))

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: VAE
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index), 3)
        (images,) = augmented(keys[0], config.augment, batch["image"])
        latents = encoded(fixed, images, keys[1])
        which = batch["label"].astype(jnp.int32) @ jnp.array([4, 2, 1])  # as in every_prompt

        def loss(params: Any) -> Array:
            encode: Any = nnx.merge(graphs["text"], params["text"])
            whole = Fixed({}, Schedule.scaled_linear(), encode(jnp.asarray(empty))[0])
            rows = {"latents": latents, "context": encode(jnp.asarray(ids))[which]}
            examples = draw_examples(rows, keys[2], whole, objective.dropout)
            return loss_of(params["unet"], whole, examples)

        value, gradients = jax.value_and_grad(loss)(state.params)
        params, opt_state = updated(
            adam, options.learning_rate, state.params, state.opt_state, gradients
        )
        return State(params, opt_state), {"loss": value}

    def weights(state: State, states: Mapping[str, State]) -> Pipeline:
        params = state.params
        networks = {name: nnx.merge(graph, params[name]) for name, graph in graphs.items()}
        return Pipeline(sizes, tokenizer, vae=_autoencoder(sizes.vae, states), **networks)

    return Recipe(init, step, weights, _translation(options), single, fixed)


def _autoencoder(sizes: VAEConfig, states: Mapping[str, State]) -> VAE:
    """Return the trained autoencoder, its latents of variance 1."""
    trained = states[AUTOENCODER]
    return unit_latents(sizes, trained.params, trained.stats)


def _given(config: Config) -> Recipe:
    """Return what the model that the config names makes of faces; there is nothing to learn."""

    def weights(state: State, states: Mapping[str, State]) -> Pipeline:
        return load(config.diffusion.weights, dtype=config.train.dtype)

    def init(key: Array, fixed: Any) -> State:
        return State({}, {})

    return Recipe(init, None, weights, _translation(config.diffusion), single)


class _Adapted(NamedTuple):
    """What the adaptation's training reads: the autoencoder, the U-Net, and the prompt."""

    vae: VAE
    unet: UNet  # with untrained matrices beside its layers
    context: Float[Array, "tokens features"]


def _adaptation(config: Config) -> Recipe:
    """Return how matrices beside the attention's layers learn (Hu et al. 2022)."""
    options, prompt = config.diffusion, config.diffusion.lora_prompt
    base = _given(config) if options.weights else _denoiser(config)
    optimizer = optax.chain(
        optax.clip_by_global_norm(options.lora_clip),
        optax.adamw(options.lora_learning_rate, weight_decay=options.lora_weight_decay),
    )

    def pipeline(states: Mapping[str, State], key: Array) -> Pipeline:
        """Return the model with matrices beside its layers."""
        whole = base.weights(states[DENOISER], states)
        add_lora(whole.unet, options.lora_rank, options.lora_alpha, rngs=nnx.Rngs(key))
        return whole

    def fixed(states: Mapping[str, State], part: Part | None) -> _Adapted:
        whole = pipeline(states, jax.random.key(0))
        return _Adapted(whole.vae, whole.unet, jnp.asarray(whole.encode_text([prompt])[0]))

    def init(key: Array, fixed: _Adapted) -> State:
        unet: Any = nnx.merge(*nnx.split(fixed.unet))  # another module of the same arrays
        remove_lora(unet)
        add_lora(unet, options.lora_rank, options.lora_alpha, rngs=nnx.Rngs(key))
        trained = nnx.state(unet, LoRAParam)
        return State(trained, optimizer.init(trained))

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: _Adapted
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index), 3)
        (images,) = augmented(keys[0], config.augment, batch["after"])
        latents = encoded(fixed.vae, images, keys[1])
        context = jnp.broadcast_to(fixed.context, (latents.shape[0], *fixed.context.shape))
        graph, _, rest = nnx.split(fixed.unet, LoRAParam, ...)  # type: ignore[misc]
        whole = Fixed(rest, Schedule.scaled_linear())
        rows = {"latents": latents, "context": context}
        examples = draw_examples(rows, keys[2], whole, 0.0)
        loss = make_loss(unet_prediction(graph), Objective())
        value, gradients = jax.value_and_grad(loss)(state.params, whole, examples)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        return State(optax.apply_updates(state.params, updates), opt_state), {"loss": value}

    def weights(state: State, states: Mapping[str, State]) -> Pipeline:
        whole = pipeline(states, jax.random.key(0))
        nnx.update(whole.unet, state.params)
        return whole

    def source(part: Part) -> ArraySource:
        return ArraySource({"after": part.after})

    return Recipe(init, step, weights, _translation(options, prompt), source, fixed)


def _translation(options: DiffusionConfig, prompt: str | None = None) -> Any:
    """Return what translates faces by a pipeline, under one prompt or each under its own."""

    def translate(pipeline: Pipeline, faces: Faces) -> np.ndarray:
        prompts = prompt or [prompt_of(label) for label in np.asarray(faces.label)]
        seeds = np.ascontiguousarray(faces.seed).view(np.uint32)[:, 0].astype(np.int64)
        images = pipeline(
            prompts,
            seeds,
            image=np.asarray(faces.image, np.float32) / 255,
            strength=options.strength,
            steps=options.sampling_steps,
            sampler="ddim",
            guidance_scale=options.guidance,
            size=faces.image.shape[1:3],
            batch_size=len(seeds),
        )
        return 2 * images - 1

    return translate
