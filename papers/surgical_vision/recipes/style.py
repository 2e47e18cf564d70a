"""Style transfer (Johnson et al. 2016): a face before in the style of faces after surgery.

    c mean (f_2(G(x)) - f_2(x))² + s sum_j mean (gram f_j(G(x)) - mean gram f_j(y))²,   j = 1 … 4

f_j are VGG16's relu1_2, 2_2, 3_3, 4_3; y the faces after surgery of the training part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from common.data.loader import ArraySource
from common.nn.building import drawn, graph_of
from common.nn.predictor import in_batches
from common.pretrained.perceptual import PerceptualNetwork, load_perceptual, perceptual_features
from common.pretrained.weights import lpips_path
from common.training.state import State, updated
from papers.surgical_vision.augment import augmented
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Part
from papers.surgical_vision.losses import gram
from papers.surgical_vision.models.translator import Translator, style_transfer
from papers.surgical_vision.recipes.recipe import Faces, Images, Losses, Recipe, halves, run
from papers.surgical_vision.untrained import untrained_vgg
from papers.surgical_vision.variants import Variant

STYLE_TAPS, CONTENT_TAP = 4, 1
_AT_ONCE = 8  # images whose Gram matrices are computed together


def recipe(variant: Variant, config: Config) -> Recipe:
    """Return how style transfer learns; Adam at a constant rate."""
    options, adam = config.style, optax.scale_by_adam(b1=config.style.beta1)

    def generator(rngs: nnx.Rngs) -> Translator:
        return style_transfer(
            options.filters, options.blocks, dtype=jnp.dtype(config.train.dtype), rngs=rngs
        )

    graph = graph_of(generator)

    def fixed(states: Mapping[str, State], part: Part | None) -> Any:
        """Return VGG16 and the style's mean Gram matrices; what is used afterwards needs none."""
        if part is None:
            return None
        network = untrained_vgg() if options.network == "untrained" else load_perceptual(
            "vgg", lpips_path("vgg")
        )  # fmt: skip
        grams = in_batches(lambda rows: _grams(network, rows), part.after, _AT_ONCE)
        return network, tuple(each.mean(0) for each in grams)

    def init(key: Array, fixed: Any) -> State:
        params = drawn(generator, key)
        return State(params, adam.init(params))

    def loss(params: Any, images: Images, fixed: Any) -> tuple[Array, Losses]:
        network, grams = fixed
        wanted = features(network, images)[CONTENT_TAP]
        found = features(network, run(graph, params, images))
        losses = {
            "content": options.content * jnp.square(found[CONTENT_TAP] - wanted).mean(),
            "style": options.style
            * jnp.stack(
                [jnp.square(gram(f) - g).mean() for f, g in zip(found, grams, strict=True)]
            ).sum(),
        }
        total = losses["content"] + losses["style"]
        return total, {"loss": total, **losses}

    def step(
        state: State, batch: Any, index: Array, key: Array, steps: Array, fixed: Any
    ) -> tuple[State, Losses]:
        draw_key = jax.random.fold_in(key, index)
        (images,) = augmented(draw_key, config.augment, batch["before"])
        (_, losses), gradients = jax.value_and_grad(loss, has_aux=True)(state.params, images, fixed)
        params, opt_state = updated(
            adam, options.learning_rate, state.params, state.opt_state, gradients
        )
        return State(params, opt_state), losses

    @jax.jit
    def translate(params: Any, faces: Faces) -> Images:
        return run(graph, params, halves(faces.image))

    def source(part: Part) -> ArraySource:
        return ArraySource({"before": part.before})

    return Recipe(init, step, lambda state, states: state.params, translate, source, fixed)


def features(network: PerceptualNetwork, images: Images) -> tuple[Array, ...]:
    """Return the four taps of images in [-1, 1], about."""
    return perceptual_features(network, images / 2 + 0.5)[:STYLE_TAPS]


@jax.jit
def _grams(network: PerceptualNetwork, images: np.ndarray | Array) -> tuple[Array, ...]:
    return tuple(gram(tap) for tap in features(network, halves(jnp.asarray(images))))
