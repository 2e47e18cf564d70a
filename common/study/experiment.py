"""Experiment files: a named run as the difference from the published config.

``experiments/<study>/<name>.toml``::

    title = "Simulated cohort, small network"
    scale = "demo"                      # smoke | demo | real | paper
    seeds = 3                           # a count, or a list of seeds
    minutes = 12                        # expected time of the whole command
    hardware = "2 CPU cores"            # ... on this
    processes = 2                       # that share the work, of CPU cores at most as many
    expected = "FID falls below 0.05"   # what should come out
    raw = "folder with phenotype.csv"   # what the user must give; absent = nothing
    command = "just replicate camcan"   # optional: how it was run
    base = "demo"                       # optional: the experiment whose [config] this one changes

    [verify]                            # tolerances away from the platform of the results
    "guidance.*.fid768" = {relative = 0.05}             # the first pattern that fits counts;
    "*.dice" = {absolute = 0.02, relative = 0.1}        # what none fits must be equal
    "*.patients.*" = {skip = "why these cannot be compared"}

    [config.data]                       # what differs from the published config, or from the base
    dataset = "simulated"

Of its base an experiment takes the config and nothing else; a base has no base itself.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from common.errors import InputError, nearest
from common.structured import read_toml
from common.study import config as configs
from common.study.schema import BelowOne, Bounds, NonNegative, Seed

Scale = Literal["smoke", "demo", "real", "paper"]
DEFAULT = "demo"
MOST_SEEDS = 10_000
_KINDS = {  # what a file holds beside its tables and seeds
    "title": str,
    "scale": Scale,
    "minutes": Annotated[float, Bounds(0, 10_000_000, open=True)],
    "hardware": str,
    "processes": Annotated[int, Bounds(1, 4096)],
    "expected": str,
    "raw": str,
    "command": str,
    "base": str,
}
_NOT_WRITTEN = ("name", "inherited")  # fields that are no keys of a file
_TOLERANCES = {"absolute": NonNegative, "relative": BelowOne}


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a metric may lie from the committed one on another platform, or why none is held."""

    pattern: str  # of dotted metric paths, with * and ?
    absolute: float = 0.0
    relative: float = 0.0  # of the committed value, below 1
    skip: str = ""  # why these metrics cannot be compared there

    def allowed(self, committed: float | int) -> float:
        """Return how far from the committed value another may lie."""
        return self.absolute + self.relative * abs(committed)

    def judges(self, committed: float | int) -> bool:
        """Return whether neither zero nor twice the committed value would pass."""
        return not self.skip and (committed == 0 or self.allowed(committed) < abs(committed))


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment file."""

    name: str
    title: str
    scale: Scale
    seeds: tuple[int, ...]
    minutes: float
    expected: str
    hardware: str = "2 CPU cores"
    processes: int = 1  # that share the work on a CPU
    raw: str | None = None  # what the user must give by --raw; None = nothing
    command: str | None = None
    verify: tuple[Tolerance, ...] = ()
    base: str | None = None  # the experiment whose config comes before this one's
    inherited: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # that config
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def names(folder: Path) -> list[str]:
    """Return the names of the experiments in a study's folder of them, sorted."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def load(folder: Path, name: str = DEFAULT) -> Experiment:
    """Read and check an experiment file in a study's folder of them.

    Raises:
        InputError: no such experiment, or a file that does not follow the schema.
    """
    if name not in (known := names(folder)):
        raise InputError(f"unknown experiment '{name}' of {folder.name}, {nearest(name, known)}")
    return read(folder / f"{name}.toml")


def read(path: Path) -> Experiment:
    """Read and check the experiment file at `path`; see :func:`load`."""
    table = read_toml(path)
    fields = {f.name: f for f in dataclasses.fields(Experiment) if f.name not in _NOT_WRITTEN}
    for key in table:
        if key not in fields:
            raise InputError(f"{path}: unknown key '{key}', {nearest(key, fields)}")
    for key, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and key not in table:
            raise InputError(f"{path}: '{key}' is missing")
    for key in ("config", "verify"):
        if not isinstance(table.get(key, {}), dict):
            raise InputError(f"{path}: {key} = {configs.shown(table[key])} must be a table")
    plain = {key: value for key, value in table.items() if key in _KINDS}
    for key, value in plain.items():
        table[key] = configs.checked(value, _KINDS[key], f"{path}: {key}")
    table["seeds"] = seeds(table["seeds"], f"{path}: seeds")
    table["verify"] = tuple(
        _tolerance(pattern, value, path) for pattern, value in table.get("verify", {}).items()
    )
    if "base" in table:
        table["inherited"] = _base(path, table["base"]).config
    return Experiment(name=path.stem, **table)


def _base(path: Path, name: str) -> Experiment:
    """Return the experiment that the file at `path` names as its base."""
    others = [other for other in names(path.parent) if other != path.stem]
    if name not in others:
        near = nearest(name, others)
        raise InputError(f"{path}: base = {configs.shown(name)}: no other such experiment, {near}")
    file = path.with_name(f"{name}.toml")
    if "base" in read_toml(file):
        raise InputError(
            f"{path}: base = {configs.shown(name)} has a base itself; "
            "name one without, and repeat what it changes"
        )
    return read(file)


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """Return the seeds meant by a count (3 means 0, 1, 2) or by a list of them.

    Raises:
        InputError: neither of the two, more than `MOST_SEEDS`, one out of its range, or one that
            is duplicated.
    """
    given = range(value) if type(value) is int else value
    if not isinstance(given, range | list) or not given:
        raise InputError(
            f"{where} = {configs.shown(value)}: give a count above 0 or a list of different seeds"
        )
    if len(given[: MOST_SEEDS + 1]) > MOST_SEEDS:
        raise InputError(f"{where} = {configs.shown(value)}: expected at most {MOST_SEEDS:,} seeds")
    made = tuple(configs.checked(seed, Seed, where) for seed in given)
    if len(set(made)) < len(made):
        raise InputError(f"{where} = {configs.shown(value)}: give a list of different seeds")
    return made


def _tolerance(pattern: str, value: Any, path: Path) -> Tolerance:
    where = f'{path}: verify."{pattern}"'
    if isinstance(value, dict) and set(value) == {"skip"}:
        if not isinstance(value["skip"], str) or not value["skip"].strip():
            raise InputError(f"{where}: skip = {value['skip']!r} must say why")
        if not pattern.strip("*?."):
            raise InputError(f"{where} would skip every metric: name those that it is about")
        return Tolerance(pattern, skip=value["skip"])
    if not isinstance(value, dict) or not value or not set(value) <= set(_TOLERANCES):
        raise InputError(f'{where} must be {{absolute = …, relative = …}} or {{skip = "why"}}')
    made = {
        kind: configs.checked(given, _TOLERANCES[kind], f"{where}: {kind}")
        for kind, given in value.items()
    }
    return Tolerance(pattern, **made)
