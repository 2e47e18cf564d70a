"""Pix2Pix (Isola et al. 2017): a U-Net against a discriminator that sees both faces of a pair.

D:  (BCE(D(x, y), 1) + BCE(D(x, G(x)), 0)) / 2
G:  BCE(D(x, G(x)), 1) + l1 mean |G(x) - y|
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from common.nn.building import drawn, graph_of
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import paired
from papers.surgical_vision.losses import is_real, l1
from papers.surgical_vision.models.discriminator import PatchGAN
from papers.surgical_vision.models.unet import UNet
from papers.surgical_vision.recipes.recipe import (
    Faces,
    Images,
    Losses,
    Recipe,
    falling_rate,
    halves,
    run,
)
from papers.surgical_vision.variants import Variant


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how Pix2Pix learns."""
    options, dtype = config.pix2pix, jnp.dtype(config.train.dtype)
    adam = optax.scale_by_adam(b1=options.beta1)
    share = options.decay_epochs / (options.epochs + options.decay_epochs)

    def generator(rngs: nnx.Rngs) -> UNet:
        return UNet(
            filters=options.filters,
            downs=options.downs,
            dropout=options.dropout,
            dropped=options.dropped_blocks,
            dtype=dtype,
            rngs=rngs,
        )

    def discriminator(rngs: nnx.Rngs) -> PatchGAN:
        return PatchGAN(
            6,
            width=options.discriminator_filters,
            layers=options.discriminator_layers,
            norm="affine",
            dtype=dtype,
            rngs=rngs,
        )

    graph, judge = graph_of(generator), graph_of(discriminator)

    def init(key: Array, fixed: Any) -> State:
        keys = jax.random.split(key)
        params = {
            "generator": drawn(generator, keys[0]),
            "discriminator": drawn(discriminator, keys[1]),
        }
        return State(params, {name: adam.init(p) for name, p in params.items()})

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        draw_key, drop_key = jax.random.split(jax.random.fold_in(key, index))
        before, after = augmented(draw_key, config.augment, batch["before"], batch["after"])
        rate = falling_rate(options.learning_rate, index / steps, share)
        drops = jax.random.split(drop_key, before.shape[0])
        output, pull = jax.vjp(lambda p: run(graph, p, before, drops), state.params["generator"])

        def judged(params: Any, images: Images) -> Array:
            return run(judge, params, jnp.concatenate([before, images], -1))

        def discriminate(params: Any) -> tuple[Array, Losses]:
            losses = {
                "d_real": is_real(judged(params, after), True),
                "d_generated": is_real(judged(params, output), False),
            }
            return (losses["d_real"] + losses["d_generated"]) / 2, losses

        (_, d_losses), gradients = jax.value_and_grad(discriminate, has_aux=True)(
            state.params["discriminator"]
        )
        params, opt_state = {}, {}
        params["discriminator"], opt_state["discriminator"] = updated(
            adam, rate, state.params["discriminator"], state.opt_state["discriminator"], gradients
        )

        def generated(images: Images) -> tuple[Array, Losses]:
            adversarial = is_real(judged(params["discriminator"], images), True)
            losses = {"g_adversarial": adversarial, "l1": options.l1 * l1(images, after)}
            total = losses["g_adversarial"] + losses["l1"]
            return total, {"loss": total, **losses}

        (_, losses), wanted = jax.value_and_grad(generated, has_aux=True)(output)
        params["generator"], opt_state["generator"] = updated(
            adam, rate, state.params["generator"], state.opt_state["generator"], pull(wanted)[0]
        )
        return State(params, opt_state), {**losses, **d_losses}

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        return run(graph, params, halves(faces.image), faces.keys)

    return Recipe(init, step, lambda state, states: state.params["generator"], translate, paired)
