"""What the command line calls: the study's data sets, its four steps, and prediction.

A step imports what it needs when it is called, so that listing the studies stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.study.protocol import DatasetInfo, Evaluation, Run
from papers.ultrasound_diconvae.config import Config

if TYPE_CHECKING:
    from papers.ultrasound_diconvae.data import Prepared

published = Config()

datasets = {
    "fetal_planes": DatasetInfo(
        "Zenodo 8265464: fetal head ultrasound of four planes with masks of brain, CSP and LV",
        stand_in=False,
        raw="the folders of the planes, each with pictures, masks and labelmap.txt",
    ),
    "hc18": DatasetInfo(
        "HC18: fetal heads with outlines and circumferences (van den Heuvel et al. 2018)",
        stand_in=False,  # the source mixed it into its data
        raw="training_set and training_set_pixel_size_and_HC.csv",
    ),
    "simulated": DatasetInfo(
        "simulated fetal heads: speckle from scatterers and a point-spread function",
        stand_in=True,
    ),
}


def prepare(run: Run) -> Prepared:
    """Check the raw files and write the data set, unless it is there already."""
    from papers.ultrasound_diconvae import data

    return data.prepare(run.config.data, run.data_folder, run.raw, run.skip_bad)


def train(run: Run, prepared: Prepared, seed: int) -> None:
    """Train the networks of one seed, from their last checkpoints on."""
    from papers.ultrasound_diconvae.train import train as train_seed

    train_seed(run, prepared, seed)


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Denoise and segment the test pictures of one trained seed and measure."""
    from papers.ultrasound_diconvae.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed)


def predict(
    checkpoint: Path, source: Path, out: Path, skip_bad: bool = False
) -> list[dict[str, Any]]:
    """Denoise and segment the user's own ultrasound with trained networks."""
    from papers.ultrasound_diconvae.predict import predict as predict_files

    return predict_files(checkpoint, source, out, skip_bad)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.ultrasound_diconvae.render import render as render_results

    render_results(results)
