"""StarGAN (Choi et al. 2018) with or without attention: one generator for all domains.

Labels say which of eyes, nose and chin were operated; 0 0 0 is before surgery. With c the labels
of x, and t those of another image of the batch:

    D:  -D(x) + D(G(x, t)) + p (|| grad D || - 1)² + k CE(D_labels(x), c)
    G:  -D(G(x, t)) + k CE(D_labels(G(x, t)), t) + r |G(G(x, t), c) - x|

One step here is `critic_steps` of the discriminator, each with images of its own, and one of the
generator with the last of them: a batch of the loop holds as many batches.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from common.nn.building import drawn, graph_of
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Part, single
from papers.surgical_vision.gradient_penalty import between, gradient_penalty
from papers.surgical_vision.losses import has_labels, l1
from papers.surgical_vision.models.discriminator import StarGANDiscriminator
from papers.surgical_vision.models.translator import Translator, stargan
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.recipes.recipe import (
    Faces,
    Images,
    Losses,
    Recipe,
    beginning,
    begun,
    falling_rate,
    halves,
    run,
)
from papers.surgical_vision.variants import Variant

LABELS = len(DOMAINS)


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how the StarGAN that `variant` describes learns.

    Variants that differ in the reconstruction's weight alone have the same programs: it is an
    array, a part of what is `fixed`.
    """
    options = config.stargan
    weight = options.raised_reconstruction if variant.raised else options.reconstruction

    def fixed(states: Mapping[str, State], part: Part | None) -> dict[str, Any]:
        known = beginning(states, "stargan") or {}
        return {"reconstruction": np.float32(weight), **known}

    return replace(_of_any_weight(replace(variant, title="", raised=False), config), fixed=fixed)


@functools.cache
def _of_any_weight(variant: Variant, config: Config) -> Recipe:
    """Return the recipe, the weight of whose reconstruction is still to be given."""
    options = config.stargan
    adam = optax.scale_by_adam(b1=options.beta1)
    share = options.decay_steps / options.steps

    def generator(rngs: nnx.Rngs) -> Translator:
        return translator(variant, config, rngs)

    def discriminator(rngs: nnx.Rngs) -> StarGANDiscriminator:
        return StarGANDiscriminator(
            config.data.size,
            labels=LABELS,
            width=options.discriminator_filters,
            layers=options.discriminator_layers,
            attention=int(variant.discriminator_attention),
            reduced=config.attention.reduced,
            pooled=config.attention.pooled,
            dtype=jnp.dtype(config.train.dtype),
            rngs=rngs,
        )

    graph, judge = graph_of(generator), graph_of(discriminator)

    def init(key: Array, fixed: Any) -> State:
        keys = jax.random.split(key)
        params = {
            "generator": begun(drawn(generator, keys[0]), (fixed or {}).get("generator")),
            "discriminator": drawn(discriminator, keys[1]),
        }
        return State(params, {name: adam.init(p) for name, p in params.items()})

    def discriminate(
        params: Any, key: Array, images: Images, labels: Array, made: Images
    ) -> tuple[Array, Losses]:
        score, logits = run(judge, params, images)
        wrong, _ = run(judge, params, made)
        points = between(images, made, key)
        penalty = gradient_penalty(lambda x: run(judge, params, x)[0], points)
        losses = {
            "d_real": -score.mean(),
            "d_generated": wrong.mean(),
            "d_labels": options.classification * has_labels(logits, labels),
            "d_penalty": options.penalty * penalty,
        }
        return jnp.stack(list(losses.values())).sum(), losses

    def generate(
        params: Any, judged: Any, images: Images, labels: Array, wanted: Array, weight: Array
    ) -> tuple[Array, Losses]:
        made = run(graph, params, images, wanted)
        score, logits = run(judge, judged, made)
        losses = {
            "g_adversarial": -score.mean(),
            "g_labels": options.classification * has_labels(logits, wanted),
            "reconstruction": weight * l1(run(graph, params, made, labels), images),
        }
        total = jnp.stack(list(losses.values())).sum()
        return total, {"loss": total, **losses}

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        rate = falling_rate(options.learning_rate, index / steps, share)
        params, opt_state = dict(state.params), dict(state.opt_state)
        keys = jax.random.split(jax.random.fold_in(key, index), options.critic_steps)
        parts = [
            jax.tree.map(lambda rows, i=i: rows[i :: options.critic_steps], batch)
            for i in range(options.critic_steps)
        ]
        for part, part_key in zip(parts, keys, strict=True):
            draw_key, order_key, mix_key = jax.random.split(part_key, 3)
            (images,) = augmented(draw_key, config.augment, part["image"])
            labels = part["label"]
            wanted = jax.random.permutation(order_key, labels)
            made = run(graph, params["generator"], images, wanted)
            (_, d_losses), gradients = jax.value_and_grad(discriminate, has_aux=True)(
                params["discriminator"], mix_key, images, labels, made
            )
            params["discriminator"], opt_state["discriminator"] = updated(
                adam, rate, params["discriminator"], opt_state["discriminator"], gradients
            )
        (_, losses), gradients = jax.value_and_grad(generate, has_aux=True)(
            params["generator"], params["discriminator"], images, labels, wanted,
            fixed["reconstruction"],
        )  # fmt: skip
        params["generator"], opt_state["generator"] = updated(
            adam, rate, params["generator"], opt_state["generator"], gradients
        )
        return State(params, opt_state), {**losses, **d_losses}

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        return run(graph, params, halves(faces.image), faces.label)

    return Recipe(init, step, lambda state, states: state.params["generator"], translate, single)


def translator(variant: Variant, config: Config, rngs: nnx.Rngs) -> Translator:
    """Return a generator with fresh parameters."""
    options = config.stargan
    return stargan(
        LABELS,
        options.filters,
        options.blocks,
        attention=variant.heads(config.attention.heads),
        reduced=config.attention.reduced,
        pooled=config.attention.pooled,
        dtype=jnp.dtype(config.train.dtype),
        rngs=rngs,
    )
