"""The study as the command line is handed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Network, Run, Shipped, Study, Unit
from papers.camcan_cfg import claims
from papers.camcan_cfg.config import Config, DataConfig
from papers.camcan_cfg.datasets import DATASETS
from papers.camcan_cfg.layout import SubjectSlices
from papers.camcan_cfg.options import Sampling

DENOISER = Network(depends_on=("model", "train", "sample.train_steps"))
REGRESSOR = Network(depends_on=("brain_age",))


def networks(config: Config) -> dict[str, Network]:
    """Return the denoising network and what predicts age, for either way of splitting."""
    return {
        "denoiser": DENOISER,
        "regressor_slice": REGRESSOR,
        "regressor_subject": REGRESSOR,
    }


def examples(config: DataConfig, reading: Reading[SubjectSlices]) -> Examples:
    """Return the slices of every part as examples."""
    from papers.camcan_cfg import data

    return data.examples(config, reading)


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed, from its last checkpoint on."""
    from papers.camcan_cfg import train

    train.train(unit, prepared)


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Draw images from one trained seed and measure them."""
    from papers.camcan_cfg import evaluate

    return evaluate.evaluate(run, prepared, seed)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.camcan_cfg import render

    render.render(results)


def sample(checkpoint: Path, out: Path, choice: Sampling) -> list[dict[str, Any]]:
    """Draw slices for ages, sexes and slice numbers with a trained network."""
    from papers.camcan_cfg.sample import sample as sample_slices

    return sample_slices(checkpoint, out, choice)


def shipped() -> Shipped[Config]:
    """Return what of trained networks is shipped."""
    from papers.camcan_cfg.shipped import SHIPPED

    return SHIPPED


STUDY = Study(
    folder=Path(__file__).parent,
    published=Config(),
    datasets=DATASETS,
    networks=networks,
    examples=examples,
    train=train,
    evaluate=evaluate,
    render=render,
    claims=claims,
    sample=sample,
    sampling=Sampling(),
    shipped=shipped,
)
