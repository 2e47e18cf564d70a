"""Training of one model of one seed: see `recipes` for what each learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from common.metrics.ssim import ssim
from common.nn.predictor import in_batches
from common.study.protocol import Prepared, Unit
from common.training import programs
from common.training.loop import Training, trained_state
from common.training.rng import Streams
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Images, Part, load
from papers.surgical_vision.families import length_of, recipe_of
from papers.surgical_vision.networks import networks
from papers.surgical_vision.recipes.recipe import Faces, Recipe
from papers.surgical_vision.variants import MODELS

Folders = Callable[[str], Path]  # where a network of the seed lies


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed to its end, from its last checkpoint where there is one.

    Writes checkpoints and `train.jsonl` (step, every loss by name, and of some reports the mean
    SSIM of the validation part's outputs to the true faces after) into the unit's folder. Raises
    `Diverged` where a loss stops being finite.
    """
    config, part = unit.config, load(prepared, "train")
    recipe = recipe_of(unit.network, config)
    if recipe.step is None:
        return
    source = recipe.source(part)
    length = length_of(unit.network, config, len(source))
    steps = length.steps(len(source))
    states = states_of(unit.network, config, lambda name: unit.of(name).folder)
    fixed, streams = recipe.fixed(states, part), Streams(unit.seed)
    init, step = compiled(recipe)
    state = init(streams.key(f"parameters {unit.network}"), fixed)
    validation = load(prepared, "validation")
    asked = Validation(recipe, states, validation, config, unit.seed, steps)
    with Training(unit.folder, state, source, length, seed=unit.seed, label=unit.label) as training:
        for report in training.reports(step, streams.key(unit.network), np.float32(steps), fixed):
            if (shares := report.step // asked.every) > training.extra.get("validated", 0):
                report["validation_ssim"] = asked(training.state)
                training.extra = {"validated": shares}
            training.record(report)


def compiled(recipe: Recipe) -> tuple[Callable, Callable]:
    """Return the programs of a recipe that draw a first state and take a step.

    Recipes that share these functions, those of one network's seeds among them, share programs.
    """
    assert recipe.step is not None
    return programs.compiled(recipe.init, recipe.step)


class Validation:
    """The mean SSIM of a training's outputs on the validation part, some times on the way."""

    def __init__(
        self,
        recipe: Recipe,
        states: Mapping[str, State],
        part: Part,
        config: Config,
        seed: int,
        steps: int,
    ):
        self._recipe, self._states, self._part = recipe, states, part
        self._batch, self._seed = config.evaluate.batch_size, seed
        self.every = max(1, steps // config.train.validations)  # steps, about

    def __call__(self, state: State) -> float:
        """Return the mean SSIM to the true faces after."""
        weights = self._recipe.weights(state, self._states)
        part = self._part
        images = translated(
            self._recipe, weights, part.before, part.labels, self._seed, self._batch
        )
        return float(np.mean(ssim(images / np.float32(255), part.after / np.float32(255))))


def translated(
    recipe: Recipe, weights: Any, before: Images, labels: np.ndarray, seed: int, batch: int
) -> Images:
    """Return what a model makes of faces, in 8 bits as a file holds them.

    Image i has the random numbers of `seed` and i alone.
    """
    numbers = np.random.SeedSequence(seed).generate_state(len(before), np.uint32)
    seeds = numbers.view(np.uint8).reshape(-1, 4)

    def run(rows: np.ndarray) -> np.ndarray:
        return np.asarray(recipe.translate(weights, Faces(before[rows], labels[rows], seeds[rows])))

    outputs = in_batches(run, np.arange(len(before)), batch)
    return np.rint(np.clip(outputs / 2 + 0.5, 0, 1) * 255).astype(np.uint8)


def states_of(network: str, config: Config, folder: Folders) -> dict[str, State]:
    """Return the trained states of what a network learns from, by name."""
    return {name: load_state(name, config, folder) for name in networks(config)[network].after}


def load_state(network: str, config: Config, folder: Folders) -> State:
    """Return a trained network's state; raises `InputError` where there is none."""
    recipe = recipe_of(network, config)
    if recipe.step is None:
        return State({}, {})
    states = states_of(network, config, folder)
    template = jax.eval_shape(recipe.init, jax.random.key(0), recipe.fixed(states, None))
    return trained_state(folder(network), template)


def load_model(network: str, config: Config, folder: Folders) -> tuple[Recipe, Any]:
    """Return a trained model's recipe and the weights that it translates with."""
    assert network in MODELS
    recipe = recipe_of(network, config)
    state = load_state(network, config, folder)
    return recipe, recipe.weights(state, states_of(network, config, folder))
