"""Evaluation of one trained seed on the test images; trains nothing."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Float

from common.metrics.classification import auroc
from common.nn.predictor import Predictor
from common.study.protocol import Evaluation, Prepared, Run
from common.training.loop import LOG
from common.training.writer import read_curves
from papers.study_name import data
from papers.study_name.config import Config
from papers.study_name.model import Detector
from papers.study_name.train import trained_network


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return the AUROC of the network and of the brightest pixel, which it must beat."""
    test, options = data.load(prepared, "test"), run.config.evaluate
    folder = run.unit(prepared, seed, "detector").folder
    network = trained_network(folder, run.config)
    scores = Predictor(network, probabilities, options.batch_size)(test.images)
    brightest = test.images.max((1, 2, 3)).astype(np.float64)
    shown = np.linspace(0, len(scores) - 1, min(options.cases, len(scores))).astype(int)
    keep = prepared.stand_in or options.keep_real_images
    return Evaluation(
        {
            "network": {"auroc": auroc(scores, test.labels > 0)},
            "brightest": {"auroc": auroc(brightest, test.labels > 0)},
            "training": read_curves(folder / LOG, "validation_loss"),
        },
        {"images": test.images[shown, ..., 0], "scores": scores[shown]} if keep else {},
    )


def probabilities(network: Detector, images: Array) -> Float[Array, " batch"]:
    """Return the probability of a spot for each image."""
    return jax.nn.sigmoid(network(images))
