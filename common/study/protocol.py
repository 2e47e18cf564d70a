"""What is asked: a study, one run of it, and the unit of training.

A study is one frozen object, `STUDY` in its ``study.py``, which the command line finds and hands
down; nothing in `common` knows where studies lie or what they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from common import paths
from common.data.prepared import Dataset, Examples, Prepared, Reading
from common.study import config as configs
from common.study.experiment import Experiment

SHIPPED = "seed_*.safetensors"  # the networks of a seed in a file
C = TypeVar("C")  # a study's Config


@dataclass(frozen=True)
class Network:
    """One network of a study: what its training depends on, and so its key."""

    depends_on: tuple[str, ...]  # sections and fields of the config
    after: tuple[str, ...] = ()  # networks of the same seed that it learns from
    ignores: tuple[str, ...] = ()  # fields of these sections that it does not depend on
    once: bool = False  # trained once, with seed 0, for all seeds; learns from such networks only
    measured: bool = False  # by itself, with the study's `measure`


@dataclass(frozen=True)
class Regenerated:
    """What came of something that was drawn again from its lineage."""

    before: str  # SHA-256 of the file as the lineage has it, and as it came out now
    now: str
    differences: tuple[str, ...] = ()  # inputs that are not what they were, a line each
    note: str = ""  # what else there is to say where it is not the same


@dataclass(frozen=True)
class Evaluation:
    """What a study measured for one seed."""

    metrics: Mapping[str, Any]  # nested; leaves are numbers or lists of numbers
    arrays: Mapping[str, Any] = field(default_factory=dict)  # images, uint8 arrays
    tuned: Mapping[str, Any] = field(default_factory=dict)  # fields chosen for prediction, by name


@dataclass(frozen=True)
class Shipped(Generic[C]):
    """What of a study's trained networks is shipped with the project, and what is said of it."""

    # config -> the networks that prediction and sampling need, and which parts of the state of
    # each: ("params", "stats"), or ("params/generator",)
    networks: Callable[[C], Mapping[str, tuple[str, ...]]]
    # (trained networks of a seed, name of one) -> its state, as `trained_state` gives it
    state: Callable[[Any, str], Any]
    # (trained networks of a seed, prepared, seed) -> what they make of some validation data: arrays
    # by what they show
    outputs: Callable[[Any, Prepared, int], Mapping[str, Any]]
    use: str  # a paragraph of the model card: what they are for, and what not


@dataclass(frozen=True)
class Study(Generic[C]):
    """All that is known of a study.

    Its steps import what they need when they are called, so that listing the studies stays quick.
    """

    folder: Path
    published: C  # the config of the source
    datasets: Mapping[str, Dataset[Any, Any]]  # by the value of config.data.dataset
    networks: Callable[[C], Mapping[str, Network]]  # what a seed trains, in this order
    examples: Callable[[Any, Reading[Any]], Examples]  # given config.data: what is prepared
    train: Callable[[Unit[C], Prepared], None]  # into the unit's folder; resumes by itself
    # (run, prepared, seed) -> what came of a seed; trains nothing. Where the study has `measure`,
    # what that found is the last argument, by network.
    evaluate: Callable[..., Evaluation]
    render: Callable[[Path], None]  # results/{tables,figures} from the other files of a folder
    claims: ModuleType  # functions by the names in reported.toml: metrics over seeds -> Verdict
    # What one trained network shows by itself: done as soon as it is trained, and by several
    # processes at once. Of a unit, hence not of what is trained once for all seeds.
    measure: Callable[[Unit[C], Prepared], Evaluation] | None = None
    # (checkpoint, input, out, skip_bad) -> a row for each input file. Writes below `out`. All rows
    # have the same keys, the columns that are printed; `written` lists the files made of the input.
    # Where the study has `options`, what the user chose of them is the last argument; the input is
    # None where their `names_input` is true.
    predict: Callable[..., list[dict[str, Any]]] | None = None
    options: Any = None  # flags of predict, with their defaults: see common.study.options
    # (checkpoint, or None for the newest, out, choice) -> a row for each image that was drawn, as
    # predict's; the choice is of what `sampling` offers.
    sample: Callable[..., list[dict[str, Any]]] | None = None
    sampling: Any = None  # flags of sample, with their defaults: see common.study.options
    # (file of a lineage, checkpoint, or None for the one that the lineage names)
    regenerate: Callable[[Path, Path | None], Regenerated] | None = None
    # (what --corpus names) -> settings, as --set takes them, that let networks learn from it
    corpus: Callable[[str], list[str]] | None = None
    shipped: Callable[[], Shipped[C]] | None = None  # what of trained networks is shipped

    def __reduce__(self) -> str:
        """Have other processes import the study: modules, which `claims` is, cannot be sent."""
        module = f"{self.folder.parent.name}.{self.name}.study"
        object.__setattr__(self, "__module__", module)  # where pickle looks for `STUDY`
        return "STUDY"

    @property
    def name(self) -> str:
        """Name of the study: that of its folder."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """Folder that holds common, papers, experiments and results."""
        return self.folder.parents[1]

    @property
    def experiments(self) -> Path:
        """Folder of the study's experiment files."""
        return self.root / "experiments" / self.name

    def results(self, experiment: str) -> Path:
        """Return the folder of an experiment's committed results."""
        return self.folder / "results" / experiment

    def shipped_networks(self, experiment: str) -> Path:
        """Return the folder of the networks of an experiment that are shipped."""
        return self.folder / "networks" / experiment

    def shipped_files(self, experiment: str) -> list[Path]:
        """Return the files of these networks, one for each seed."""
        return sorted(self.shipped_networks(experiment).glob(SHIPPED))


@dataclass(frozen=True)
class Run(Generic[C]):
    """One replication: everything that a study's steps may depend on."""

    study: Study[C]
    experiment: Experiment
    config: C  # resolved
    seeds: tuple[int, ...]
    out: Path  # the results folder
    raw: Path | None = None  # the user's data
    skip_bad: bool = False
    raw_key: str = ""  # identifies the files below `raw`, see common.study.raw
    home: Path | None = None  # instead of common.paths.home(), for a scratch copy
    processes: int | None = None  # that share the work, instead of the experiment's

    @property
    def data(self) -> Any:
        """The config's section on data."""
        return self.config.data  # type: ignore[attr-defined]

    @property
    def dataset(self) -> Dataset[Any, Any]:
        """The data set that the config names."""
        return self.study.datasets[self.data.dataset]

    @property
    def differences(self) -> tuple[configs.Difference, ...]:
        """The deviations from the published config."""
        return configs.differences(self.config, self.study.published)

    @property
    def work(self) -> Path:
        """Folder of this config's evaluations; shared by runs that differ in seeds."""
        key = configs.digest(self.config, self.raw_key, self.skip_bad)
        return self._runs / f"{self.experiment.name}-{key}"

    @property
    def data_folder(self) -> Path:
        """Folder of the prepared data; one for each ``config.data`` and set of raw files."""
        key = configs.digest(self.data, self.raw_key, self.skip_bad)
        data = self.home / "data" if self.home else paths.data()
        return data / self.study.name / f"{self.data.dataset}-{key}"

    @property
    def networks(self) -> Mapping[str, Network]:
        """What a seed trains, by name and in order."""
        return self.study.networks(self.config)

    def seed_folder(self, seed: int) -> Path:
        """Return the folder of one seed's evaluation."""
        return self.work / f"seed_{seed}"

    def unit(self, prepared: Prepared, seed: int, network: str) -> Unit[C]:
        """Return the training of one network of one seed, or of the one for all seeds."""
        return Unit(self, seed, network, prepared.content_hash).of(network)

    def units(self, prepared: Prepared, seed: int) -> list[Unit[C]]:
        """Return the trainings of one seed, in the order of the networks."""
        return [self.unit(prepared, seed, name) for name in self.networks]

    @property
    def _runs(self) -> Path:
        runs = self.home / "runs" if self.home else paths.runs()
        return runs / self.study.name


def training_name(network: str, key: str, seed: int) -> str:
    """Return which training it is, among all of a study: its folder below that of all networks."""
    return f"{network}-{key}/seed_{seed}"


@dataclass(frozen=True)
class Unit(Generic[C]):
    """The unit of training: one network of one seed, with a folder and a key of its own."""

    run: Run[C]
    seed: int
    network: str
    content_hash: str  # of the prepared data

    @property
    def config(self) -> C:
        """The run's config."""
        return self.run.config

    @property
    def key(self) -> str:
        """What training depends on and nothing else: data, fields of the config, other networks."""
        own = self.run.networks[self.network]
        fields = configs.part(self.config, ("data", *own.depends_on), own.ignores)
        return configs.digest(self.content_hash, fields, [self.of(name).key for name in own.after])

    @property
    def training(self) -> str:
        """Which training it is, among all of the study."""
        return training_name(self.network, self.key, self.seed)

    @property
    def folder(self) -> Path:
        """Folder of the checkpoints and the log, the same in every run of this training."""
        return self.run._runs / "networks" / self.training

    @property
    def label(self) -> str:
        """What the training is called in messages."""
        once = self.run.networks[self.network].once
        return f"train {self.network}, {'once' if once else f'seed {self.seed}'}"

    def of(self, network: str) -> Unit[C]:
        """Return the training of another network of the same seed, or of the one for all."""
        seed = 0 if self.run.networks[network].once else self.seed
        return Unit(self.run, seed, network, self.content_hash)
