"""Training: a pure step on (state, batch, step number, key) and the loop around it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import ArraySource
from common.study.protocol import Prepared, Unit
from common.training.loop import Length, Training, trained_state
from common.training.mesh import data_mesh, data_parallel
from common.training.rng import Streams
from common.training.state import State, updated
from papers.study_name import data
from papers.study_name.config import Config, ModelConfig
from papers.study_name.model import Detector

ADAM = optax.scale_by_adam()


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train the network of one seed to its end; resumes by itself.

    Writes checkpoints and `train.jsonl` into the unit's folder. Raises `Diverged` where the loss
    stops being finite.
    """
    config, options = unit.config, unit.config.train
    train, validation = (source(data.load(prepared, part)) for part in ("train", "validation"))
    length = Length(
        options.epochs, options.batch_size, options.log_every, options.checkpoint_minutes
    )
    programs = compiled(config.model, config.data.size, options.learning_rate)
    streams = Streams(unit.seed)
    state = programs.init(streams.key("parameters"))
    with Training(unit.folder, state, train, length, seed=unit.seed, label=unit.label) as training:
        for report in training.reports(programs.step, streams.key("train")):
            if report.epoch is not None:
                whole = validation[slice(None)]
                report["validation_loss"] = float(programs.measure(training.state, whole))
            training.record(report)


def source(part: data.Part) -> ArraySource:
    """Return a part's examples for training: `image` and `label`."""
    return ArraySource({"image": part.images, "label": part.labels})


class Programs(NamedTuple):
    """The compiled functions of a training; keys and weights are arguments, all seeds share them.

    `measure(state, batch)` gives the loss of a batch without Dropout.
    """

    graph: nnx.GraphDef
    init: Callable[[Array], State]
    step: Callable
    measure: Callable


@functools.cache
def compiled(model: ModelConfig, size: int, rate: float) -> Programs:
    """Return the programs of a training on images of `size` by `size` pixels."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: Detector(model, size, rngs=nnx.Rngs(0))))

    def init(key: Array) -> State:
        network = Detector(model, size, rngs=nnx.Rngs(key))
        params = nnx.state(network, nnx.Param)
        return State(params, ADAM.init(params), nnx.state(network, nnx.BatchStat))

    def measure(state: State, batch: dict[str, Array]) -> Array:
        return loss(nnx.merge(graph, state.params, state.stats)(batch["image"]), batch["label"])

    step = data_parallel(make_step(graph, rate), data_mesh())
    return Programs(graph, jax.jit(init), step, jax.jit(measure))


def make_step(graph: nnx.GraphDef, rate: float) -> Callable:
    """Return a pure `step(state, batch, index, key) -> (state, loss)`; `index` picks the draws."""

    def step(
        state: State, batch: dict[str, Array], index: Array, key: Array
    ) -> tuple[State, Float[Array, ""]]:
        drop = jax.random.fold_in(key, index)

        def objective(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            network = nnx.merge(graph, params, state.stats)
            value = loss(network(batch["image"], drop), batch["label"])
            return value, nnx.state(network, nnx.BatchStat)

        (value, stats), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        return State(*updated(ADAM, rate, state.params, state.opt_state, gradients), stats), value

    return step


def loss(logits: Float[Array, " batch"], labels: Array) -> Float[Array, ""]:
    """Return the mean cross-entropy."""
    return optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32)).mean()


def trained_network(folder: Path, config: Config) -> Detector:
    """Return the network of one training's folder."""
    programs = compiled(config.model, config.data.size, config.train.learning_rate)
    template = jax.eval_shape(programs.init, Streams(0).key("parameters"))
    state = trained_state(folder, template)
    return nnx.merge(programs.graph, state.params, state.stats)
