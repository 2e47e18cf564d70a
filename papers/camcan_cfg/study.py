"""What the command line calls: the study's data sets and its four steps.

A step imports what it needs when it is called, so that listing the studies stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.study.protocol import DatasetInfo, Evaluation, Run
from papers.camcan_cfg.config import Config

if TYPE_CHECKING:
    from papers.camcan_cfg.data import Prepared

published = Config()

datasets = {
    "camcan": DatasetInfo(
        "Cam-CAN: T1-weighted MRI of adults aged 18 to 88 (access on application)",
        stand_in=False,
        raw="sub-<Subject>_defaced_T1.nii.gz files and phenotype.csv (Subject, Age, Sex)",
    ),
    "lgg_flair": DatasetInfo(
        "LGG MRI Segmentation: tumour-free FLAIR slices of glioma patients aged 20 to 75",
        stand_in=True,
        raw="kaggle_3m with one folder a patient and data.csv",
    ),
    "simulated": DatasetInfo(
        "simulated cohort from the MNI152 template: anatomy, ageing and sex by published rates",
        stand_in=True,
    ),
}


def prepare(run: Run) -> Prepared:
    """Check the raw files and write the data set, unless it is there already."""
    from papers.camcan_cfg import data

    return data.prepare(run.config.data, run.data_folder, run.raw, run.skip_bad)


def train(run: Run, prepared: Prepared, seed: int) -> None:
    """Train the denoising network of one seed, from its last checkpoint on."""
    from papers.camcan_cfg.train import train as train_seed

    train_seed(run, prepared, seed)


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Draw pictures from one trained seed and measure them."""
    from papers.camcan_cfg.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.camcan_cfg.render import render as render_results

    render_results(results)
