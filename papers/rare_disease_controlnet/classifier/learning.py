"""How a classifier learns: one program for all arms, seeds and numbers of films."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from common.nn.affine import affine, sample
from common.nn.building import graph_of as graph_of_network
from common.training.loop import trained_state
from common.training.state import State
from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.config import ClassifierConfig
from papers.rare_disease_controlnet.engine.learning import Learning, Losses

Images = Float[Array, "batch height width 1"]
_ADAM = optax.scale_by_adam()


class Known(NamedTuple):
    """What the training reads: whether to augment (1) or not (0), its steps, a state to begin."""

    augment: Float[Array, ""] | float | np.floating
    steps: Float[Array, ""] | float | np.floating
    begin: State | None = None


@functools.cache
def learning(config: ClassifierConfig, findings: int, single: bool) -> Learning:
    """Return how it learns on a batch's `images` [rows 2 height width 1] and their `labels`.

    Of films with a `single` finding at most the loss is the cross-entropy of the classes, normal
    and each finding; of others the mean binary cross-entropy of the findings. AdamW, its rate
    falling to zero as a half cosine.
    """
    graph = graph_of(config, findings, single)

    def init(key: Array, fixed: Known) -> State:
        if fixed.begin is not None:
            return fixed.begin._replace(opt_state=_ADAM.init(fixed.begin.params))
        network = _build(config, findings, single, nnx.Rngs(key))
        params = nnx.state(network, nnx.Param)
        return State(params, _ADAM.init(params), nnx.state(network, nnx.BatchStat))

    def step(
        state: State, batch: Any, index: Array, key: Array, fixed: Known
    ) -> tuple[State, Losses]:
        films, labels = (batch[name].reshape(-1, *batch[name].shape[2:]) for name in
                         ("images", "labels"))  # fmt: skip
        images = augmented(jax.random.fold_in(key, index), films, config, fixed.augment)

        def loss(params: Any) -> tuple[Array, nnx.State]:
            network: Any = nnx.merge(graph, params, state.stats)
            value = cross_entropy(network(images, train=True), labels, single)
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
        updates, opt_state = _ADAM.update(gradients, state.opt_state)
        rate = config.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * index / fixed.steps))
        params = jax.tree.map(
            lambda p, u: p - rate * (u + config.weight_decay * p), state.params, updates
        )
        return State(params, opt_state, stats), {"loss": value}

    return Learning(init, step)


def graph_of(config: ClassifierConfig, findings: int, single: bool) -> nnx.GraphDef:
    """Return the classifier's graph."""
    return graph_of_network(functools.partial(_build, config, findings, single))


def cross_entropy(
    logits: Float[Array, "batch classes"], labels: UInt8[Array, "batch findings"], single: bool
) -> Float[Array, ""]:
    """Return the mean cross-entropy of `single` findings, or of each finding by itself."""
    targets = labels.astype(jnp.float32)
    if not single:
        return optax.sigmoid_binary_cross_entropy(logits, targets).mean()
    normal = 1 - targets.max(1, keepdims=True)
    return optax.softmax_cross_entropy(logits, jnp.concatenate([normal, targets], 1)).mean()


def probabilities(
    logits: Float[Array, "batch classes"], single: bool
) -> Float[Array, "batch outcomes"]:
    """Return the probability of no finding and of each finding."""
    if single:
        return jax.nn.softmax(logits)
    each = jax.nn.sigmoid(logits)
    return jnp.concatenate([jnp.prod(1 - each, 1, keepdims=True), each], 1)


def augmented(
    key: Array,
    films: UInt8[Array | np.ndarray, "batch height width 1"],
    config: ClassifierConfig,
    strength: Float[Array, ""] | float | np.floating,
) -> Images:
    """Return films in [0, 1], each turned, shifted, zoomed and lit by its own draw.

    Films are never mirrored: the heart would change sides. At `strength` 0 they are as they were.
    """
    x, (batch, height, width, _) = jnp.asarray(films, jnp.float32) / 255, films.shape
    draws = strength * jax.random.uniform(key, (5, batch), minval=-1.0)
    zoom = 1 + config.zoom * draws[1]
    matrix, shift = affine(
        jnp.deg2rad(config.rotation) * draws[0],
        jnp.zeros(batch),
        jnp.stack([zoom, zoom]),
        config.shift * draws[2:4] * jnp.array([[width], [height]]),
    )
    light = 1 + config.brightness * draws[4][:, None, None, None]
    return jnp.clip(light * sample(x, matrix, shift), 0, 1)


def _build(config: ClassifierConfig, findings: int, single: bool, rngs: nnx.Rngs) -> Classifier:
    return Classifier(config, findings + 1 if single else findings, rngs=rngs)


def trained_state_of(folder: Path, made: Learning) -> State:
    """Return the last state of a classifier's training; raises `InputError` if there is none."""
    return trained_state(folder, jax.eval_shape(made.init, jax.random.key(0), Known(0.0, 1.0)))
