"""The study as the command line is handed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.data.prepared import Examples, Prepared, Reading
from common.study.protocol import Evaluation, Network, Run, Shipped, Study, Unit
from papers.lgg_attention_unet import claims
from papers.lgg_attention_unet.config import Config, DataConfig
from papers.lgg_attention_unet.datasets import DATASETS, Stack
from papers.lgg_attention_unet.options import Options

NETWORK = Network(
    depends_on=("model", "train"), ignores=("model.gates", "train.ablation", "train.keep")
)


def networks(config: Config) -> dict[str, Network]:
    """Return the network with gates or without, as the config says, or both where it asks."""
    names = ["attention" if config.model.gates else "plain"]
    if config.train.ablation and "plain" not in names:
        names.append("plain")
    return dict.fromkeys(names, NETWORK)


def examples(config: DataConfig, reading: Reading[Stack]) -> Examples:
    """Return the slices of every split's patients as examples."""
    from papers.lgg_attention_unet import data

    return data.examples(config, reading)


def train(unit: Unit[Config], prepared: Prepared) -> None:
    """Train one network of one seed, from its last checkpoint on."""
    from papers.lgg_attention_unet import train

    train.train(unit, prepared)


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Segment the test patients of one trained seed and measure."""
    from papers.lgg_attention_unet import evaluate

    return evaluate.evaluate(run, prepared, seed)


def render(results: Path) -> None:
    """Write tables and figures from the files of a results folder."""
    from papers.lgg_attention_unet import render

    render.render(results)


def predict(
    checkpoint: Path, source: Path | None, out: Path, skip_bad: bool, options: Options
) -> list[dict[str, Any]]:
    """Mark tumor in the user's own scans with a trained network."""
    from papers.lgg_attention_unet import predict

    return predict.predict(checkpoint, source, out, skip_bad, options)


def shipped() -> Shipped[Config]:
    """Return what of trained networks is shipped."""
    from papers.lgg_attention_unet.shipped import SHIPPED

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
