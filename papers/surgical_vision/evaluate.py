"""Evaluation of one trained seed: what eighteen models make of the same test faces."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from common import provenance
from common.metrics.described import Inception
from common.results.cache import cached
from common.study import config as configs
from common.study.protocol import Evaluation, Prepared, Run
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
from papers.surgical_vision.variants import MODELS

SAMPLED = ("pix2pix", "starganv2", "stable_diffusion", "stable_diffusion_lora")  # draw at test
_SAMPLED_FACES = 8


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return metrics and images of one seed: every model in turn on the test part."""
    config, options = run.config, run.config.evaluate
    part = load(prepared, "test")
    rungs = known_ladders(config, prepared, part)
    inception, networks = Inception(options.features), perceptual_networks(options)
    chosen = part.first(options.feature_images or len(part))
    real = inception(chosen.after)
    vectors = {
        "before": Vectors(networks, part.before),
        "after": Vectors(networks, part.after),
    }

    def quality(outputs: Images) -> dict[str, Any]:
        own = {**vectors, "outputs": Vectors(networks, outputs)}
        made = inception(outputs[: len(chosen)])
        return measured(outputs, part, rungs, own) | inception.compared(made, real)

    shown = part.first(options.cases)
    models: dict[str, Any] = {}
    arrays = {"before": shown.before, "after": shown.after, "labels": shown.labels}
    for name in MODELS:
        states = seed_states(run, prepared, seed, name)
        recipe = recipe_of(name, config)
        weights = recipe.weights(states[name], states)

        made = partial(make, recipe, weights, options.batch_size)
        outputs = made(part, seed)
        models[name] = quality(outputs) | internals(name, config, states, weights, part)
        if name in SAMPLED and networks:
            models[name]["diversity"] = diversity(made, part, networks, options.samples)
        arrays[f"output_{name}"] = outputs[: len(shown)]
        arrays |= cases.arrays_of(name, config, states, weights, made, shown, seed)
    curves = {
        name: read_curves(run.unit(prepared, seed, name).folder / LOG, "validation_ssim")
        for name in run.networks
        if recipe_of(name, config).step is not None
    }
    references = {"unchanged": quality(part.before), "true_after": quality(part.after)}
    metrics = {"models": models, "references": references, "training": curves}
    shown_freely = options.keep_real_images or prepared.dataset == "heads"
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
