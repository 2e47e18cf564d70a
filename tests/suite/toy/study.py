"""A study of milliseconds: what a real one has, with words in place of images and networks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common import paths
from common.data.prepared import Dataset, Examples, Prepared, Reading
from common.study.protocol import Evaluation, Network, Run, Study, Unit
from common.study.schema import Count, LogEvery, Share
from common.training.finite import Diverged

from . import claims


@dataclass(frozen=True)
class Data:
    dataset: Literal["clinic", "made_up"] = "clinic"
    size: Count = 8


@dataclass(frozen=True)
class Train:
    steps: Count = 100
    rate: float = 0.5
    widths: tuple[int, ...] = (8, 16)
    bias: bool = True
    log_every: LogEvery = 10


@dataclass(frozen=True)
class Critic:
    depth: Count = 2
    label: str = "a"


@dataclass(frozen=True)
class Evaluate:
    threshold: Share = 0.5


@dataclass(frozen=True)
class Config:
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    critic: Critic = field(default_factory=Critic)
    evaluate: Evaluate = field(default_factory=Evaluate)


def clinic_files(raw: Path, config: Data) -> list[Path]:
    return sorted(raw.glob("*.txt"))


def clinic(raw: Path, config: Data) -> Reading[tuple[str, str]]:
    time.sleep(float(os.environ.get("TOY_READS", 0)))  # seconds
    if os.environ.get("TOY_CRASH") == "read":
        raise RuntimeError("crash")
    scans = [(file.name, file.read_text()) for file in clinic_files(raw, config)]
    good = [scan for scan in scans if "bad" not in scan[1]]
    return Reading(good, [f"{name}: bad file" for name, text in scans if "bad" in text])


def made_up(raw: None, config: Data) -> Reading[tuple[str, str]]:
    return Reading([(f"scan{i}", f"made up {i} of {config.size}") for i in range(3)])


DATASETS = {
    "clinic": Dataset(
        "clinic", "the clinic's scans", False, clinic, "a folder with *.txt", "ask", clinic_files
    ),
    "made_up": Dataset("made up", "made up", True, made_up),
}


def networks(config: Config) -> dict[str, Network]:
    return {
        "encoder": Network(("train.rate", "train.steps", "train.log_every")),
        "decoder": Network(("train.widths", "train.bias"), after=("encoder",)),
        "critic": Network(("critic",), ignores=("critic.label",)),
    }


def examples(config: Data, reading: Reading[tuple[str, str]]) -> Examples:
    scans = {name: {"text": text} for name, text in reading.items}
    return Examples({"train": scans}, {"train": {"patients": len(scans)}}, f"{len(scans)} scans")


def note(run: Run[Config], line: str) -> Path:
    """Add a line to the log, in one piece whatever other processes add; return the log."""
    log = (run.home or paths.home()) / "done.log"
    file = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(file, f"{line}\n".encode())
    os.close(file)
    return log


def train(unit: Unit[Config], prepared: Prepared) -> None:
    if unit.config.train.rate > 1e6:
        raise Diverged(7, Path("checkpoint_6"))
    if unit.config.train.steps == 13:
        raise KeyboardInterrupt
    print("a library speaks")
    begun = note(unit.run, f"begin {unit.network} {unit.seed} {os.getpid()}")
    while len(
        {line.split()[-1] for line in begun.read_text().splitlines() if "begin" in line}
    ) < int(
        os.environ.get("TOY_PROCESSES", 1)  # that train at the same time
    ):
        time.sleep(0.01)
    time.sleep(float(os.environ.get("TOY_SECONDS", 0)))
    before = [weights(unit.of(name)) for name in unit.run.networks[unit.network].after]
    learned = sorted(prepared.columns("train")["text"])
    (unit.folder / "weights.json").write_text(json.dumps([unit.network, before, learned]))
    note(unit.run, f"train {unit.network} {unit.seed}")


def weights(unit: Unit[Config]) -> Any:
    return json.loads((unit.folder / "weights.json").read_text())


def measure(unit: Unit[Config], prepared: Prepared) -> Evaluation:
    note(unit.run, f"measure {unit.network} {unit.seed}")
    assert weights(unit)[0] == unit.network
    return Evaluation({"length": len(unit.network)}, {unit.network: np.zeros(2, np.uint8)})


def evaluate(
    run: Run[Config], prepared: Prepared, seed: int, *measured: Mapping[str, Evaluation]
) -> Evaluation:
    if os.environ.get("TOY_CRASH") == str(seed):
        raise RuntimeError("crash")
    note(run, f"evaluate {seed}")
    assert [weights(unit)[0] for unit in run.units(prepared, seed)] == list(run.networks)
    drift = float(os.environ.get("TOY_SHIFT", 0))
    metrics = {
        "score": {"7.0": 0.5 + 0.001 * seed + drift, "1.0": 0.1 + 0.001 * seed},
        "curve": [1.0, np.float32(0.1)],
    }
    arrays = {"images": np.full((2, 4, 4), seed, np.uint8)}
    for one in measured:
        metrics |= {name: evaluation.metrics for name, evaluation in one.items()}
        for evaluation in one.values():
            arrays |= evaluation.arrays
    return Evaluation(metrics, arrays, {"evaluate.threshold": run.config.evaluate.threshold / 2})


def render(results: Path) -> None:
    seeds = json.loads((results / "metrics.json").read_text())["seeds"]
    (results / "tables" / "scores.md").write_text(str(sorted(seeds)))
    (results / "figures" / "curve.png").write_bytes(b"image" + str(seeds[min(seeds)]).encode())


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
