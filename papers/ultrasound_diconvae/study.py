"""The study as the command line is handed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Network, Run, Shipped, Study, Unit
from papers.ultrasound_diconvae import claims
from papers.ultrasound_diconvae.config import Config, DataConfig
from papers.ultrasound_diconvae.datasets import DATASETS
from papers.ultrasound_diconvae.image import LabeledImage
from papers.ultrasound_diconvae.options import Options

SEGMENTER = (
    "segmenter",
    "train.segmenter_loss",
    "train.segmenter_epochs",
    "train.segmenter_batch_size",
    "train.segmenter_learning_rate",
    "train.schedule",
)
DENOISER = (
    "speckle",
    "denoiser",
    "train.loss",
    "train.mix",
    "train.perceptual",
    "train.perceptual_layer",
    "train.epochs",
    "train.batch_size",
    "train.learning_rate",
    "train.schedule",
)


def networks(config: Config) -> dict[str, Network]:
    """Return the denoiser, a segmenter for every variant of its input, and both as one network."""
    named = {"denoiser": Network(DENOISER)}
    for variant in config.input_variants:
        after = ("denoiser",) if variant.startswith("denoised") else ()
        named[f"segmenter_{variant}"] = Network(SEGMENTER, after)
    if config.train.joint:
        named["joint"] = Network(SEGMENTER, ("denoiser",))
    return named


def examples(config: DataConfig, reading: Reading[LabeledImage]) -> Examples:
    """Return the images of every part as examples."""
    from papers.ultrasound_diconvae import data

    return data.examples(config, reading)


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed, from its last checkpoint on."""
    from papers.ultrasound_diconvae.train import train as train_unit

    train_unit(unit, prepared)


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Denoise and segment the test images of one trained seed and measure."""
    from papers.ultrasound_diconvae.evaluate import evaluate as evaluate_seed

    return evaluate_seed(run, prepared, seed)


def predict(
    checkpoint: Path, source: Path, out: Path, skip_bad: bool, options: Options
) -> list[dict[str, Any]]:
    """Denoise and segment the user's own ultrasound with trained networks."""
    from papers.ultrasound_diconvae.predict import predict as predict_files

    return predict_files(checkpoint, source, out, skip_bad, options)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.ultrasound_diconvae.render import render as render_results

    render_results(results)


def shipped() -> Shipped[Config]:
    """Return what of trained networks is shipped."""
    from papers.ultrasound_diconvae.shipped import SHIPPED

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
    shipped=shipped,
)
