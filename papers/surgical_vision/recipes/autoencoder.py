"""Autoencoder, VAE, and VAE with perceptual loss: from the face before to the true one after.

    autoencoder      mean (G(x) - y)²
    VAE              sum E(G(z), y) + w KL(q(z | x) || N(0, 1)),   z ~ q(z | x)
    with perceptual  the same + p sum (m(G(z)) - m(y))²

with E the cross-entropy or the squared difference of pixels, m the mean of q: `z_mean`, by the
network's own encoder, through which the gradient goes as well.
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
from papers.surgical_vision.losses import kl, pixels_entropy, pixels_squared
from papers.surgical_vision.models.coder import Autoencoder, sample
from papers.surgical_vision.recipes.recipe import Faces, Images, Losses, Recipe, halves, run
from papers.surgical_vision.variants import Variant


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how the autoencoder that `variant` describes learns; Adam at a constant rate."""
    options, adam = config.autoencoder, optax.scale_by_adam(b1=config.autoencoder.beta1)
    difference = pixels_squared if options.reconstruction == "squared" else pixels_entropy

    def build(rngs: nnx.Rngs) -> Autoencoder:
        return network(variant, config, rngs)

    graph = graph_of(build)

    def init(key: Array, fixed: Any) -> State:
        params = drawn(build, key)
        return State(params, adam.init(params))

    def loss(params: Any, before: Images, after: Images, key: Array) -> tuple[Array, Losses]:
        coder: Any = nnx.merge(graph, params)
        if not variant.sampled:
            error = jnp.square(coder(before) - after).mean()
            return error, {"loss": error}
        mean, log_variance = coder.encode(before)
        output = coder.decode(sample(mean, log_variance, key))
        losses = {
            "reconstruction": difference(output, after),
            "kl": options.kl * kl(mean, log_variance),
        }
        if variant.perceptual:
            distance = jnp.square(coder.encode(output)[0] - coder.encode(after)[0])
            losses["perceptual"] = options.perceptual * distance.sum(1).mean()
        total = jnp.stack(list(losses.values())).sum()
        return total, {"loss": total, **losses}

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        draw_key, noise_key = jax.random.split(jax.random.fold_in(key, index))
        before, after = augmented(draw_key, config.augment, batch["before"], batch["after"])
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (_, losses), gradients = differentiate(state.params, before, after, noise_key)
        params, opt_state = updated(
            adam, options.learning_rate, state.params, state.opt_state, gradients
        )
        return State(params, opt_state), losses

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        return run(graph, params, halves(faces.image))

    return Recipe(init, step, lambda state, states: state.params, translate, paired)


def network(variant: Variant, config: Config, rngs: nnx.Rngs) -> Autoencoder:
    """Return the autoencoder with fresh parameters."""
    options = config.autoencoder
    return Autoencoder(
        config.data.size,
        filters=options.filters,
        dense=options.dense,
        latent=options.latent,
        variational=variant.sampled,
        dtype=jnp.dtype(config.train.dtype),
        rngs=rngs,
    )
