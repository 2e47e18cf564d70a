"""``reported.toml``: the only place where a number or claim of a source lives.

Schema::

    source = "where it was published"
    dataset = "the data of the source"

    [comparable_if]                  # config fields that must have these values
    "data.dataset" = "camcan"

    [[number]]
    id = "fid_w7"
    name = "FID at w = 7"            # as people read it; by default the id
    metric = "guidance.7.0.fid768"   # dotted path into the metrics of a seed
    value = 0.0663
    unit = ""
    better = "lower"                 # lower | higher | none
    margin = 0.0012                  # what is nearer counts as the same
    margin_reason = "why"
    n = 5160                         # images, people, … behind the number; optional
    context = "another split"        # not of the source: why it has no verdict, nor a margin
    source = "table 1"

    [[claim]]
    id = "fid_rises_with_guidance"
    text = "FID rises with w"
    source = "section 4"
    test = "fid_rises"               # function of claims.py; or not_testable = "why"

    [[absent]]                       # claimed without a published measurement
    id = "asked_age"
    text = "…"
    source = "…"
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from common.errors import InputError, nearest
from common.report.verdicts import Better
from common.structured import read_toml
from common.study import config as configs

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Number:
    """A reported number."""

    id: str
    metric: str
    value: float
    source: str
    name: str = ""
    unit: str = ""
    better: Better = "none"
    margin: float = 0.0
    margin_reason: str = ""
    n: int | None = None
    context: str = ""

    @property
    def shown(self) -> str:
        """Its name as people read it."""
        return self.name or self.id


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim in words with the function of ``claims.py`` that tests it, or why none can."""

    id: str
    text: str
    source: str
    test: str = ""
    not_testable: str = ""


@dataclasses.dataclass(frozen=True)
class Absent:
    """Something claimed without a published measurement."""

    id: str
    text: str
    source: str


@dataclasses.dataclass(frozen=True)
class Reported:
    """All that a source reports."""

    source: str
    dataset: str
    comparable_if: Mapping[str, Any]
    numbers: tuple[Number, ...]
    claims: tuple[Claim, ...]
    absent: tuple[Absent, ...]


def read(path: Path) -> Reported:
    """Read and check a ``reported.toml``.

    Raises:
        InputError: the file is missing or does not follow the schema.
    """
    table = read_toml(path)
    known = ("source", "dataset", "comparable_if", "number", "claim", "absent")
    for key in table:
        if key not in known:
            raise InputError(f"{path}: unknown key '{key}', {nearest(key, known)}")
    for key in ("source", "dataset"):
        if not isinstance(table.get(key), str):
            raise InputError(f"{path}: '{key}' is missing or not a string")
    if not isinstance(table.get("comparable_if", {}), dict):
        raise InputError(f"{path}: comparable_if must be a table")
    reported = Reported(
        source=table["source"],
        dataset=table["dataset"],
        comparable_if=table.get("comparable_if", {}),
        numbers=_entries(Number, "number", table, path),
        claims=_entries(Claim, "claim", table, path),
        absent=_entries(Absent, "absent", table, path),
    )
    for number in reported.numbers:
        if not number.context and not (number.margin > 0 and number.margin_reason):
            raise InputError(
                f"{path}: number {number.id}: give a margin above 0 with its margin_reason, or "
                "context"
            )
    for claim in reported.claims:
        if bool(claim.test) == bool(claim.not_testable):
            raise InputError(f"{path}: claim {claim.id}: give either test or not_testable")
    return reported


def incomparable(reported: Reported, config: Mapping[str, Any]) -> str:
    """Return why numbers of a run with this flat config cannot be compared, or ''.

    Args:
        reported: what the source reports, with its conditions.
        config: ``{"section.field": value}`` of the run.

    Raises:
        InputError: a condition names a field that the config does not have.
    """
    reasons = []
    for name, wanted in reported.comparable_if.items():
        if name not in config:
            raise InputError(f"reported.toml: comparable_if {name}: {nearest(name, config)}")
        ours = config[name]
        if (list(ours) if isinstance(ours, tuple) else ours) != wanted:
            reasons.append(f"{name} is {configs.toml(ours)}, reported {configs.toml(wanted)}")
    return "; ".join(reasons)


def _entries(kind: type[T], key: str, table: Mapping[str, Any], path: Path) -> tuple[T, ...]:
    given = table.get(key, [])
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise InputError(f"{path}: {key} must be tables, each headed [[{key}]]")
    entries = tuple(_entry(kind, key, index, entry, path) for index, entry in enumerate(given))
    ids = [entry.id for entry in entries]  # type: ignore[attr-defined]
    if twice := {name for name in ids if ids.count(name) > 1}:
        raise InputError(f"{path}: {key} {sorted(twice)[0]} is duplicated")
    return entries


def _entry(kind: type[T], key: str, index: int, entry: Mapping[str, Any], path: Path) -> T:
    where = f"{path}: {key} {entry.get('id', index + 1)}"
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    kinds = get_type_hints(kind)
    for name in entry:
        if name not in fields:
            raise InputError(f"{where}: unknown field '{name}', {nearest(name, fields)}")
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in entry:
            raise InputError(f"{where}: '{name}' is missing")
    checked = {
        name: configs.checked(value, kinds[name], f"{where}: {name}")
        for name, value in entry.items()
    }
    return kind(**checked)
