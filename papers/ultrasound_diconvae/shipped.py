"""What of trained networks is shipped: denoiser and segmenter, with what is said of them."""

import numpy as np

from common.nn.predictor import Predictor
from common.pipeline.trained import Trained
from common.study.protocol import Prepared, Shipped
from common.training.state import State
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.data import load
from papers.ultrasound_diconvae.inputs import denoise
from papers.ultrasound_diconvae.predict import SEGMENTER, probabilities
from papers.ultrasound_diconvae.train import load_network, load_state

IMAGES = 16  # of the validation part, that the rounding is measured on


def networks(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the networks that prediction goes by."""
    return dict.fromkeys(("denoiser", SEGMENTER), ("params", "stats"))


def state(trained: Trained, network: str) -> State:
    """Return the state of a trained network."""
    return load_state(trained.folder(network), network, trained.config)


def outputs(trained: Trained, prepared: Prepared, seed: int) -> dict[str, np.ndarray]:
    """Return validation images denoised, in [0, 1], and the probabilities of their classes."""
    images = np.asarray(load(prepared, "validation").images[:IMAGES])
    denoiser, segmenter = (
        load_network(trained.folder(name), name, trained.config)
        for name in networks(trained.config)
    )
    return {
        "denoised image": Predictor(denoiser, denoise, len(images))(images),
        "probability of a class": Predictor(segmenter, probabilities, len(images))(images),
    }


SHIPPED = Shipped(
    networks,
    state,
    outputs,
    "Denoises ultrasound of fetal heads in the standard planes and outlines the head, for research "
    "on speckle and segmentation. Not for other organs or planes, dating a pregnancy, or looking "
    "for anomalies; denoised images may lack what was there.",
)
