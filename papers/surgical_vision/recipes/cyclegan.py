"""CycleGAN (Zhu et al. 2017) with or without self-attention: faces before and after, not paired.

With G from before to after, F back, and c `cycle`, i `identity`:

    G, F:  (D_a(G(x)) - 1)² + (D_b(F(y)) - 1)² + c (|F(G(x)) - x| + |G(F(y)) - y|)
           + i c (|G(y) - y| + |F(x) - x|)
    D_a:   ((D_a(y) - 1)² + D_a(pool of G(x))²) / 2,   D_b likewise

The identity loss gives each generator an image of the domain that it makes.
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
from papers.surgical_vision.data import unpaired
from papers.surgical_vision.losses import is_real_squared, l1
from papers.surgical_vision.models.discriminator import PatchGAN
from papers.surgical_vision.models.translator import Translator, cyclegan
from papers.surgical_vision.recipes import pool
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

GENERATORS, DISCRIMINATORS = ("to_after", "to_before"), ("is_after", "is_before")


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how the CycleGAN that `variant` describes learns."""
    options = config.cyclegan
    adam = optax.scale_by_adam(b1=options.beta1)
    share = options.decay_epochs / (options.epochs + options.decay_epochs)

    def generator(rngs: nnx.Rngs) -> Translator:
        return translator(variant, config, rngs)

    def discriminator(rngs: nnx.Rngs) -> PatchGAN:
        return PatchGAN(
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
        keys = jax.random.split(key, 4)
        known = (fixed or {}).get("generator")
        params = {
            name: begun(drawn(generator, k), known)
            for name, k in zip(GENERATORS, keys[:2], strict=True)
        }
        params |= {
            name: drawn(discriminator, k) for name, k in zip(DISCRIMINATORS, keys[2:], strict=True)
        }
        opt_state = {
            "generators": adam.init(_of(GENERATORS, params)),
            "discriminators": adam.init(_of(DISCRIMINATORS, params)),
        }
        empty = {name: pool.Pool.empty(options.pool, config.data.size) for name in DISCRIMINATORS}
        return State(params, opt_state, empty)

    def generate(params: Any, judges: Any, before: Images, after: Images) -> tuple[Array, Any]:
        """Return the generators' loss; the losses by name, and what they made."""
        count = before.shape[0]
        # one call for both of its inputs: instances are normalized alone
        made = run(graph, params["to_after"], jnp.concatenate([before, after]))
        new_after, same_after = made[:count], made[count:]
        made = run(graph, params["to_before"], jnp.concatenate([after, before, new_after]))
        new_before, same_before = made[:count], made[count : 2 * count]
        again_before = made[2 * count :]
        again_after = run(graph, params["to_after"], new_before)
        identity = options.identity * options.cycle
        losses = {
            "g_adversarial": is_real_squared(run(judge, judges["is_after"], new_after), True)
            + is_real_squared(run(judge, judges["is_before"], new_before), True),
            "cycle": options.cycle * (l1(again_before, before) + l1(again_after, after)),
            "identity": identity * (l1(same_after, after) + l1(same_before, before)),
        }
        total = losses["g_adversarial"] + losses["cycle"] + losses["identity"]
        return total, ({"loss": total, **losses}, {"is_after": new_after, "is_before": new_before})

    def discriminate(judges: Any, real: Any, generated: Any) -> tuple[Array, Losses]:
        losses = {}
        for name in DISCRIMINATORS:
            right = is_real_squared(run(judge, judges[name], real[name]), True)
            losses[f"d_{name}"] = (
                right + is_real_squared(run(judge, judges[name], generated[name]), False)
            ) / 2
        return losses["d_is_after"] + losses["d_is_before"], losses

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index), 4)
        (before,) = augmented(keys[0], config.augment, batch["before"])
        (after,) = augmented(keys[1], config.augment, batch["after"])
        rate = falling_rate(options.learning_rate, index / steps, share)
        judges = _of(DISCRIMINATORS, state.params)
        (_, (losses, made)), gradients = jax.value_and_grad(generate, has_aux=True)(
            _of(GENERATORS, state.params), judges, before, after
        )
        generators, moved = updated(
            adam, rate, _of(GENERATORS, state.params), state.opt_state["generators"], gradients
        )
        generated, pools = {}, {}
        for name, pool_key in zip(DISCRIMINATORS, keys[2:], strict=True):
            generated[name], pools[name] = pool.shown(pool_key, state.stats[name], made[name])
        (_, d_losses), gradients = jax.value_and_grad(discriminate, has_aux=True)(
            judges, {"is_after": after, "is_before": before}, generated
        )
        judges, moved_d = updated(adam, rate, judges, state.opt_state["discriminators"], gradients)
        opt_state = {"generators": moved, "discriminators": moved_d}
        return State({**generators, **judges}, opt_state, pools), {**losses, **d_losses}

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        return run(graph, params, halves(faces.image))

    return Recipe(
        init,
        step,
        lambda state, states: state.params["to_after"],
        translate,
        unpaired,
        lambda states, part: beginning(states, "cyclegan"),
    )


def translator(variant: Variant, config: Config, rngs: nnx.Rngs) -> Translator:
    """Return a generator with fresh parameters."""
    options = config.cyclegan
    return cyclegan(
        options.filters,
        options.blocks,
        attention=variant.heads(config.attention.heads),
        reduced=config.attention.reduced,
        pooled=config.attention.pooled,
        dtype=jnp.dtype(config.train.dtype),
        rngs=rngs,
    )


def _of(names: tuple[str, ...], params: Any) -> dict[str, Any]:
    return {name: params[name] for name in names}
