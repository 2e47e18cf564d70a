"""Training the units of a run: each once, by whichever process gets to it first.

Several processes that are given the same command, on one machine or on several with a shared file
system, take different units; what another process trains is waited for at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from common.errors import InputError, nearest
from common.locks import holder
from common.pipeline import record, trained
from common.pipeline.timing import Left
from common.study import config as configs
from common.study.protocol import Prepared, Run, Unit
from common.training.processes import broadcast_from_primary, exclusive, log, on_primary
from common.xla import drop_programs_of_many

DONE = "trained.json"  # time, memory, code and platform; a unit that has it is not trained again


@runtime_checkable
class Item(Protocol):
    """A piece of work that one process does, holding the lock of a folder of its own."""

    @property
    def folder(self) -> Path:
        """The folder."""

    def is_ready(self) -> bool:
        """Return whether it can be done by now."""

    def is_done(self) -> bool:
        """Return whether it is done."""

    def do(self) -> None:
        """Do it."""

    def warn_of_other_code(self) -> None:
        """Say so where it was done by other code than it would be done by now."""


@dataclass(frozen=True)
class Training:
    """The training of a unit."""

    unit: Unit[Any]
    prepared: Prepared

    @property
    def folder(self) -> Path:
        """Folder of the unit."""
        return self.unit.folder

    def is_ready(self) -> bool:
        """Return whether all that it learns from is trained."""
        after = self.unit.run.networks[self.unit.network].after
        return all(is_done(self.unit.of(name)) for name in after)

    def is_done(self) -> bool:
        """Return whether the unit is trained to its end."""
        return is_done(self.unit)

    def do(self) -> None:
        """Train the unit."""
        unit, study = self.unit, self.unit.run.study
        log(unit.label)
        resumed = broadcast_from_primary(lambda: (unit.folder / trained.NETWORK).exists())
        watch = record.Stopwatch(study.root, study.train)
        on_primary(lambda: trained.save_network(unit, self.prepared.parts))
        study.train(unit, self.prepared)
        more = {
            "resumed": resumed,  # then: seconds since the last start
            "logging": configs.logging(unit.config),  # other runs that use this network may differ
        }
        on_primary(lambda: watch.write(unit.folder / DONE, more))

    def warn_of_other_code(self) -> None:
        """Say so where the unit was trained by other code."""
        study = self.unit.run.study
        record.warn_of_other_code(self.folder / DONE, self.unit.label, study.root, study.train)


def names(run: Run[Any], only: str | None = None) -> list[str]:
    """Return the networks of a run in the order of training; or one and what it learns from.

    Raises:
        InputError: the config trains no network of the name `only`.
    """
    networks = run.networks
    if only is None:
        return list(networks)
    if only not in networks:
        raise InputError(f"--only {only}: not trained by this config, {nearest(only, networks)}")
    return [name for name in networks if name in _needed(run, only)]


def _needed(run: Run[Any], network: str) -> set[str]:
    after = run.networks[network].after
    return {network}.union(*(_needed(run, name) for name in after))


def trainings(run: Run[Any], prepared: Prepared, only: str | None = None) -> list[Training]:
    """Return the trainings of all units of a run, or of those of one network; seed by seed."""
    units = [run.unit(prepared, seed, name) for seed in run.seeds for name in names(run, only)]
    return [Training(unit, prepared) for unit in {unit.folder: unit for unit in units}.values()]


def index(run: Run[Any], prepared: Prepared, seed: int) -> None:
    """Write where the networks of a seed lie."""
    units = run.units(prepared, seed)
    on_primary(lambda: trained.save_index(run, seed, units, prepared.parts))


def is_done(unit: Unit[Any]) -> bool:
    """Return whether a unit is trained to its end."""
    files = (unit.folder / DONE, unit.folder / trained.NETWORK)
    return broadcast_from_primary(lambda: all(record.found(file) is not None for file in files))


def record_of(unit: Unit[Any]) -> str:
    """Return the record of a unit's training, empty where it is not trained."""
    return record.text(unit.folder / DONE)


def share(items: Sequence[Item]) -> None:
    """Do all items, each in one process: what is free first, then what others hold.

    What another process holds is waited for when nothing else is left, and done here should that
    process have ended without doing it.
    """
    waits, left = False, Left()
    while pending := [item for item in items if not item.is_done()]:
        left.tell(len(items) - len(pending), len(items))
        for item in (item for item in pending if item.is_ready()):
            folder = item.folder
            if waits:
                log(f"waiting for {holder(folder)}, which holds {folder}")
            with exclusive(folder, wait=waits) as held:
                if held and not item.is_done():
                    item.do()
                    drop_programs_of_many()
            if held:
                waits = False
                break
        else:
            waits = True
