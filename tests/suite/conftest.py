"""A whole project in a temporary folder, with studies that take milliseconds."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import papers
from papers import studies

STUDY = """
import hashlib, json, os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from common.errors import InputError
from common.study.protocol import DatasetInfo, Evaluation
from common.training.finite import Diverged


@dataclass(frozen=True)
class Data:
    dataset: Literal["clinic", "made_up"] = "clinic"
    size: int = 8


@dataclass(frozen=True)
class Train:
    steps: int = 100
    rate: float = 0.5
    widths: tuple[int, ...] = (8, 16)
    bias: bool = True


@dataclass(frozen=True)
class Config:
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)


@dataclass(frozen=True)
class Prepared:
    dataset: str
    folder: Path
    content_hash: str
    stand_in: bool
    description: str
    skipped: tuple
    sizes: dict
    parts: dict


published = Config()
datasets = {
    "clinic": DatasetInfo("the clinic's scans", stand_in=False, raw="a folder with *.txt"),
    "made_up": DatasetInfo("made up", stand_in=True),
}


def prepare(run):
    content, skipped = str(run.config.data.size), ()
    if run.raw:
        files = sorted(run.raw.glob("*.txt"))
        bad = [file for file in files if "bad" in file.read_text()]
        if bad and not run.skip_bad:
            raise InputError(f"{bad[0]}: bad file; mend it or give --skip-bad")
        skipped = tuple(file.name for file in bad)
        content += "".join(file.read_text() for file in files if file not in bad)
    content += os.environ.get("TOY_DRIFT", "")
    run.data_folder.mkdir(parents=True, exist_ok=True)
    name = run.config.data.dataset
    return Prepared(name, run.data_folder, hashlib.sha256(content.encode()).hexdigest(),
                    datasets[name].stand_in, datasets[name].description, skipped, {"train": 3},
                    {"train": {"patients": 2}})


def train(run, prepared, seed):
    if run.config.train.rate > 1e6:
        raise Diverged(7, Path("checkpoint_6"))
    if run.config.train.steps == 13:
        raise KeyboardInterrupt
    print("a library speaks")
    with (run.work / "trained.log").open("a") as log:
        log.write(f"{seed}\\n")


def evaluate(run, prepared, seed):
    if os.environ.get("TOY_CRASH") == str(seed):
        raise RuntimeError("crash")
    drift = float(os.environ.get("TOY_SHIFT", 0))
    metrics = {"score": {"7.0": 0.5 + 0.001 * seed + drift, "1.0": 0.1 + 0.001 * seed},
               "curve": [1.0, np.float32(0.1)]}
    return Evaluation(metrics, {"pictures": np.full((2, 4, 4), seed, np.uint8)})


def render(results):
    seeds = json.loads((results / "metrics.json").read_text())["seeds"]
    (results / "tables" / "scores.md").write_text(str(sorted(seeds)))
    (results / "figures" / "curve.png").write_bytes(b"picture" + str(seeds["0"]).encode())
"""

CLAIMS = """
from common.report.claims import increases, series


def score_rises(seeds):
    return increases(series(seeds, ["score.1.0", "score.7.0"]), "score")
"""

REPORTED = """
source = "The paper"
dataset = "the clinic's scans"

[comparable_if]
"data.dataset" = "clinic"

[[number]]
id = "score_w7"
metric = "score.7.0"
value = 0.5
better = "higher"
source = "table 1"

[[number]]
id = "elsewhere"
metric = "other.thing"
value = 1
source = "table 2"

[[claim]]
id = "score_rises"
text = "The score rises"
source = "abstract"
test = "score_rises"

[[absent]]
id = "cost"
text = "costs fall"
source = "abstract"
"""

EXPERIMENTS = {
    "demo": """
title = "Demonstration"
scale = "demo"
seeds = 3
minutes = 1
expected = "the score rises"
[verify]
"score.*" = {absolute = 0.01}
[config.data]
dataset = "made_up"
[config.train]
steps = 5
""",
    "smoke": """
title = "Test"
scale = "smoke"
seeds = [0]
minutes = 0.1
expected = "nothing"
[config.data]
dataset = "made_up"
""",
    "paper": """
title = "As published"
scale = "paper"
seeds = 3
minutes = 600
hardware = "one GPU"
expected = "the reported score"
raw = "the clinic's folder of *.txt"
""",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a project with the studies ``apple_one`` and ``apricot``."""
    for study in ("apple_one", "apricot"):
        write(tmp_path / "papers" / study / "__init__.py", "")
        write(tmp_path / "papers" / study / "study.py", STUDY)
        write(tmp_path / "papers" / study / "claims.py", CLAIMS)
        write(tmp_path / "papers" / study / "reported.toml", REPORTED)
        for name, text in EXPERIMENTS.items():
            write(tmp_path / "experiments" / study / f"{name}.toml", text)
    write(tmp_path / "pyproject.toml", '[project]\ndependencies = ["jax>=0.1", "numpy"]\n')
    write(tmp_path / "uv.lock", "locked\n")
    write(tmp_path / ".gitignore", "__pycache__/\n")
    monkeypatch.setattr(studies, "ROOT", tmp_path)
    monkeypatch.setattr(papers, "__path__", [str(tmp_path / "papers")])
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    for name in [name for name in sys.modules if name.startswith("papers.a")]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("papers.a")]:
        del sys.modules[name]


def write(path: Path, text: str) -> None:
    """Write a text file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
