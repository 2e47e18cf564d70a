"""What one replication is: study, experiment, resolved config, seeds, data and folders.

A study's ``study.py`` gets a :class:`Run` in each of its steps::

    published: Config                                  # the config of the source
    datasets: dict[str, DatasetInfo]                   # by the value of config.data.dataset
    def prepare(run) -> Prepared                       # into run.data_folder
    def train(run, prepared, seed) -> None             # into run.seed_folder(seed); resumes
    def evaluate(run, prepared, seed) -> Evaluation
    def render(results: Path) -> None                  # results/{tables,figures} from its files

and, where a trained network is of use on the user's own scans,::

    def predict(checkpoint: Path, source: Path, out: Path, skip_bad: bool) -> list[dict]

with the flags ``--checkpoint``, ``--input`` and ``--out`` as they are given. It writes below `out`
and returns a row for each input file: its name, what was measured, and ``written``, a list of the
files made of it. All rows have the same keys; they are the columns that the command line prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from common import paths
from common.study import config as configs
from common.study.experiment import Experiment


@dataclass(frozen=True)
class DatasetInfo:
    """A data set that a study can run on."""

    description: str  # what it is, in a line
    stand_in: bool  # True: not the data of the source
    raw: str | None = None  # what --raw must hold; None = comes with the project


@runtime_checkable
class Prepared(Protocol):
    """What a study's ``prepare`` returns, as far as the replication reads it."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over all examples."""

    @property
    def stand_in(self) -> bool:
        """True if it is not the data of the source."""

    @property
    def description(self) -> str:
        """What it is, in a line."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files left out by --skip-bad."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Examples a split."""

    @property
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """What a reader asks of each split: subjects, range of ages and the like."""


@dataclass(frozen=True)
class Evaluation:
    """What a study measured for one seed."""

    metrics: Mapping[str, Any]  # nested; leaves are numbers or lists of numbers
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)  # pictures, uint8


@dataclass(frozen=True)
class Run:
    """One replication: everything that a study's steps may depend on."""

    study: str
    experiment: Experiment
    config: Any  # the study's Config, resolved
    published: Any  # the study's Config as the source has it
    seeds: tuple[int, ...]
    out: Path  # the results folder
    raw: Path | None = None  # the user's data
    skip_bad: bool = False
    raw_key: str = ""  # identifies the files below `raw`, see common.study.raw
    home: Path | None = None  # instead of common.paths.home(), for a scratch copy

    @property
    def work(self) -> Path:
        """Folder of this config's checkpoints and seeds; shared by runs that differ in seeds."""
        key = configs.digest(self.config, self.raw_key, self.skip_bad)
        runs = self.home / "runs" if self.home else paths.runs()
        return runs / self.study / f"{self.experiment.name}-{key}"

    @property
    def data_folder(self) -> Path:
        """Folder of the prepared data; one for each ``config.data`` and set of raw files."""
        key = configs.digest(self.config.data, self.raw_key, self.skip_bad)
        data = self.home / "data" if self.home else paths.data()
        return data / self.study / f"{self.config.data.dataset}-{key}"

    def seed_folder(self, seed: int) -> Path:
        """Return the folder of one seed's checkpoints, logs and metrics."""
        return self.work / f"seed_{seed}"

    @property
    def differences(self) -> tuple[configs.Difference, ...]:
        """The deviations from the published config."""
        return configs.differences(self.config, self.published)
