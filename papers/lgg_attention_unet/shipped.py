"""What of trained networks is shipped: the one that marks tumors, with what is said of it."""

from dataclasses import replace

import numpy as np

from common.pipeline.trained import Trained
from common.study.protocol import Prepared, Shipped
from common.training.state import State
from papers.lgg_attention_unet.config import Config
from papers.lgg_attention_unet.data import load
from papers.lgg_attention_unet.inference import StackPredictor
from papers.lgg_attention_unet.train import load_state, trained_network

PATIENTS = 2  # of the validation part, that the rounding is measured on


def networks(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the network with gates or without, as the config says."""
    return {"attention" if config.model.gates else "plain": ("params", "stats")}


def state(trained: Trained, network: str) -> State:
    """Return the state of a trained network."""
    config: Config = trained.config
    return load_state(trained.folder(network), config.model, config.train)


def outputs(trained: Trained, prepared: Prepared, seed: int) -> dict[str, np.ndarray]:
    """Return the probability of tumor in the pixels of validation patients."""
    config: Config = trained.config
    (name,) = networks(config)
    model = replace(config.model, gates=name == "attention")
    segment = StackPredictor(trained_network(trained.folder(name), model, config.train), config)
    patients = load(prepared, config.data, seed)["validation"].stacks[:PATIENTS]
    return {"probability of tumor": np.concatenate([segment(one).ravel() for one in patients])}


SHIPPED = Shipped(
    networks,
    state,
    outputs,
    "Marks lower-grade glioma on axial slices of pre-contrast, FLAIR and post-contrast MRI, or of "
    "FLAIR alone, for research on segmentation. Not for other tumors or sequences, children, heads "
    "after surgery, or any measurement that treatment goes by.",
)
