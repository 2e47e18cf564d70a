"""What of trained networks is shipped: the one that draws slices, with what is said of it."""

import numpy as np

from common.pipeline.trained import Trained
from common.study.protocol import Prepared, Shipped
from common.training.state import State
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import load
from papers.camcan_cfg.sampling import Sampler
from papers.camcan_cfg.train import load_network, load_state

IMAGES, SCALE = 4, 3.0  # drawn for conditions of the validation part, to measure the rounding
DENOISER = "denoiser"


def networks(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the denoising network: the average of its parameters where one is kept."""
    return {DENOISER: ("ema" if config.train.ema else "params",)}


def state(trained: Trained, network: str) -> State:
    """Return the state of a trained network."""
    return load_state(trained.folder(network), trained.config)


def outputs(trained: Trained, prepared: Prepared, seed: int) -> dict[str, np.ndarray]:
    """Return slices drawn for conditions of the validation part, 0 to 255."""
    network = load_network(trained.folder(DENOISER), trained.config)
    conditions = load(prepared, "validation").spread(IMAGES).conditions
    drawn, _ = Sampler(trained.config, network)(conditions, np.arange(len(conditions)), SCALE)
    return {"gray level of a drawn slice, of 255": drawn}


SHIPPED = Shipped(
    networks,
    state,
    outputs,
    "Draws axial MRI slices of brains of nobody for an age, a sex and a slice number, for research "
    "on guidance and on what generated images show of age. Not for diagnosis, for norms of age, or "
    "to take the place of people in a study; ages outside of the data's are not learned.",
)
