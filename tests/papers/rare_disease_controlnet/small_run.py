"""A seed's folder of the smallest engine and classifier, untrained, laid out as training does."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common.pipeline.trained import save_index, save_network
from common.study import experiment as experiments
from common.study.protocol import Run, Unit
from common.training.loop import checkpoints_of
from papers.rare_disease_controlnet.classifier import learning as classifier
from papers.rare_disease_controlnet.classifier.trained import is_single
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.engine import autoencoder, controlnet, denoiser
from papers.rare_disease_controlnet.engine.learning import Learning
from papers.rare_disease_controlnet.networks import (
    AUTOENCODER,
    CONTROLNET,
    DENOISER,
    adaptation,
)
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet.small_engine import CONFIG, FINDINGS

ADAPTED = adaptation(CONFIG.arms.main)
DATA = "data" * 16  # its content hash
PARTS = {"train": {"findings": dict.fromkeys(FINDINGS, 4)}}
_SPREAD = 0.1  # of weights, of which many are zero before they are trained


def seed_folder(
    home: Path, networks: dict[str, Any], seed: int = 0, config: Config = CONFIG
) -> Path:
    """Write states by their networks' names, and the index of the seed; return its folder."""
    smoke = experiments.load(STUDY.experiments, "smoke")
    run = Run(STUDY, smoke, config, (seed,), home / "results", home=home)
    units = [Unit(run, seed, name, DATA).of(name) for name in networks]
    for unit in units:
        checkpoints = checkpoints_of(unit.folder)
        checkpoints.save(1, networks[unit.network], {}, {})
        checkpoints.end()
        save_network(unit, PARTS)
    save_index(run, seed, units, PARTS)
    return run.seed_folder(seed)


@cache
def engine(seed: int = 0) -> dict[str, Any]:
    """Return states of all parts of an engine; those that are trained once are alike in seeds."""
    text = denoiser.learning(CONFIG, FINDINGS, 1e-3)
    states = {
        AUTOENCODER: _state(autoencoder.learning(CONFIG, FINDINGS), 0, None),
        DENOISER: _state(text, 1, denoiser.Known(None)),
        ADAPTED: _state(text, 2 + seed, denoiser.Known(None)),
    }
    states[AUTOENCODER] = states[AUTOENCODER]._replace(stats=np.ones((), np.float32))
    networks = denoiser.networks_of(CONFIG, FINDINGS, states[DENOISER].params)
    known = controlnet.Known(None, networks["unet"], networks["text"])
    states[CONTROLNET] = _state(controlnet.learning(CONFIG, FINDINGS), 1, known)
    return states


@cache
def classifiers(*arms: str, config: Config = CONFIG) -> dict[str, Any]:
    """Return states of classifiers by their networks' names, another one for each arm."""
    made = classifier.learning(config.classifier, len(FINDINGS), is_single(config))
    known = classifier.Known(0.0, 1.0)
    return {f"classifier_{arm}": _state(made, i, known) for i, arm in enumerate(arms)}


def on(dataset: str) -> Config:
    """Return the small config on another data set."""
    return replace(CONFIG, data=replace(CONFIG.data, dataset=dataset))


def _state(made: Learning, number: int, known: Any) -> Any:
    """Return a state with random weights; nothing is compiled for it."""
    random = np.random.default_rng(number)

    def filled(path: tuple, leaf: Any) -> np.ndarray:
        name = jax.tree_util.keystr(path)
        if not jnp.issubdtype(leaf.dtype, jnp.floating) or "opt_state" in name or "mean" in name:
            return np.zeros(leaf.shape, leaf.dtype)
        unit = "scale" in name or "var" in name  # of normalizations
        spread = 0.0 if "var" in name else _SPREAD
        return random.normal(1.0 if unit else 0.0, spread, leaf.shape).astype(leaf.dtype)

    shapes = jax.eval_shape(made.init, jax.random.key(0), known)
    return jax.tree_util.tree_map_with_path(filled, shapes)
