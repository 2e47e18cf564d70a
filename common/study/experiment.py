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

    [verify]                            # tolerances away from the platform of the results
    "guidance.*.fid768" = {relative = 0.05}             # the first pattern that fits counts;
    "*.dice" = {absolute = 0.02, relative = 0.1}        # what none fits must be equal
    "*.patients.*" = {skip = "why these cannot be compared"}

    [config.data]                       # what differs from the published config
    dataset = "simulated"
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from common.errors import InputError, nearest

Scale = Literal["smoke", "demo", "real", "paper"]
DEFAULT = "demo"


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
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    fields = {f.name: f for f in dataclasses.fields(Experiment) if f.name != "name"}
    for key in table:
        if key not in fields:
            raise InputError(f"{path}: unknown key '{key}', {nearest(key, fields)}")
    for key, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and key not in table:
            raise InputError(f"{path}: '{key}' is missing")
    for key in ("title", "expected", "hardware", "raw", "command"):
        if not isinstance(table.get(key, ""), str):
            raise InputError(f"{path}: {key} = {table[key]!r} must be a string")
    if table["scale"] not in get_args(Scale):
        known = nearest(str(table["scale"]), get_args(Scale))
        raise InputError(f"{path}: scale = {table['scale']!r} is not known, {known}")
    if type(table["minutes"]) not in (int, float) or table["minutes"] <= 0:
        raise InputError(f"{path}: minutes = {table['minutes']!r} must be a number above 0")
    if type(table.get("processes", 1)) is not int or table.get("processes", 1) < 1:
        raise InputError(f"{path}: processes = {table['processes']!r} must be a count above 0")
    if not isinstance(table.get("config", {}), dict):
        raise InputError(f"{path}: config must be a table")
    table["seeds"] = seeds(table["seeds"], f"{path}: seeds")
    table["minutes"] = float(table["minutes"])
    table["verify"] = tuple(
        _tolerance(pattern, value, path) for pattern, value in table.get("verify", {}).items()
    )
    return Experiment(name=path.stem, **table)


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """Return the seeds meant by a count (3 means 0, 1, 2) or by a list of them.

    Raises:
        InputError: neither of the two, a negative seed, or one that is duplicated.
    """
    if type(value) is int and value > 0:
        return tuple(range(value))
    given = value if isinstance(value, list) else []
    valid = all(type(seed) is int and seed >= 0 for seed in given)
    if given and valid and len(set(given)) == len(given):
        return tuple(given)
    raise InputError(f"{where} = {value!r}: give a count above 0 or a list of different seeds")


def _tolerance(pattern: str, value: Any, path: Path) -> Tolerance:
    where = f'{path}: verify."{pattern}"'
    kinds = ("absolute", "relative")
    if isinstance(value, dict) and set(value) == {"skip"}:
        if not isinstance(value["skip"], str) or not value["skip"].strip():
            raise InputError(f"{where}: skip = {value['skip']!r} must say why")
        if not pattern.strip("*?."):
            raise InputError(f"{where} would skip every metric: name those that it is about")
        return Tolerance(pattern, skip=value["skip"])
    if not isinstance(value, dict) or not value or not set(value) <= set(kinds):
        raise InputError(f'{where} must be {{absolute = …, relative = …}} or {{skip = "why"}}')
    if any(type(v) not in (int, float) or not 0 <= v < math.inf for v in value.values()):
        raise InputError(f"{where} must hold numbers of at least 0")
    absolute, relative = (float(value.get(kind, 0)) for kind in kinds)
    if relative >= 1:
        raise InputError(f"{where}: relative = {relative} must be below 1")
    return Tolerance(pattern, absolute, relative)
