"""GAN (Radford et al. 2016, as PyTorch's example has it) from the face before: no pair is seen.

The discriminator sees faces after surgery and generated ones, a batch of each alone, as batch
normalization needs; then the generator is trained against the changed discriminator.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array

from common.nn.building import graph_of
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import unpaired
from papers.surgical_vision.losses import is_real
from papers.surgical_vision.models.coder import GANGenerator
from papers.surgical_vision.models.discriminator import DCGANDiscriminator
from papers.surgical_vision.recipes.recipe import Faces, Images, Losses, Recipe, halves
from papers.surgical_vision.variants import Variant


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how the GAN learns: Adam at a constant rate for both networks."""
    options, dtype = config.gan, jnp.dtype(config.train.dtype)
    adam = optax.scale_by_adam(b1=options.beta1)
    widths = tuple(options.filters * 2**level for level in range(options.levels))

    def generator(rngs: nnx.Rngs) -> GANGenerator:
        return GANGenerator(
            config.data.size, filters=widths, latent=options.latent, dtype=dtype, rngs=rngs
        )

    def discriminator(rngs: nnx.Rngs) -> DCGANDiscriminator:
        return DCGANDiscriminator(config.data.size, filters=widths, dtype=dtype, rngs=rngs)

    graphs = {"generator": graph_of(generator), "discriminator": graph_of(discriminator)}

    def init(key: Array, fixed: Any) -> State:
        keys = dict(zip(graphs, jax.random.split(key), strict=True))
        networks = {
            "generator": generator(nnx.Rngs(keys["generator"])),
            "discriminator": discriminator(nnx.Rngs(keys["discriminator"])),
        }
        params = {name: nnx.state(network, nnx.Param) for name, network in networks.items()}
        stats = {name: nnx.state(network, nnx.BatchStat) for name, network in networks.items()}
        return State(params, {name: adam.init(p) for name, p in params.items()}, stats)

    def call(name: str, params: Any, stats: Any, images: Images) -> tuple[Array, Any]:
        """Return the network's output and its moved statistics."""
        network: Any = nnx.merge(graphs[name], params, stats)
        output = network(images, True)
        return output, nnx.state(network, nnx.BatchStat)

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        keys = jax.random.split(jax.random.fold_in(key, index))
        (before,) = augmented(keys[0], config.augment, batch["before"])
        (after,) = augmented(keys[1], config.augment, batch["after"])
        params, opt_state, stats = dict(state.params), dict(state.opt_state), dict(state.stats)
        generated, pull, stats["generator"] = jax.vjp(
            lambda p: call("generator", p, stats["generator"], before),
            params["generator"],
            has_aux=True,
        )

        def judge(p: Any) -> tuple[Array, tuple[Losses, Any]]:
            real, moved = call("discriminator", p, stats["discriminator"], after)
            fake, moved = call("discriminator", p, moved, generated)
            losses = {"d_real": is_real(real, True), "d_generated": is_real(fake, False)}
            return losses["d_real"] + losses["d_generated"], (losses, moved)

        (_, (losses, stats["discriminator"])), gradients = jax.value_and_grad(judge, has_aux=True)(
            params["discriminator"]
        )
        params["discriminator"], opt_state["discriminator"] = updated(
            adam, options.learning_rate, params["discriminator"], opt_state["discriminator"],
            gradients,
        )  # fmt: skip

        def fool(images: Images) -> Array:
            judged, _ = call("discriminator", params["discriminator"], stats["discriminator"],
                             images)  # fmt: skip
            return is_real(judged, True)

        adversarial, wanted = jax.value_and_grad(fool)(generated)
        params["generator"], opt_state["generator"] = updated(
            adam, options.learning_rate, params["generator"], opt_state["generator"],
            pull(wanted)[0],
        )  # fmt: skip
        losses = {"loss": adversarial, "g_adversarial": adversarial, **losses}
        return State(params, opt_state, stats), losses

    @jax.jit
    def translate(weights: Any, faces: Faces) -> Images:
        network: Any = nnx.merge(graphs["generator"], *weights)
        return network(halves(faces.image), False)

    def weights(state: State, states: Any) -> Any:
        return state.params["generator"], state.stats["generator"]

    return Recipe(init, step, weights, translate, unpaired)
