"""What of trained networks is shipped: engine and classifier, with what is said of them."""

import numpy as np

from common.errors import InputError
from common.pipeline.trained import Trained
from common.study.protocol import Prepared, Shipped
from common.training.state import State
from papers.rare_disease_controlnet.classifier.arms import Trial
from papers.rare_disease_controlnet.classifier.learning import learning, trained_state_of
from papers.rare_disease_controlnet.classifier.trained import (
    Classify,
    is_single,
    trained_classifier,
)
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.data import findings_of, load
from papers.rare_disease_controlnet.engine import assembly
from papers.rare_disease_controlnet.engine.drawing import Request, draw
from papers.rare_disease_controlnet.networks import AUTOENCODER, CONTROLNET, adaptation

FILMS = 16  # of the validation part, that the rounding is measured on


def networks(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the engine's networks, and the classifier that prediction goes by.

    Raises `InputError` for an engine that is made of the user's own weights.
    """
    if config.engine.weights:
        raise InputError(
            f"engine.weights = {config.engine.weights!r}: an engine of weights of one's own is not "
            "shipped; export an experiment with the small engine"
        )
    names = (AUTOENCODER, CONTROLNET, adaptation(config.arms.main), classifier(config))
    return dict.fromkeys(names, ("params", "stats"))


def classifier(config: Config) -> str:
    """Return the name of the classifier."""
    return Trial("selected", config.arms.main).name


def state(trained: Trained, network: str) -> State:
    """Return the state of a trained network."""
    config, findings = trained.config, findings_of(trained)
    if network == classifier(config):
        made = learning(config.classifier, len(findings), is_single(config))
        return trained_state_of(trained.folder(network), made)
    return assembly.trained_state_of(config, findings, trained.folder, network)


def outputs(trained: Trained, prepared: Prepared, seed: int) -> dict[str, np.ndarray]:
    """Return what the classifier says of validation films, and films that the engine draws."""
    config, part = trained.config, load(prepared, "validation")
    folder = trained.folder(classifier(config))
    classify = Classify(config, trained_classifier(config, len(part.findings), folder))
    engine = assembly.engine_of(config, part.findings, trained.folder, config.arms.main)
    structure = np.asarray(part.images[0, ..., 0])
    asked = [Request((config.data.rare,), "", np.nan, one, structure) for one in range(2)]
    return {
        "probability of a finding": classify(np.asarray(part.images[:FILMS])),
        "gray level of a drawn film, of 255": draw(engine, config, asked),
    }


SHIPPED = Shipped(
    networks,
    state,
    outputs,
    "Draws chest films with a rare finding, and classifies films, for research on whether drawn "
    "films help a classifier. Not for diagnosis, for teaching what a finding looks like, or for "
    "passing drawn films off as real ones.",
)
