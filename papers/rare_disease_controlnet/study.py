"""The study as the command line is handed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Regenerated, Run, Shipped, Study, Unit
from papers.rare_disease_controlnet import claims
from papers.rare_disease_controlnet.config import Config, DataConfig
from papers.rare_disease_controlnet.datasets import DATASETS
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.networks import networks
from papers.rare_disease_controlnet.options import Options, Sampling


def examples(config: DataConfig, reading: Reading[Film]) -> Examples:
    """Return the films of every part as examples."""
    from papers.rare_disease_controlnet import data

    return data.examples(config, reading)  # type: ignore[arg-type]


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed, or make one set of synthetic films."""
    from papers.rare_disease_controlnet.train import train as train_unit

    train_unit(unit, prepared)


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Classify the test films by every classifier of one seed, and measure the engine."""
    from papers.rare_disease_controlnet.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed)


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    skip_bad: bool = False,
    options: Options | None = None,
) -> list[dict[str, Any]]:
    """Classify the user's own films with a trained classifier."""
    from papers.rare_disease_controlnet.predict import predict as predict_files

    return predict_files(checkpoint, source, out, skip_bad, options or Options())


def sample(checkpoint: Path | None, out: Path, choice: Sampling) -> list[dict[str, Any]]:
    """Draw films with a trained engine, each with its lineage."""
    from papers.rare_disease_controlnet.sample import sample as sample_films

    return sample_films(checkpoint, out, choice)


def regenerate(lineage: Path, checkpoint: Path | None = None) -> Regenerated:
    """Draw a film again from its lineage, and compare."""
    from papers.rare_disease_controlnet.regenerate import regenerate as regenerate_film

    return regenerate_film(lineage, checkpoint)


def corpus(where: str) -> list[str]:
    """Return the settings that let classifiers learn from films that people accepted."""
    from papers.rare_disease_controlnet import reviewed

    return [f'synthesis.corpora=["{reviewed.bring(where)}"]']


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.rare_disease_controlnet.render import render as render_results

    render_results(results)


def shipped() -> Shipped[Config]:
    """Return what of trained networks is shipped."""
    from papers.rare_disease_controlnet.shipped import SHIPPED

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
    predict=predict,
    options=Options(),
    sample=sample,
    sampling=Sampling(),
    regenerate=regenerate,
    corpus=corpus,
    shipped=shipped,
)
