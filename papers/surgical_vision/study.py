"""The study as the command line is handed it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Run, Shipped, Study, Unit
from papers.surgical_vision import claims
from papers.surgical_vision.config import Config, DataConfig
from papers.surgical_vision.datasets import DATASETS
from papers.surgical_vision.networks import networks
from papers.surgical_vision.options import Options
from papers.surgical_vision.pair import Pair


def examples(config: DataConfig, reading: Reading[Pair]) -> Examples:
    """Return the pairs of every part as examples."""
    from papers.surgical_vision import data

    return data.examples(config, reading)


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one model of one seed, from its last checkpoint on."""
    from papers.surgical_vision.train import train as train_unit

    train_unit(unit, prepared)


def measure(unit: Unit[Config], prepared: Prepared) -> Evaluation:
    """Translate the test faces by one model and measure."""
    from papers.surgical_vision.evaluate import measure as measure_model

    return measure_model(unit, prepared)


def evaluate(
    run: Run[Config], prepared: Prepared, seed: int, models: Mapping[str, Evaluation]
) -> Evaluation:
    """Put together what came of every model of one seed."""
    from papers.surgical_vision.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed, models)


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    skip_bad: bool = False,
    options: Options | None = None,
) -> list[dict[str, Any]]:
    """Simulate an operation on the user's own photos with a trained model."""
    from papers.surgical_vision.predict import predict as predict_files

    return predict_files(checkpoint, source, out, skip_bad, options or Options())


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.surgical_vision.render import render as render_results

    render_results(results)


def shipped() -> Shipped[Config]:
    """Return what of trained networks is shipped."""
    from papers.surgical_vision.shipped import SHIPPED

    return SHIPPED


STUDY = Study(
    folder=Path(__file__).parent,
    published=Config(),
    datasets=DATASETS,
    networks=networks,
    examples=examples,
    train=train,
    measure=measure,
    evaluate=evaluate,
    render=render,
    claims=claims,
    predict=predict,
    options=Options(),
    shipped=shipped,
)
