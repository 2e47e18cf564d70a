"""Training of the denoising network and of the regressors: a pure step and a visible loop each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from common.diffusion.schedule import Schedule, add_noise, velocity
from common.study.protocol import Prepared, Unit
from common.training.ema import ema_update
from common.training.loop import Length, Training, trained_state
from common.training.mesh import data_mesh, data_parallel
from common.training.rng import Streams
from common.training.state import State
from papers.camcan_cfg.brain_age import train_regressor
from papers.camcan_cfg.config import Config, ModelConfig, TrainConfig
from papers.camcan_cfg.data import Slices, load
from papers.camcan_cfg.models.unet import UNet

UNCONDITIONAL = -1.0  # in place of age, sex and slice number


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed to its end, from its last checkpoint where there is one.

    Writes checkpoints and `train.jsonl` (step, loss, validation loss) into the unit's folder.
    Raises `Diverged` where the loss stops being finite.
    """
    if unit.network == "denoiser":
        train_denoiser(unit, prepared)
    else:
        train_regressor(unit, prepared, split=unit.network.removeprefix("regressor_"))


def train_denoiser(unit: Unit[Config], prepared: Prepared) -> None:
    """Train the denoising network of one seed; see `train`."""
    options = unit.config.train
    slices, validation = load(prepared, "train"), load(prepared, "validation")
    validation = validation.spread(options.validation_images or len(validation))
    length = Length(
        options.epochs, options.batch_size, options.log_every, options.checkpoint_minutes
    )
    programs = compiled(unit.config, length.steps(len(slices)))
    streams = Streams(unit.seed)
    state, source = programs.init(streams.key("parameters")), slices.as_source()
    with Training(unit.folder, state, source, length, seed=unit.seed, label=unit.label) as training:
        for report in training.reports(programs.step, streams.key("train")):
            ends = report.epoch is not None and report.epoch % options.validate_every == 0
            if ends or report.last:
                report["validation_loss"] = validation_loss(
                    programs, training.state, validation, options, streams.key("validation")
                )
            training.record(report)


def normalize_condition(conditions: Any, train: TrainConfig) -> Any:
    """Return age, sex and slice number as the network is given them, over `condition_scale`."""
    return conditions / np.asarray(train.condition_scale, np.float32)


def to_network_range(images: Any, train: TrainConfig) -> Any:
    """Return images on [0, 1] as the network is given them, from `image_range`'s black to white."""
    black, white = train.image_range
    return images * (white - black) + black


def from_network_range(images: Any, train: TrainConfig) -> Any:
    """Return images of `image_range` on [0, 1]: what `to_network_range` does, undone."""
    black, white = train.image_range
    return (images - black) / (white - black)


def make_optimizer(config: TrainConfig, steps: int) -> optax.GradientTransformation:
    """Return Adam at the published constant rate, or with the warm-up and decay asked for."""
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.cosine_decay:
        rate = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, config.warmup_steps, max(steps, config.warmup_steps + 1)
        )
    elif config.warmup_steps:
        rate = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.adam(rate)


def draw_times(key: Array, batch: int, steps: int, stratified: bool) -> Int[Array, " batch"]:
    """Return uniform times 0 … `steps` - 1, independent or one from each equal part of them."""
    if not stratified:
        return jax.random.randint(key, (batch,), 0, steps)
    parts = (jnp.arange(batch) + jax.random.uniform(key, (batch,))) * (steps / batch)
    return jnp.minimum(parts.astype(jnp.int32), steps - 1)


def make_loss(graph: nnx.GraphDef, schedule: Schedule, config: TrainConfig) -> Callable:
    """Return `loss(params, images, conditions, key)`: MSE of eps (Ho et al. 2020, eq. 14) or v."""

    def loss(
        params: nnx.State,
        images: Float[Array, "batch height width 1"],
        conditions: Float[Array, "batch 3"],
        key: Array,
    ) -> Float[Array, ""]:
        noise_key, time_key, drop_key = jax.random.split(key, 3)
        images, batch = to_network_range(images, config), images.shape[0]
        t = draw_times(time_key, batch, schedule.steps, config.stratified_times)
        noise = jax.random.normal(noise_key, images.shape)
        dropped = jax.random.bernoulli(drop_key, config.condition_dropout, (batch, 1))
        conditions = jnp.where(dropped, UNCONDITIONAL, normalize_condition(conditions, config))
        predicted = nnx.merge(graph, params)(add_noise(schedule, images, noise, t), t, conditions)
        of_velocity = config.prediction == "velocity"
        target = velocity(schedule, images, noise, t) if of_velocity else noise
        return jnp.mean(jnp.square(predicted - target))

    return loss


def make_step(loss: Callable, optimizer: optax.GradientTransformation, ema: float) -> Callable:
    """Return a pure `step(state, batch, index, key) -> (state, loss)`; `index` picks its draws."""

    def step(
        state: State, batch: dict[str, Array], index: Array, key: Array
    ) -> tuple[State, Array]:
        value, gradients = jax.value_and_grad(loss)(
            state.params, batch["image"], batch["condition"], jax.random.fold_in(key, index)
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = None if state.ema is None else ema_update(state.ema, params, ema, index)
        return State(params, opt_state, ema=average), value

    return step


class Programs(NamedTuple):
    """The compiled functions of a training; keys and weights are arguments, all seeds share them.

    `validate(params, images, conditions, key, index)` is the loss of a batch.
    """

    graph: nnx.GraphDef
    init: Callable[[Array], State]
    step: Callable
    validate: Callable


def compiled(config: Config, steps: int) -> Programs:
    """Return the programs of a training of so many steps."""
    return _compiled(config.model, config.train, config.sample.train_steps, steps)


@functools.cache
def _compiled(model: ModelConfig, options: TrainConfig, times: int, steps: int) -> Programs:
    optimizer = make_optimizer(options, steps)
    graph = nnx.graphdef(nnx.eval_shape(lambda: UNet(model, rngs=nnx.Rngs(0))))
    loss = make_loss(graph, Schedule.linear(times), options)

    def init(key: Array) -> State:
        params = nnx.state(UNet(model, rngs=nnx.Rngs(key)))
        ema = jax.tree.map(jnp.copy, params) if options.ema else None
        return State(params, optimizer.init(params), ema=ema)

    def validate(params: nnx.State, images: Array, conditions: Array, key: Array, index: Array):
        return loss(params, images, conditions, jax.random.fold_in(key, index))

    step = data_parallel(make_step(loss, optimizer, options.ema), data_mesh())
    return Programs(graph, jax.jit(init), step, jax.jit(validate))


def validation_loss(
    programs: Programs, state: State, slices: Slices, options: TrainConfig, key: Array
) -> float:
    """Return the loss over whole batches of slices, with the same draws each time.

    Every process computes the whole of it.
    """
    size = min(options.batch_size, len(slices))
    rows = [slice(start, start + size) for start in range(0, len(slices) - size + 1, size)]
    values = [
        programs.validate(state.params, slices.images[r], slices.conditions[r], key, np.int32(i))
        for i, r in enumerate(rows)
    ]
    return float(np.mean(jax.device_get(values)))


def trained_network(unit: Unit[Config]) -> UNet:
    """Return the denoising network of a trained unit: its moving average where one was kept."""
    return load_network(unit.folder, unit.config)


def load_network(folder: Path, config: Config) -> UNet:
    """Return the denoising network in a folder; raises `InputError` where there is none."""
    state = load_state(folder, config)
    params = state.params if state.ema is None else state.ema
    return nnx.merge(compiled(config, 1).graph, params)


def load_state(folder: Path, config: Config) -> State:
    """Return the trained state in a folder; raises `InputError` where there is none."""
    return trained_state(
        folder, jax.eval_shape(compiled(config, 1).init, Streams(0).key("parameters"))
    )
