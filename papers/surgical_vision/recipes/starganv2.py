"""StarGANv2 (Choi et al. 2020): one generator for all domains and styles.

Domains are before surgery, eyes, nose and chin. With s the style of a target domain, of noise
(equation 1 of the paper) or of a reference image, and s_o that of the image's own domain:

    D:  BCE(D(x), 1) + BCE(D(G(x, s)), 0) + r1 / 2 || grad D(x) ||²,   both kinds of s in turn
    G:  BCE(D(G(x, s)), 1) + w |E(G(x, s)) - s| - d |G(x, s) - G(x, s')| + c |G(G(x, s), s_o) - x|

d falls linearly to 0. Noise trains generator, mapping network and style encoder, a reference the
generator alone. What is used afterwards is the moving average.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, UInt8

from common.nn.building import drawn, graph_of
from common.training.ema import ema_update
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import with_references
from papers.surgical_vision.gradient_penalty import r1
from papers.surgical_vision.losses import is_real, l1, stopped
from papers.surgical_vision.models import starganv2 as models
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.recipes.recipe import (
    Faces,
    Images,
    Losses,
    Recipe,
    beginning,
    begun,
    halves,
    run,
)
from papers.surgical_vision.variants import Variant

BY_NOISE = ("generator", "mapping", "encoder")  # networks that noise trains, and that are averaged
COUNT = 1 + len(DOMAINS)


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how StarGANv2 learns."""
    options = config.starganv2
    networks = builds(config)
    graphs = {name: graph_of(build) for name, build in networks.items()}
    adam = optax.chain(
        optax.add_decayed_weights(options.weight_decay),  # to the gradient, as PyTorch's Adam does
        optax.scale_by_adam(b1=options.beta1, b2=0.99),
    )

    def call(name: str, params: Any, *arguments: Any) -> Array:
        return run(graphs[name], params[name], *arguments)

    def init(key: Array, fixed: Any) -> State:
        keys = jax.random.split(key, len(networks))
        params = {
            name: drawn(build, k) for (name, build), k in zip(networks.items(), keys, strict=True)
        }
        for name in fixed or {}:
            params[name] = begun(params[name], fixed[name])
        average = {name: jax.tree.map(jnp.array, params[name]) for name in BY_NOISE}
        return State(params, {name: adam.init(p) for name, p in params.items()}, ema=average)

    def discriminate(
        judged: Any, images: Images, domain: Array, made: Images, target: Array
    ) -> tuple[Array, Losses]:
        def score(x: Images) -> Array:
            return run(graphs["discriminator"], judged, x, domain)

        losses = {
            "d_real": is_real(score(images), True),
            "d_generated": is_real(run(graphs["discriminator"], judged, made, target), False),
            "d_r1": options.r1 * r1(score, images),
        }
        return jnp.stack(list(losses.values())).sum(), losses

    def generate(
        trained: Any, others: Any, images: Images, domain: Array, target: Array,
        sources: tuple[Array, Array], kind: str, diversity: Array,
    ) -> tuple[Array, Losses]:  # fmt: skip
        params = {**others, **trained}
        styles = [call(kind, params, source, target) for source in sources]
        made = call("generator", params, images, styles[0])
        other = stopped(call("generator", params, images, styles[1]))
        own = call("encoder", params, images, domain)
        again = call("generator", params, made, own)
        losses = {
            "g_adversarial": is_real(call("discriminator", params, made, target), True),
            "style": options.style_weight * l1(call("encoder", params, made, target), styles[0]),
            "diversity": -diversity * l1(made, other),
            "cycle": options.cycle * l1(again, images),
        }
        total = jnp.stack(list(losses.values())).sum()
        return total, {"loss": total, **losses}

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index), 5)
        (images,) = augmented(keys[0], config.augment, batch["image"])
        references = (
            augmented(keys[1], config.augment, batch["reference"])[0],
            augmented(keys[2], config.augment, batch["reference2"])[0],
        )
        shape = (images.shape[0], options.latent)
        noise = (jax.random.normal(keys[3], shape), jax.random.normal(keys[4], shape))
        domain, target = batch["domain"], batch["target"]
        diversity = options.diversity * jnp.maximum(0, 1 - jnp.float32(index) / steps)
        params, opt_state = dict(state.params), dict(state.opt_state)
        losses: dict[str, Array] = {}
        kinds = {"mapping": (noise, BY_NOISE), "encoder": (references, ("generator",))}

        for kind, (sources, _) in kinds.items():
            style = call(kind, params, sources[0], target)
            made = call("generator", params, images, style)
            (_, found), gradients = jax.value_and_grad(discriminate, has_aux=True)(
                params["discriminator"], images, domain, made, target
            )
            losses |= _named(found, kind)
            params["discriminator"], opt_state["discriminator"] = updated(
                adam, options.learning_rate, params["discriminator"],
                opt_state["discriminator"], gradients,
            )  # fmt: skip
        for kind, (sources, names) in kinds.items():
            trained = {name: params[name] for name in names}
            (_, found), gradients = jax.value_and_grad(generate, has_aux=True)(
                trained, params, images, domain, target, sources, kind, diversity
            )
            losses |= _named(found, kind)
            for name in names:
                mapping = name == "mapping"
                rate = options.mapping_learning_rate if mapping else options.learning_rate
                params[name], opt_state[name] = updated(
                    adam, rate, params[name], opt_state[name], gradients[name]
                )
        new = {name: params[name] for name in BY_NOISE}
        average = ema_update(state.ema, new, options.ema, index)
        return State(params, opt_state, ema=average), losses

    @jax.jit
    def translate(weights: Any, faces: Faces) -> Images:
        noise = jax.vmap(lambda key: jax.random.normal(key, (options.latent,)))(faces.keys)
        # a face with two operations: the mean of both styles. Our reading, the paper has one.
        shares = faces.label.astype(jnp.float32)
        shares = jnp.concatenate([(shares.sum(1, keepdims=True) == 0), shares], 1)
        shares = shares / shares.sum(1, keepdims=True)
        count = noise.shape[0]
        styles = jnp.stack(
            [call("mapping", weights, noise, jnp.full(count, i)) for i in range(COUNT)], 1
        )
        style = (shares[..., None] * styles).sum(1)
        return call("generator", weights, halves(faces.image), style)

    return Recipe(
        init,
        step,
        lambda state, states: state.ema,
        translate,
        with_references,
        lambda states, part: beginning(states, "starganv2"),
    )


def builds(config: Config) -> dict[str, Callable[[nnx.Rngs], nnx.Module]]:
    """Return what makes each network with fresh parameters."""
    options, size = config.starganv2, config.data.size
    dtype = jnp.dtype(config.train.dtype)
    widths: dict[str, Any] = {
        "first": options.channels or None,
        "widest": options.widest,
        "dtype": dtype,
    }
    noise: dict[str, Any] = {
        "latent": options.latent,
        "hidden": options.hidden,
        "style": options.style,
        "dtype": dtype,
    }
    return {
        "generator": lambda rngs: models.Generator(size, style=options.style, **widths, rngs=rngs),
        "mapping": lambda rngs: models.MappingNetwork(COUNT, **noise, rngs=rngs),
        "encoder": lambda rngs: models.StyleEncoder(
            size, COUNT, style=options.style, **widths, rngs=rngs
        ),
        "discriminator": lambda rngs: models.Discriminator(size, COUNT, **widths, rngs=rngs),
    }


def domain_of(labels: UInt8[Array, "batch 3"]) -> Int[Array, " batch"]:
    """Return the first domain of each label: 0 before surgery, 1 eyes, 2 nose, 3 chin."""
    return jnp.where(labels.sum(1) == 0, 0, 1 + labels.argmax(1))


def _named(losses: Losses, kind: str) -> dict[str, Array]:
    """Return the losses by names that say where the style came from; `loss` is that of noise."""
    if kind == "mapping":
        return dict(losses)
    return {f"{name}_reference": value for name, value in losses.items()}
