"""The study as the command line is handed it."""

from __future__ import annotations

from pathlib import Path

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Network, Run, Study, Unit
from papers.study_name import claims
from papers.study_name.config import Config, DataConfig
from papers.study_name.datasets import DATASETS
from papers.study_name.scan import Scan


def networks(config: Config) -> dict[str, Network]:
    """Return what a seed trains, by name, and the sections that each training depends on."""
    return {"detector": Network(depends_on=("model", "train"))}


def examples(config: DataConfig, reading: Reading[Scan]) -> Examples:
    """Return the images of every part as examples."""
    from papers.study_name import data

    return data.examples(config, reading)


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train the network of one seed, from its last checkpoint on."""
    from papers.study_name import train

    train.train(unit, prepared)


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Measure the trained network of one seed on the test images."""
    from papers.study_name import evaluate

    return evaluate.evaluate(run, prepared, seed)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.study_name import render

    render.render(results)


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
)
