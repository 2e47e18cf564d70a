"""Training: a pure step on (state, batch, step number, key, rate) and the loop around it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import ArraySource
from common.metrics.overlap import soft_iou
from common.study.protocol import Prepared, Unit
from common.training.loop import Length, Training, checkpoints_of, trained_state
from common.training.mesh import data_mesh, data_parallel
from common.training.rng import Streams
from common.training.state import State
from common.training.stopping import EarlyStop, Plateau
from papers.lgg_attention_unet import data
from papers.lgg_attention_unet.augment import augment
from papers.lgg_attention_unet.config import Config, ModelConfig, TrainConfig
from papers.lgg_attention_unet.losses import Loss, make_loss
from papers.lgg_attention_unet.model import AttentionUNet

EPSILON = 1e-7  # of Keras's Adam
BEST = "validation_loss"


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed to its last epoch or its early stop; resumes by itself.

    Writes checkpoints and `train.jsonl` into the unit's folder. Raises `Diverged` where the loss
    stops being finite.
    """
    config, options = unit.config, unit.config.train
    parts = data.load(prepared, config.data, unit.seed)
    source = data.source(parts["train"], config.data, options.normalize, options.tumor_repeats)
    fit(unit, source, data.source(parts["validation"], config.data, options.normalize))


def fit(unit: Unit[Config], source: ArraySource, validation: ArraySource) -> None:
    """Train one network on examples; see `train`."""
    options = unit.config.train
    length = Length(
        options.epochs, options.batch_size, options.log_every, options.checkpoint_minutes
    )
    programs = compiled(model_of(unit), options, length.steps(len(source)))
    streams = Streams(unit.seed)
    plateau = Plateau.keras(
        options.learning_rate, options.plateau_factor, options.plateau_patience,
        options.min_learning_rate,
    )  # fmt: skip
    stop = EarlyStop(options.stop_patience)
    with Training(
        unit.folder, programs.init(streams.key("parameters")), source, length, seed=unit.seed,
        label=unit.label, checkpoints=checkpoints_of(unit.folder, BEST),
    ) as training:  # fmt: skip
        if training.extra:
            plateau = Plateau(**training.extra["plateau"])
            stop = EarlyStop(**training.extra["stop"])
        reports = training.reports(
            programs.step, streams.key("train"), each=lambda: (np.float32(plateau.rate),)
        )
        while not stop.stopped and (report := next(reports, None)):
            report["rate"] = float(programs.rate(report.step - 1, plateau.rate))
            save = False
            if report.epoch is not None:
                report |= validate(programs, training.state, validation, options)
                plateau, stop = plateau.update(report[BEST]), stop.update(report[BEST])
                training.extra = {"plateau": asdict(plateau), "stop": asdict(stop)}
                save = stop.improved or stop.stopped or training.is_late or report.last
            training.record(report, save=save)


def model_of(unit: Unit[Config]) -> ModelConfig:
    """Return the network of a unit: with gates, or the same without."""
    return replace(unit.config.model, gates=unit.network == "attention")


def adam(config: TrainConfig) -> optax.GradientTransformation:
    """Return Adam without its rate, which every step takes for itself."""
    return optax.scale_by_adam(config.beta1, config.beta2, EPSILON)


def make_rate(config: TrainConfig, steps: int) -> Callable:
    """Return `rate(step, plateau_rate)`: the plateau's, or the cosine's with its warm-up."""
    if config.schedule == "plateau":
        return lambda _, plateau: plateau
    cosine = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, max(steps, config.warmup_steps + 1)
    )
    return lambda step, _: cosine(step)


def make_step(graph: nnx.GraphDef, loss: Loss, config: TrainConfig, rate: Callable) -> Callable:
    """Return a pure `step(state, batch, index, key, plateau_rate) -> (state, loss)`.

    `index` picks the draws of the augmentation and the place in the schedule.
    """
    optimizer = adam(config)

    def step(
        state: State, batch: dict[str, Array], index: Array, key: Array, plateau_rate: Array
    ) -> tuple[State, Float[Array, ""]]:
        images = batch["image"] * batch["scale"][:, None, None]
        masks = batch["mask"].astype(jnp.float32)
        images, masks = augment(jax.random.fold_in(key, index), images, masks, config)

        def objective(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            network = nnx.merge(graph, params, state.stats)
            value = loss(network(images, train=True), masks)
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state)
        now = rate(index, plateau_rate)
        params = jax.tree.map(lambda p, u: p - now * u, state.params, updates)
        return State(params, opt_state, stats), value

    return step


class Programs(NamedTuple):
    """The compiled functions of a training; keys and weights are arguments, all seeds share them.

    `measure(state, batch)` gives loss and soft IoU of a batch.
    """

    graph: nnx.GraphDef
    init: Callable[[Array], State]
    step: Callable
    measure: Callable
    rate: Callable


@functools.cache
def compiled(model: ModelConfig, config: TrainConfig, steps: int) -> Programs:
    """Return the programs of a training of so many steps."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: AttentionUNet(model, rngs=nnx.Rngs(0))))
    loss, rate = make_loss(config), make_rate(config, steps)

    def init(key: Array) -> State:
        network = AttentionUNet(model, rngs=nnx.Rngs(key))
        params = nnx.state(network, nnx.Param)
        return State(params, adam(config).init(params), nnx.state(network, nnx.BatchStat))

    def measure(state: State, batch: dict[str, Array]) -> tuple[Array, Array]:
        network = nnx.merge(graph, state.params, state.stats)
        logits = network(batch["image"] * batch["scale"][:, None, None])
        masks = batch["mask"].astype(jnp.float32)
        return loss(logits, masks), soft_iou(jax.nn.sigmoid(logits), masks, smooth=config.smooth)

    step = data_parallel(make_step(graph, loss, config, rate), data_mesh())
    return Programs(graph, jax.jit(init), step, jax.jit(measure), rate)


def validate(
    programs: Programs, state: State, examples: ArraySource, config: TrainConfig
) -> dict[str, float]:
    """Return loss and soft IoU, means over batches as in Keras.

    The batches are the same each time; every process computes the whole of it.
    """
    order = np.random.default_rng(0).permutation(len(examples))
    size = config.batch_size
    chosen = [examples[order[start : start + size]] for start in range(0, len(order), size)]
    measured = np.array(jax.device_get([programs.measure(state, batch) for batch in chosen]))
    value, iou = measured.mean(0).tolist()
    return {"validation_loss": value, "validation_soft_iou": iou}


def trained_network(folder: Path, model: ModelConfig, config: TrainConfig) -> AttentionUNet:
    """Return the network of one training's folder: the best by validation loss, or the last."""
    state = load_state(folder, model, config)
    return nnx.merge(compiled(model, config, 1).graph, state.params, state.stats)


def load_state(folder: Path, model: ModelConfig, config: TrainConfig) -> State:
    """Return the state of one training's folder: the best by validation loss, or the last."""
    template = jax.eval_shape(compiled(model, config, 1).init, Streams(0).key("parameters"))
    return trained_state(folder, template, BEST if config.keep == "best" else None)
