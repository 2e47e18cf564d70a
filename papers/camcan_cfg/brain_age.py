"""Training of the brain-age regressor, and the regressor as a function of images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from common.data.loader import ArraySource
from common.data.splits import PARTS, split_groups, split_indices
from common.nn.predictor import Predictor
from common.study.protocol import Prepared, Unit
from common.training.loop import Length, Training, checkpoints_of, trained_state
from common.training.mesh import data_mesh, data_parallel
from common.training.rng import Streams
from common.training.state import State
from common.training.stopping import EarlyStop, Plateau
from papers.camcan_cfg.config import BrainAgeConfig, Config
from papers.camcan_cfg.data import Slices, in_8_bits, load
from papers.camcan_cfg.models.brain_age import BrainAge

BATCH = 128  # of predictions
BEST = "validation_loss"


@dataclass(frozen=True)
class Regressor:
    """A trained network with the mean and standard deviation of what it was trained on."""

    predict: Predictor
    mean: np.ndarray
    std: np.ndarray

    def __call__(self, images: Float[np.ndarray, "n height width 1"]) -> Float[np.ndarray, "n 3"]:
        """Return age in years, sex (1 female … 2 male) and slice number of slices in [0, 1]."""
        return self.predict(images) * self.std + self.mean


def slices_by_part(prepared: Prepared, config: Config, split: str) -> dict[str, Slices]:
    """Return the slices of every part, cut by "slice" or by "subject", as 8-bit images hold them.

    Eight bits as in generated images: a regressor must not tell the two apart by their precision.
    """
    parts = {part: in_8_bits(load(prepared, part)) for part in PARTS}
    return parts if split == config.data.split else resplit(config, parts, split)


def resplit(config: Config, parts: dict[str, Slices], split: str) -> dict[str, Slices]:
    """Return the same slices in the same order, cut anew by "slice" or by "subject"."""
    images = np.concatenate([parts[part].images for part in PARTS])
    conditions = np.concatenate([parts[part].conditions for part in PARTS])
    subjects = np.concatenate([parts[part].subjects for part in PARTS])
    order = np.lexsort((conditions[:, 2], subjects))
    images, conditions, subjects = images[order], conditions[order], subjects[order]
    data = config.data
    options = (data.split_seed, data.train_fraction, data.validation_fraction)
    if split == "slice":
        cuts = split_indices(len(images), *options)
    else:
        cuts = split_groups(subjects.tolist(), *options)
    return {
        part: Slices(images[rows], conditions[rows], subjects[rows])
        for part, rows in ((part, np.sort(cuts[part])) for part in PARTS)
    }


def train_regressor(unit: Unit[Config], prepared: Prepared, split: str) -> None:
    """Train on real slices: MSE in standard units, Adam, rate lowered on plateau, early stop.

    The parameters of the epoch with the lowest validation loss are the trained ones, as in the
    source.
    """
    config = unit.config.brain_age
    parts = slices_by_part(prepared, unit.config, split)
    mean, std = _units(parts["train"])
    source = ArraySource(
        {
            "image": parts["train"].images,
            "target": ((parts["train"].conditions - mean) / std).astype(np.float32),
        }
    )
    epoch = max(1, len(source) // config.batch_size)  # steps
    length = Length(config.epochs, config.batch_size, epoch, checkpoint_minutes=0.0)
    programs = _compiled(config)
    state = programs.init(Streams(unit.seed).key("brain age"))
    plateau = Plateau(config.learning_rate, config.plateau_factor, config.plateau_patience)
    stop = EarlyStop(config.stop_patience)
    with Training(
        unit.folder, state, source, length, seed=unit.seed, label=unit.label,
        checkpoints=checkpoints_of(unit.folder, BEST),
    ) as training:  # fmt: skip
        if training.extra:
            plateau = Plateau(**training.extra["plateau"])
            stop = EarlyStop(**training.extra["stop"])
        reports = training.reports(programs.step, each=lambda: (np.float32(plateau.rate),))
        while not stop.stopped and (report := next(reports, None)):
            network = nnx.merge(programs.graph, training.state.params)
            regressor = Regressor(Predictor(network, regress, BATCH), mean, std)
            validation = parts["validation"]
            error = (regressor(validation.images) - validation.conditions) / std
            report[BEST] = float(np.mean(np.square(error)))
            plateau, stop = plateau.update(report[BEST]), stop.update(report[BEST])
            training.extra = {"plateau": asdict(plateau), "stop": asdict(stop)}
            training.record(report, save=stop.improved or stop.stopped or report.last)


def trained_regressor(unit: Unit[Config], train: Slices) -> Regressor:
    """Return the regressor of a trained unit, given the slices that it was trained on."""
    programs = _compiled(unit.config.brain_age)
    template = jax.eval_shape(programs.init, Streams(0).key("brain age"))
    state = trained_state(unit.folder, template, BEST)
    return Regressor(
        Predictor(nnx.merge(programs.graph, state.params), regress, BATCH), *_units(train)
    )


def regress(
    network: BrainAge, images: Float[Array, "batch height width 1"]
) -> Float[Array, "batch 3"]:
    """Return what the network says of slices, in standard units."""
    return network(images)


def _units(slices: Slices) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the conditions: what standard units are."""
    return slices.conditions.mean(0), slices.conditions.std(0) + 1e-6


class _Programs(NamedTuple):
    graph: nnx.GraphDef
    init: Callable[[Array], State]
    step: Callable


@functools.cache
def _compiled(config: BrainAgeConfig) -> _Programs:
    adam = optax.scale_by_adam()
    graph = nnx.graphdef(nnx.eval_shape(lambda: BrainAge(config, rngs=nnx.Rngs(0))))

    def init(key: Array) -> State:
        params = nnx.state(BrainAge(config, rngs=nnx.Rngs(key)))
        return State(params, adam.init(params))

    def step(
        state: State, batch: dict[str, Array], index: Array, rate: Array
    ) -> tuple[State, Array]:
        def loss(params: nnx.State) -> Array:
            predicted = nnx.merge(graph, params)(batch["image"])
            return jnp.mean(jnp.square(predicted - batch["target"]))

        value, gradients = jax.value_and_grad(loss)(state.params)
        updates, opt_state = adam.update(gradients, state.opt_state)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return State(params, opt_state), value

    return _Programs(graph, jax.jit(init), data_parallel(step, data_mesh()))
