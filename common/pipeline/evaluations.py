"""Evaluations as items that processes share: of one trained network, and of a whole seed.

A study with `measure` has its networks measured one by one, each as soon as it is trained; the
seed's evaluation is then handed what came of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import sealed
from common.files import load_arrays, save_arrays, sha256, write_atomic
from common.pipeline import record, trained, units
from common.results import metrics_file
from common.study import config as configs
from common.study.protocol import Evaluation, Prepared, Run, Unit
from common.training.processes import broadcast_from_primary, log, on_primary

DONE = trained.EVALUATED
_METRICS, _SAMPLES = "metrics.json", "samples.npz"


@dataclass(frozen=True)
class Measuring:
    """The measuring of one trained network, in a folder below that of its seed's evaluation."""

    unit: Unit[Any]
    prepared: Prepared

    @property
    def folder(self) -> Path:
        """Folder of what was measured."""
        return self.unit.run.seed_folder(self.unit.seed) / "networks" / self.unit.network

    @property
    def key(self) -> str:
        """What it depends on besides the run's config: the trained network.

        One that was trained anew, its folder having been deleted, is another one.
        """
        return configs.digest(self.unit.key, units.record_of(self.unit))

    def is_done(self) -> bool:
        """Return whether this very network was measured."""
        return _is_done(self)

    def is_ready(self) -> bool:
        """Return whether the network is trained."""
        return units.is_done(self.unit)

    def do(self) -> None:
        """Measure the network."""
        study = self.unit.run.study
        assert study.measure is not None
        log(self._label)
        watch = record.Stopwatch(study.root, study.measure)
        _keep(self, study.measure(self.unit, self.prepared), watch)

    def warn_of_other_code(self) -> None:
        """Say so where the network was measured by other code."""
        study = self.unit.run.study
        assert study.measure is not None
        record.warn_of_other_code(self.folder / DONE, self._label, study.root, study.measure)

    @property
    def text(self) -> str:
        """The record of the measuring, empty where it is not done."""
        return record.text(self.folder / DONE)

    def read(self) -> Evaluation:
        """Return what was measured."""
        metrics = json.loads((self.folder / _METRICS).read_text())
        return Evaluation(metrics, load_arrays(self.folder / _SAMPLES))

    @property
    def _label(self) -> str:
        return f"measure {self.unit.network}, seed {self.unit.seed}"


@dataclass(frozen=True)
class Evaluating:
    """The evaluation of one seed, in the folder of its own."""

    run: Run[Any]
    prepared: Prepared
    number: int

    @property
    def folder(self) -> Path:
        """Folder of the evaluation."""
        return self.run.seed_folder(self.number)

    @property
    def key(self) -> str:
        """What the evaluation depends on besides the run's config: data, networks, measurings."""
        trainings = [
            (unit.key, units.record_of(unit)) for unit in self.run.units(self.prepared, self.number)
        ]
        measurings = [one.text for one in self.measurings]
        return configs.digest(self.prepared.content_hash, trainings, *measurings)

    @property
    def measurings(self) -> list[Measuring]:
        """The networks that are measured one by one."""
        return [
            Measuring(self.run.unit(self.prepared, self.number, name), self.prepared)
            for name, network in self.run.networks.items()
            if network.measured
        ]

    def is_done(self) -> bool:
        """Return whether these very networks were evaluated on this data."""
        return _is_done(self)

    def is_ready(self) -> bool:
        """Return whether all networks of the seed are trained, and measured where that is done."""
        trained_ones = self.run.units(self.prepared, self.number)
        return all(map(units.is_done, trained_ones)) and all(
            measuring.is_done() for measuring in self.measurings
        )

    def do(self) -> None:
        """Evaluate the seed."""
        log(f"evaluate seed {self.number}")
        study = self.run.study
        watch = record.Stopwatch(study.root, study.evaluate)
        units.index(self.run, self.prepared, self.number)
        measured = {one.unit.network: one.read() for one in self.measurings}
        more = (measured,) if study.measure else ()
        evaluation = study.evaluate(self.run, self.prepared, self.number, *more)

        tuned = sealed.seal(evaluation.tuned, metrics_file.dumps)
        on_primary(lambda: write_atomic(self.folder / trained.TUNED, tuned))
        _keep(self, evaluation, watch)

    def warn_of_other_code(self) -> None:
        """Say so where the seed was evaluated by other code."""
        study, what = self.run.study, f"evaluate seed {self.number}"
        record.warn_of_other_code(self.folder / DONE, what, study.root, study.evaluate)

    def records(self) -> dict[str, Any]:
        """Return the records of the evaluation and, where there are, of what it was handed."""
        found: dict[str, Any] = {"evaluate": _noted(self)}
        if self.measurings:
            found["measure"] = {one.unit.network: _noted(one) for one in self.measurings}
        return found


def _noted(item: Measuring | Evaluating) -> dict[str, Any]:
    """Return the record of an item for a manifest, without what its own files are known by."""
    noted = record.read(item.folder / DONE)
    del noted["files"]
    return noted


def _is_done(item: Measuring | Evaluating) -> bool:
    def look() -> bool:
        found = record.found(item.folder / DONE)
        if found is None or found["key"] != item.key:  # which takes longer
            return False
        return found["files"] == _digests(item.folder)

    return broadcast_from_primary(look)


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that an evaluation leaves, of those that are there."""
    files = (folder / name for name in (_METRICS, _SAMPLES, trained.TUNED))
    return {file.name: sha256(file) for file in files if file.is_file()}


def _keep(item: Measuring | Evaluating, evaluation: Evaluation, watch: record.Stopwatch) -> None:
    def keep() -> None:
        save_arrays(item.folder / _SAMPLES, evaluation.arrays)
        write_atomic(item.folder / _METRICS, metrics_file.dumps(evaluation.metrics))
        watch.write(item.folder / DONE, {"key": item.key, "files": _digests(item.folder)})

    on_primary(keep)
