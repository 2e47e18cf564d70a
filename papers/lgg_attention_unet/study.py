"""What the command line calls: the study's data sets, its four steps, and prediction.

A step imports what it needs when it is called, so that listing the studies stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.study.protocol import DatasetInfo, Evaluation, Run
from papers.lgg_attention_unet.config import Config

if TYPE_CHECKING:
    from papers.lgg_attention_unet.data import Prepared

published = Config()

datasets = {
    "kaggle": DatasetInfo(
        "LGG MRI Segmentation: 110 patients of TCGA-LGG with tumour masks (Buda et al. 2019)",
        stand_in=False,
        raw="kaggle_3m with one folder a patient and data.csv",
    ),
    "simulated": DatasetInfo(
        "simulated patients: gliomas with exact masks in heads from the MNI152 template",
        stand_in=True,
    ),
}


def prepare(run: Run) -> Prepared:
    """Check the raw files and write the data set, unless it is there already."""
    from papers.lgg_attention_unet import data

    return data.prepare(run.config.data, run.data_folder, run.raw, run.skip_bad)


def train(run: Run, prepared: Prepared, seed: int) -> None:
    """Train the networks of one seed, from their last checkpoints on."""
    from papers.lgg_attention_unet.train import train as train_seed

    train_seed(run, prepared, seed)


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Segment the test patients of one trained seed and measure."""
    from papers.lgg_attention_unet.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed)


def predict(
    checkpoint: Path, source: Path, out: Path, skip_bad: bool = False
) -> list[dict[str, Any]]:
    """Mark tumour in the user's own scans with a trained network."""
    from papers.lgg_attention_unet.predict import predict as predict_scans

    return predict_scans(checkpoint, source, out, skip_bad)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.lgg_attention_unet.render import render as render_results

    render_results(results)
