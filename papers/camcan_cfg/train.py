"""Training of the denoising network: one visible loop around a pure jitted step."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from common.data.loader import batches
from common.diffusion.schedule import Schedule, add_noise, velocity
from common.errors import InputError
from common.study.protocol import Run
from common.training.checkpoints import Checkpoints
from common.training.ema import ema_update
from common.training.finite import check_finite
from common.training.mesh import data_mesh, data_parallel, replicate, shard
from common.training.rng import Streams
from common.training.writer import MetricWriter
from papers.camcan_cfg.config import Config, TrainConfig
from papers.camcan_cfg.data import Prepared, Slices, load
from papers.camcan_cfg.models.unet import UNet

UNCONDITIONAL = -1.0  # in place of age, sex and slice number


class State(NamedTuple):
    """What training changes; `ema` is None where no average is kept."""

    params: nnx.State
    optimizer: optax.OptState
    ema: nnx.State | None


def scaled(conditions: Any, train: TrainConfig) -> Any:
    """Return age, sex and slice number as the network is given them, over `condition_scale`."""
    return conditions / np.asarray(train.condition_scale, np.float32)


def stretched(images: Any, train: TrainConfig) -> Any:
    """Return images on [0, 1] as the network is given them, from `image_range`'s black to white."""
    black, white = train.image_range
    return images * (white - black) + black


def unstretched(images: Any, train: TrainConfig) -> Any:
    """Return images of `image_range` on [0, 1]: what `stretched` does, undone."""
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
        images, batch = stretched(images, config), images.shape[0]
        t = draw_times(time_key, batch, schedule.steps, config.stratified_times)
        noise = jax.random.normal(noise_key, images.shape)
        dropped = jax.random.bernoulli(drop_key, config.condition_dropout, (batch, 1))
        conditions = jnp.where(dropped, UNCONDITIONAL, scaled(conditions, config))
        predicted = nnx.merge(graph, params)(add_noise(schedule, images, noise, t), t, conditions)
        of_velocity = config.prediction == "velocity"
        target = velocity(schedule, images, noise, t) if of_velocity else noise
        return jnp.mean(jnp.square(predicted - target))

    return loss


def make_step(loss: Callable, optimizer: optax.GradientTransformation, ema: float, key: Array):
    """Return a pure `step(state, batch, index) -> (state, loss)`; `index` picks its draws."""

    def step(state: State, batch: dict[str, Array], index: Array) -> tuple[State, Array]:
        value, gradients = jax.value_and_grad(loss)(
            state.params, batch["image"], batch["condition"], jax.random.fold_in(key, index)
        )
        updates, moments = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = None if state.ema is None else ema_update(state.ema, params, ema, index)
        return State(params, moments, average), value

    return step


def initial_state(config: Config, seed: int, optimizer: optax.GradientTransformation):
    """Return the network's graph and its state before the first step."""
    key = Streams(seed).key("parameters")

    @jax.jit
    def init(key: Array) -> State:
        params = nnx.state(UNet(config.model, rngs=nnx.Rngs(key)))
        ema = jax.tree.map(jnp.copy, params) if config.train.ema else None
        return State(params, optimizer.init(params), ema)

    graph = nnx.graphdef(nnx.eval_shape(lambda: UNet(config.model, rngs=nnx.Rngs(0))))
    return graph, init(key)


def make_validation(loss: Callable, slices: Slices, size: int, key: Array) -> Callable:
    """Return `validate(params)`: the loss over whole batches of slices, the same draws each time.

    Every process computes the whole of it.
    """
    compiled = jax.jit(lambda p, x, c, i: loss(p, x, c, jax.random.fold_in(key, i)))
    size = min(size, len(slices))
    starts = range(0, len(slices) - size + 1, size)

    def validate(params: nnx.State) -> float:
        rows = [slice(start, start + size) for start in starts]
        values = [
            compiled(params, slices.images[r], slices.conditions[r], np.int32(i))
            for i, r in enumerate(rows)
        ]
        return float(np.mean(jax.device_get(values)))

    return validate


def train(run: Run, prepared: Prepared, seed: int) -> None:
    """Train one seed to its last epoch, from its last checkpoint where there is one.

    Writes checkpoints and `train.jsonl` (step, loss, validation loss) into the seed's folder.
    Raises `Diverged` where the loss stops being finite.
    """
    config: Config = run.config
    options, folder = config.train, run.seed_folder(seed)
    streams, mesh = Streams(seed), data_mesh()
    slices, validation = load(prepared, "train"), load(prepared, "validation")
    validation = validation.spread(options.validation_images or len(validation))
    iterator = batches(
        slices.as_source(),
        options.batch_size,
        seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    epoch = len(slices) // options.batch_size  # steps
    total = options.epochs * epoch

    optimizer = make_optimizer(options, total)
    graph, state = initial_state(config, seed, optimizer)
    loss = make_loss(graph, Schedule.linear(config.sample.train_steps), options)
    step = data_parallel(make_step(loss, optimizer, options.ema, streams.key("train")), mesh)
    validate = make_validation(loss, validation, options.batch_size, streams.key("validation"))
    state = replicate(mesh, state)

    checkpoints = Checkpoints(folder / "checkpoints")
    start = 0
    if restored := checkpoints.restore_last(state):
        start, state = restored.step, restored.state
        iterator.set_state(restored.iterator)
    with MetricWriter(folder / "train.jsonl", total, f"train, seed {seed}", start) as writer:
        losses, saved = [], time.monotonic()
        for done in range(start + 1, total + 1):
            state, value = step(state, shard(mesh, next(iterator)), np.int32(done - 1))
            losses.append(value)
            validates = done % (epoch * options.validate_every) == 0 or done == total
            if not validates and done % options.log_every:
                continue
            scalars = {"loss": float(np.mean(jax.device_get(losses)))}
            losses = []
            check_finite(done, scalars["loss"], checkpoints)
            if validates:
                scalars["validation_loss"] = validate(state.params)
            writer.write(done, **scalars)
            if done == total or time.monotonic() - saved > 60 * options.checkpoint_minutes:
                checkpoints.save(done, state, iterator.get_state(), scalars)
                saved = time.monotonic()


def trained_network(run: Run, seed: int) -> UNet:
    """Return the network of a trained seed: its moving average where one was kept."""
    config: Config = run.config
    graph, state = initial_state(config, seed, make_optimizer(config.train, 1))
    folder = run.seed_folder(seed) / "checkpoints"
    restored = Checkpoints(folder).restore_last(state)
    if restored is None:
        raise InputError(f"{folder}: no checkpoint; run --stage train first")
    params = restored.state.params if restored.state.ema is None else restored.state.ema
    return nnx.merge(graph, params)
