"""What of trained networks is shipped: a model of each family, with what is said of them."""

import numpy as np

from common.pipeline.trained import Trained
from common.study.protocol import Prepared, Shipped
from common.training.state import State
from papers.surgical_vision.config import Config
from papers.surgical_vision.data import load
from papers.surgical_vision.networks import networks as trained_networks
from papers.surgical_vision.train import load_model, load_state, translated
from papers.surgical_vision.variants import MODELS, Variant

FACES = 4  # of the validation part, that the rounding is measured on
TRANSLATES = {  # the part of a family's state that translates; of others all parameters
    "gan": ("params/generator", "stats/generator"),
    "pix2pix": ("params/generator",),
    "cyclegan": ("params/to_after",),
    "stargan": ("params/generator",),
    "starganv2": ("ema",),
}


def models(config: Config) -> list[str]:
    """Return the plainest model of each family; not one that is made of the user's own weights."""
    return [
        name
        for name, variant in MODELS.items()
        if variant == Variant(variant.title, variant.family)
        and not (variant.family == "diffusion" and config.diffusion.weights)
    ]


def networks(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the models, after the networks that they learned from."""
    every, kept = trained_networks(config), dict[str, tuple[str, ...]]()
    for name in models(config):
        kept |= dict.fromkeys(every[name].after, ("params", "stats"))
        kept[name] = TRANSLATES.get(MODELS[name].family, ("params",))
    return kept


def state(trained: Trained, network: str) -> State:
    """Return the state of a trained network."""
    return load_state(network, trained.config, trained.folder)


def outputs(trained: Trained, prepared: Prepared, seed: int) -> dict[str, np.ndarray]:
    """Return what every model makes of validation faces, 0 to 255."""
    part = load(prepared, "validation").first(FACES)
    made = {}
    for name in models(trained.config):
        recipe, weights = load_model(name, trained.config, trained.folder)
        faces = translated(recipe, weights, part.before, part.labels, seed, len(part))
        made[f"gray level of {name}, of 255"] = faces
    return made


SHIPPED = Shipped(
    networks,
    state,
    outputs,
    "Shows what models of eight families make of a face before an operation of eyes, nose or chin, "
    "for research on such models. Not for advising patients, for planning, or for promising a "
    "result; nothing is known of faces unlike those of the data.",
)
