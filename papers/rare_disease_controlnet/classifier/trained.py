"""A trained classifier as a function of films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from common.nn.predictor import Predictor
from papers.rare_disease_controlnet.classifier.learning import (
    graph_of,
    learning,
    probabilities,
    trained_state_of,
)
from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.config import Config

SINGLE = ("films", "kermany", "folder")  # data sets whose films have one finding at most


def is_single(config: Config) -> bool:
    """Return whether a film of the config's data set has one finding at most."""
    return config.data.dataset in SINGLE


def trained_classifier(config: Config, findings: int, folder: Path) -> Classifier:
    """Return the classifier in a unit's folder; raises `InputError` where there is none."""
    made = learning(config.classifier, findings, is_single(config))
    state = trained_state_of(folder, made)
    graph = graph_of(config.classifier, findings, is_single(config))
    return nnx.merge(graph, state.params, state.stats)


class Classify:
    """Films to probabilities [films 1 + findings]: of no finding, then of each."""

    def __init__(self, config: Config, network: Classifier):
        apply = _single if is_single(config) else _several
        self._predictor = Predictor(network, apply, config.evaluate.batch_size)
        self._features = Predictor(network, _means, config.evaluate.batch_size)

    def __call__(
        self, images: UInt8[np.ndarray, "films height width 1"]
    ) -> Float[np.ndarray, "films classes"]:
        """Return the probabilities."""
        return self._predictor(images)

    def features(
        self, images: UInt8[np.ndarray, "films height width 1"]
    ) -> Float[np.ndarray, "films features"]:
        """Return what the last layer reads: for a Fréchet distance of films."""
        return self._features(images)


def as_read(images: Array) -> Array:
    """Return gray films as classifiers read them: in [0, 1]."""
    return images.astype(jnp.float32) / 255


def _single(network: Any, images: Array) -> Array:
    return probabilities(network(as_read(images)), True)


def _several(network: Any, images: Array) -> Array:
    return probabilities(network(as_read(images)), False)


def _means(network: Any, images: Array) -> Array:
    return network.maps(as_read(images)).mean((1, 2))
