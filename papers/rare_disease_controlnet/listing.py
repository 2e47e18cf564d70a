"""Films of a data set before they are read: whose they are, what they show, which are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.data.prepared import Reading
from common.data.splits import in_turns
from common.errors import InputError, nearest
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.film import Film


@dataclass(frozen=True)
class Entry:
    """One film of a listing; its fields are those of `Film`."""

    name: str
    patient: str
    file: Path
    findings: tuple[str, ...] = ()
    view: str = ""
    part: str = ""


@dataclass(frozen=True)
class Listing:
    """What a folder holds: films, tables that were read, and faults, each "name: reason"."""

    entries: list[Entry]
    tables: list[Path] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what else there is to say, in clauses
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FilmReading(Reading[Film]):
    """Films as read, and what else there is to say of them."""

    notes: list[str] = field(default_factory=list)  # in clauses


def chosen(entries: Sequence[Entry], config: DataConfig) -> tuple[list[Entry], int]:
    """Return the films that the config uses, and how many have other findings only.

    Those are left out; of the rest come `limit`, every patient's first one before any second one.
    Raises `InputError` for a finding that no film has.
    """
    there = {finding for entry in entries for finding in entry.findings}
    for name, findings in (("findings", config.findings), ("rare", (config.rare,))):
        if unknown := [finding for finding in findings if finding not in there]:
            raise InputError(
                f"data.{name}: no film of {config.dataset} has {unknown[0]!r}; "
                f"{nearest(unknown[0], there)}"
            )
    wanted = set(config.findings or there)
    used = [entry for entry in entries if not entry.findings or wanted & {*entry.findings}]
    limited = in_turns(used, lambda one: one.patient, lambda one: one.name, config.limit)
    return limited, len(entries) - len(used)
