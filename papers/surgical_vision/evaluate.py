"""Evaluation: what each of eighteen models makes of the same test faces, and a seed of all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from common import provenance
from common.metrics.described import Inception
from common.results.cache import cached
from common.study import config as configs
from common.study.protocol import Evaluation, Prepared, Run, Unit
from common.training.loop import LOG
from common.training.state import State
from common.training.writer import read_curves
from papers.surgical_vision import cases
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import Images, Part, load
from papers.surgical_vision.datasets import ladders
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.features import Vectors, perceptual_networks
from papers.surgical_vision.internals import internals
from papers.surgical_vision.measures import mean, measured
from papers.surgical_vision.recipes.recipe import Recipe
from papers.surgical_vision.train import load_state, states_of, translated

SAMPLED = ("pix2pix", "starganv2", "stable_diffusion", "stable_diffusion_lora")  # draw at test
_SAMPLED_FACES = 8


class Ruler:
    """The test part and what outputs on it are measured against."""

    def __init__(self, config: Config, prepared: Prepared):
        options = config.evaluate
        self.part = load(prepared, "test")
        self.ladders = known_ladders(config, prepared, self.part)
        self.networks = perceptual_networks(options)
        self._inception = Inception(options.features)
        self._chosen = options.feature_images or len(self.part)
        self._real = self._inception(self.part.after[: self._chosen])
        self._vectors = {
            "before": Vectors(self.networks, self.part.before),
            "after": Vectors(self.networks, self.part.after),
        }

    def __call__(self, outputs: Images) -> dict[str, Any]:
        """Return what any set of outputs is measured by."""
        own = {**self._vectors, "outputs": Vectors(self.networks, outputs)}
        made = self._inception(outputs[: self._chosen])
        found = measured(outputs, self.part, self.ladders, own)
        return found | self._inception.compared(made, self._real)

    @cached_property
    def references(self) -> dict[str, Any]:
        """The same of the faces before and after themselves, which no seed changes."""
        return {"unchanged": self(self.part.before), "true_after": self(self.part.after)}


_RULERS: dict[tuple[Path, str], Ruler] = {}  # the last one that was asked for


def ruler_of(run: Run[Config], prepared: Prepared) -> Ruler:
    """Return the ruler of a run, the same one for all networks that a process measures."""
    key = (run.work, prepared.content_hash)
    if key not in _RULERS:
        _RULERS.clear()
        _RULERS[key] = Ruler(run.config, prepared)
    return _RULERS[key]


def measure(unit: Unit[Config], prepared: Prepared) -> Evaluation:
    """Return metrics and images of one model on the test part."""
    run, config, seed, name = unit.run, unit.config, unit.seed, unit.network
    options, ruler = config.evaluate, ruler_of(unit.run, prepared)
    part, shown = ruler.part, ruler.part.first(options.cases)
    states = seed_states(run, prepared, seed, name)
    recipe = recipe_of(name, config)
    weights = recipe.weights(states[name], states)

    made = partial(make, recipe, weights, options.batch_size)
    outputs = made(part, seed)
    metrics = ruler(outputs) | internals(name, config, states, weights, part)
    if name in SAMPLED and ruler.networks:
        metrics["diversity"] = diversity(made, part, ruler.networks, options.samples)
    arrays = {f"output_{name}": outputs[: len(shown)]}
    return Evaluation(
        metrics, arrays | cases.arrays_of(name, config, states, weights, made, shown, seed)
    )


def evaluate(
    run: Run[Config], prepared: Prepared, seed: int, models: Mapping[str, Evaluation]
) -> Evaluation:
    """Return metrics and images of one seed: of every model, and of the test part itself."""
    ruler = ruler_of(run, prepared)
    shown = ruler.part.first(run.config.evaluate.cases)
    arrays = {"before": shown.before, "after": shown.after, "labels": shown.labels}
    for evaluation in models.values():
        arrays |= evaluation.arrays
    curves = {
        name: read_curves(run.unit(prepared, seed, name).folder / LOG, "validation_ssim")
        for name in run.networks
        if recipe_of(name, run.config).step is not None
    }
    metrics = {
        "models": {name: evaluation.metrics for name, evaluation in models.items()},
        "references": ruler.references,
        "training": curves,
    }
    shown_freely = run.config.evaluate.keep_real_images or prepared.dataset == "heads"
    return Evaluation(metrics, arrays if shown_freely else {})


def make(recipe: Recipe, weights: Any, batch: int, faces: Part, seed: int) -> Images:
    """Return what a model makes of faces, each asked for its own operation."""
    return translated(recipe, weights, faces.before, faces.labels, seed, batch)


def known_ladders(config: Config, prepared: Prepared, part: Part) -> np.ndarray | None:
    """Return the ladders of a part's operations, made once for all runs; None if unknown."""
    if part.truth is None:
        return None
    key = configs.digest(prepared.content_hash, list(part.names), provenance.digest(ladders))
    folder = prepared.folder / "ladders"
    made = cached(folder, "test", key, lambda: {"ladders": ladders(config.data, part.truth)})
    return made["ladders"]


def seed_states(
    run: Run[Config], prepared: Prepared, seed: int, network: str
) -> Mapping[str, State]:
    """Return the trained states of a network and of all that it learns from, by name."""

    def folder(name: str) -> Any:
        return run.unit(prepared, seed, name).folder

    own = load_state(network, run.config, folder)
    return {**states_of(network, run.config, folder), network: own}


def diversity(made: Any, part: Part, networks: Any, samples: int) -> float:
    """Return the mean LPIPS (AlexNet's) between samples of the same face."""
    faces = part.first(_SAMPLED_FACES)
    drawn = [Vectors(networks, made(faces, 1000 + i)) for i in range(samples)]
    return mean(
        [drawn[i].distances(drawn[j])["alex"].mean() for i in range(samples) for j in range(i)]
    )
