"""A generator that gives back what it is given: where short trainings of unpaired models begin.

The published trainings are long and begin with drawn weights. Where `warm_start.steps` is above 0,
the generators of CycleGAN, StarGAN and StarGANv2 first learn, once for all variants of a seed,

    mean |G(x) - x|     StarGAN: under any labels; StarGANv2: in any style of noise or of an image

and the variants begin with that. Attention, whose gamma begins at 0, changes nothing at first.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from common.nn.building import drawn, graph_of
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import single
from papers.surgical_vision.losses import l1
from papers.surgical_vision.recipes import cyclegan, stargan, starganv2
from papers.surgical_vision.recipes.recipe import (
    Faces,
    Images,
    Losses,
    Recipe,
    falling_rate,
    halves,
    run,
)
from papers.surgical_vision.variants import MODELS, Family

DECAY = 0.5  # of the training, over which the rate falls


def recipe(family: Family, config: Config) -> Recipe:
    """Return how the generator of a family learns to change nothing."""
    options, adam = config.warm_start, optax.scale_by_adam()
    builds = _builds(family, config)
    graphs = {name: graph_of(build) for name, build in builds.items()}

    def init(key: Array, fixed: Any) -> State:
        keys = jax.random.split(key, len(builds))
        params = {
            name: drawn(build, k) for (name, build), k in zip(builds.items(), keys, strict=True)
        }
        return State(params, adam.init(params))

    def same(params: Any, images: Images, labels: Array, noise: Array, own: Array) -> Images:
        """Return the images again; StarGANv2's in their own style where `own`, else by noise."""
        if family == "cyclegan":
            return run(graphs["generator"], params["generator"], images)
        if family == "stargan":
            return run(graphs["generator"], params["generator"], images, labels)
        domains = starganv2.domain_of(labels)
        styles = run(graphs["mapping"], params["mapping"], noise, domains)
        found = run(graphs["encoder"], params["encoder"], images, domains)
        style = jnp.where(own[:, None], found, styles)
        return run(graphs["generator"], params["generator"], images, style)

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index), 4)
        (images,) = augmented(keys[0], config.augment, batch["image"])
        labels = jax.random.permutation(keys[1], batch["label"])
        noise = jax.random.normal(keys[2], (images.shape[0], config.starganv2.latent))
        own = jax.random.bernoulli(keys[3], 0.5, (images.shape[0],))
        value, gradients = jax.value_and_grad(
            lambda params: l1(same(params, images, labels, noise, own), images)
        )(state.params)
        rate = falling_rate(options.learning_rate, index / steps, DECAY)
        params, opt_state = updated(adam, rate, state.params, state.opt_state, gradients)
        return State(params, opt_state), {"loss": value}

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        count = faces.image.shape[0]
        noise, own = jnp.zeros((count, config.starganv2.latent)), jnp.full(count, True)
        return same(params, halves(faces.image), jnp.asarray(faces.label), noise, own)

    return Recipe(init, step, lambda state, states: state.params, translate, single)


def _builds(family: Family, config: Config) -> dict[str, Any]:
    variant = MODELS[family]  # the plain one has the family's name
    if family == "cyclegan":
        return {"generator": lambda rngs: cyclegan.translator(variant, config, rngs)}
    if family == "stargan":
        return {"generator": lambda rngs: stargan.translator(variant, config, rngs)}
    networks = starganv2.builds(config)
    return {name: networks[name] for name in starganv2.BY_NOISE}
