"""Training on latents: a whole U-Net, its adaptation, or a ControlNet beside it.

What is not trained is an argument of the step and stays as it is, in whatever type it is kept; the
optimizer's state and the moving average are of the trained parameters alone. As in the loop of
`common.training.loop`, a step is ``step(state, batch, index, key, fixed)``::

    graph, trained, rest = nnx.split(unet, LoRAParam, ...)
    step = make_step(unet_prediction(graph), Objective(), optimizer)
    step = data_parallel(step, mesh, save_memory=True)
    state = State(trained, optimizer.init(trained))
    state, value = step(state, batch, index, key, Fixed(rest, schedule, empty))

A batch has `latents` [batch, rows, columns, channels], scaled as `VAEConfig.scale` says, `context`
[batch, tokens, features], and for a ControlNet `hint` [batch, height, width, 3] in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree

from common.diffusion.losses import denoising_loss
from common.diffusion.schedule import Schedule, add_noise
from common.nn import cpu_forms
from common.training.ema import ema_update
from common.training.state import State

Batch = dict[str, Array]


@dataclass(frozen=True)
class Objective:
    """What is minimized: see `common.diffusion.losses`.

    `dropout` is the share of rows that are trained without their prompt, for guidance.
    """

    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    gamma: float | None = None  # of the min-SNR weights; None: all are 1
    dropout: float = 0.0


class Fixed(NamedTuple):
    """What a training reads and leaves as it is."""

    network: PyTree  # the state of all that is not trained
    schedule: Schedule
    empty: Float[Array, "tokens features"] | None = None  # the empty prompt's context, for dropout


class Examples(NamedTuple):
    """A batch with its draws: latents at times `t`, the noise in them, and what they go with."""

    latents: Float[Array, "batch rows columns channels"]
    noise: Float[Array, "batch rows columns channels"]
    t: Int[Array, " batch"]
    context: Float[Array, "batch tokens features"]
    hint: Float[Array, "batch height width 3"] | None

    def noisy(self, schedule: Schedule) -> Float[Array, "batch rows columns channels"]:
        """Return what the network sees."""
        return add_noise(schedule, self.latents, self.noise, self.t)


Predict = Callable[[PyTree, Fixed, Examples], Float[Array, "batch rows columns channels"]]


def unet_prediction(graph: nnx.GraphDef) -> Predict:
    """Return what a U-Net predicts, split as ``nnx.split(unet, trained, ...)``; `graph` is its."""

    def predict(trained: PyTree, fixed: Fixed, examples: Examples) -> Array:
        network: Any = nnx.merge(graph, trained, fixed.network)
        return network(examples.noisy(fixed.schedule), examples.t, examples.context)

    return predict


def controlnet_prediction(graph: nnx.GraphDef, unet: nnx.GraphDef) -> Predict:
    """Return what a U-Net predicts with the ControlNet that is trained; the U-Net is fixed."""

    def predict(trained: PyTree, fixed: Fixed, examples: Examples) -> Array:
        controlnet: Any = nnx.merge(graph, trained)
        network: Any = nnx.merge(unet, fixed.network)
        x, t, context = examples.noisy(fixed.schedule), examples.t, examples.context
        residuals = controlnet(x, t, context, controlnet.encode_hint(examples.hint))
        return network(x, t, context, residuals)

    return predict


def draw_examples(batch: Batch, key: Array, fixed: Fixed, dropout: float) -> Examples:
    """Return a batch with noise and uniform times, some rows without their prompt."""
    noise_key, time_key, drop_key = jax.random.split(key, 3)
    latents, context = batch["latents"], batch["context"]
    size = latents.shape[0]
    if dropout:
        if fixed.empty is None:
            raise ValueError(f"dropout {dropout} needs the empty prompt's context")
        dropped = jax.random.bernoulli(drop_key, dropout, (size, 1, 1))
        context = jnp.where(dropped, fixed.empty, context)
    noise = jax.random.normal(noise_key, latents.shape)
    t = jax.random.randint(time_key, (size,), 0, fixed.schedule.steps)
    return Examples(latents, noise, t, context, batch.get("hint"))


def make_loss(predict: Predict, objective: Objective) -> Callable:
    """Return `loss(trained, fixed, examples)`: the mean over the examples."""

    def loss(trained: PyTree, fixed: Fixed, examples: Examples) -> Float[Array, ""]:
        predicted = predict(trained, fixed, examples)
        drawn = (examples.latents, examples.noise, examples.t)
        kind, gamma = objective.prediction, objective.gamma
        return denoising_loss(fixed.schedule, *drawn, predicted, kind, gamma).mean()

    return loss


def make_step(
    predict: Predict,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    ema: float = 0.0,
    parts: int = 1,
) -> Callable:
    """Return a pure `step(state, batch, index, key, fixed) -> (state, loss)`.

    The gradient is accumulated over `parts` of the batch, one after the other, so that the
    activations of one part have to be held; it is that of the whole batch. `ema` is the decay of
    the moving average, kept where `state.ema` is one. ValueError for a batch that `parts` does not
    divide.
    """
    differentiate = jax.value_and_grad(make_loss(predict, objective))

    def gradient(trained: PyTree, fixed: Fixed, examples: Examples) -> tuple[Array, PyTree]:
        if parts == 1:
            return differentiate(trained, fixed, examples)
        size = examples.t.shape[0]
        if size % parts:
            raise ValueError(f"a batch of {size} in {parts} parts: expected a multiple")
        # neighbors go to different parts, so that a batch cut into devices stays where it is
        cut = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), examples)

        def add(total: Any, part: Examples) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, differentiate(trained, fixed, part)), None

        zero = jax.tree.map(jnp.zeros_like, (jnp.float32(0), trained))
        # XLA's CPU backend has no fast convolutions for gradients inside of a loop
        total, _ = jax.lax.scan(add, zero, cut, unroll=parts if cpu_forms.on_cpu() else 1)
        return jax.tree.map(lambda x: x / parts, total)

    def step(
        state: State, batch: Batch, index: Array, key: Array, fixed: Fixed
    ) -> tuple[State, Array]:
        examples = draw_examples(batch, jax.random.fold_in(key, index), fixed, objective.dropout)
        value, gradients = gradient(state.params, fixed, examples)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = None if state.ema is None else ema_update(state.ema, params, ema, index)
        return State(params, opt_state, ema=average), value

    return step
