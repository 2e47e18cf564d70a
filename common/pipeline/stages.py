"""The stages of a run, each from the files of the one before: prepare, train, evaluate, render.

A run's work folder holds ``data.json`` (what was prepared) and for every seed ``seed_<n>`` with
``networks.json``, ``metrics.json``, ``samples.npz``, ``tuned.json``, and ``evaluated.json``: time,
memory, code and platform, and the key of what was evaluated; where networks are measured one by
one, ``networks/<name>`` has the same of each. What was evaluated is evaluated again when its
networks or the data are others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from common import sealed, xla
from common.data.prepare import prepare as prepare_data
from common.errors import InputError
from common.files import write_atomic
from common.outputs import check_room
from common.pipeline import draw, record, units
from common.pipeline.evaluations import Evaluating
from common.pipeline.process import share_out
from common.results import manifest, metrics_file
from common.study import raw
from common.study.protocol import Prepared, Run
from common.training.processes import (
    broadcast_from_primary,
    is_one_of_several,
    log,
    on_primary,
)

Stage = Literal["all", "prepare", "train", "evaluate", "render"]
NAMED = 20  # of what is left out


def execute(run: Run[Any], stage: Stage = "all", only: str | None = None) -> Path | None:
    """Run one stage, or all; return the results folder if it was written.

    With `only`, one network is prepared for and trained, with what it learns from, and that is all.
    Several processes may run this together: those of one training (``jax.distributed``) all train
    and evaluate, and the first one writes; those that were given the same command share the units,
    and so do those that the run starts itself.

    Raises:
        InputError: the user's data or files are not as they must be.
    """
    if only is not None and stage not in ("all", "train"):
        raise InputError(f"--only {only}: trains one network; it does not go with --stage {stage}")
    units.names(run, only)  # refuses before anything is prepared
    prepared = prepare(run)
    if stage == "evaluate":
        _check_trained(run, prepared)
    items: list[units.Item] = []
    if stage in ("all", "evaluate") and only is None:  # first: what is trained, as soon as it is
        for evaluating in (Evaluating(run, prepared, number) for number in run.seeds):
            items += [evaluating, *evaluating.measurings]
    if stage in ("all", "train"):
        items += units.trainings(run, prepared, only)
    _share(run, items)
    if only is not None:
        return None
    if stage in ("all", "train"):
        for seed in run.seeds:
            units.index(run, prepared, seed)
    return render(run, prepared) if stage in ("all", "render") else None


def _share(run: Run[Any], items: Sequence[units.Item]) -> None:
    """Do what is not done yet, in processes of its own where there are several to share it."""
    pending = []
    for item in items:
        if item.is_done() and item.is_ready():  # else it depends on what is made again
            item.warn_of_other_code()
        else:
            pending.append(item)
    if pending:
        on_primary(lambda: check_room(run.work))
    if (processes := processes_of(run)) > 1:
        share_out(min(processes, len(pending)), threads_of(run), units.share, pending)
    units.share(pending)


def processes_of(run: Run[Any]) -> int:
    """Return how many processes share the work: by default as the experiment says, on CPUs only.

    One takes all of an accelerator's memory, and processes of one training go together.
    """
    if is_one_of_several():
        return 1
    if run.processes is None and jax.default_backend() != "cpu":
        return 1
    return run.processes or min(run.experiment.processes, xla.cores())


def threads_of(run: Run[Any]) -> int:
    """Return how many threads each of the processes has."""
    return max(1, xla.threads() // processes_of(run))


def prepare(run: Run[Any]) -> Prepared:
    """Prepare the data of a run, or find it prepared."""
    start = time.perf_counter()
    if broadcast_from_primary(lambda: not run.data_folder.exists()):
        log("prepare data")

    def once() -> Prepared:
        where = (run.data_folder, run.raw, run.skip_bad)
        return prepare_data(run.dataset, run.data, run.study.examples, *where)

    if is_one_of_several():
        on_primary(once)
    prepared = once()
    on_primary(lambda: _note_data(run, prepared, time.perf_counter() - start))
    if prepared.files:
        log(f"--raw {run.raw}: {prepared.account}")
    if prepared.absent:
        named = "; ".join(prepared.absent[:NAMED]) + "; …" * (len(prepared.absent) > NAMED)
        log(f"left out {len(prepared.absent)}: {named}")
    if prepared.skipped:
        log(f"skipped {len(prepared.skipped)} bad files: {', '.join(prepared.skipped)}")
    return prepared


def _note_data(run: Run[Any], prepared: Prepared, seconds: float) -> None:
    file = run.work / "data.json"
    data = {
        "name": prepared.dataset,
        "content_hash": prepared.content_hash,
        "stand_in": prepared.stand_in,
        "description": prepared.description,
        "skipped": list(prepared.skipped),
        "sizes": dict(prepared.sizes),
    }
    if (record.found(file) or {}).get("data") != data:
        noted = {"data": data, "seconds": round(seconds, 1)}
        write_atomic(file, sealed.seal(noted, metrics_file.dumps))
    if run.raw and run.home is None and run.raw.is_dir():
        raw.remember(run.study.name, prepared.dataset, run.raw)


def _check_trained(run: Run[Any], prepared: Prepared) -> None:
    """Raise `InputError` where a network of the run is not trained."""
    for training in units.trainings(run, prepared):
        if not training.is_done():
            unit = training.unit
            raise _undone(run, f"{unit.network} of seed {unit.seed}", "train")


def render(run: Run[Any], prepared: Prepared) -> Path:
    """Build the results folder of a run from the evaluations of its seeds."""
    for number in run.seeds:
        if not Evaluating(run, prepared, number).is_done():
            raise _undone(run, f"seed {number}", "evaluate")
    on_primary(lambda: _build(run, prepared))
    return run.out


def _build(run: Run[Any], prepared: Prepared) -> None:
    data = record.read(run.work / "data.json")
    stages: dict[str, Any] = {"prepare": {"seconds": data["seconds"]}, "seeds": {}}
    metrics = {}
    for seed in run.seeds:
        folder = run.seed_folder(seed)
        metrics[seed] = json.loads((folder / "metrics.json").read_text())
        stages["seeds"][str(seed)] = {
            "train": {
                unit.network: record.read(unit.folder / units.DONE)
                for unit in run.units(prepared, seed)
            },
            **Evaluating(run, prepared, seed).records(),
        }
    described = manifest.build(run, data["data"], stages)
    samples = run.seed_folder(run.seeds[0]) / "samples.npz"
    draw.build(run.out, run.study, described, metrics, samples)


def _undone(run: Run[Any], what: str, stage: Stage) -> InputError:
    return InputError(
        f"{what} of {run.study.name} {run.experiment.name} has not been through --stage {stage}, "
        "or not on this data; run it first"
    )
