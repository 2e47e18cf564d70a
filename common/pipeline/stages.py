"""The stages of a run, each from the files of the one before: prepare, train, evaluate, render.

A run's work folder holds ``data.json`` (what was prepared) and for every seed
``seed_<n>/trained.json``, ``evaluated.json`` (time, memory, code and platform of the stage),
``metrics.json`` and ``samples.npz``. A seed whose file is there is not done again.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from common.errors import InputError
from common.files import write_atomic
from common.pipeline import draw as render
from common.pipeline import lock
from common.results import folder as results
from common.results import manifest, metrics_file
from common.study import raw
from common.study.protocol import Prepared, Run
from common.training.processes import agreed, barrier, primary
from papers import studies

Stage = Literal["all", "prepare", "train", "evaluate", "render"]


def execute(run: Run, stage: Stage = "all") -> Path | None:
    """Run one stage, or all; return the results folder if it was written.

    Several processes (``jax.distributed``) may run this together on a shared file system: all of
    them train and evaluate, the first one writes.

    Raises:
        InputError: the user's data or files are not as they must be.
    """
    study = studies.load(run.study)
    with _alone(run.work):
        if stage == "render":
            return _render(run)
        prepared = prepare(run)
        if stage in ("all", "train"):
            _each_seed(run, "train", "trained.json", lambda seed: study.train(run, prepared, seed))
        if stage in ("all", "evaluate"):
            _require(run, "trained.json", "train")
            _each_seed(
                run,
                "evaluate",
                "evaluated.json",
                lambda seed: _evaluate(run, study, prepared, seed),
            )
        return _render(run) if stage == "all" else None


def prepare(run: Run) -> Prepared:
    """Prepare the data of a run, or find it prepared; check that its seeds were made from it."""
    study, start = studies.load(run.study), time.perf_counter()
    if not run.data_folder.exists():
        _say("prepare data")
    if primary():
        with lock.hold(run.data_folder.with_name(f".{run.data_folder.name}")):
            study.prepare(run)
    barrier("prepared")
    prepared: Prepared = study.prepare(run)
    if primary():
        _check_data(run, prepared, time.perf_counter() - start)
        if run.raw and run.home is None and run.raw.is_dir():
            raw.remember(run.study, prepared.dataset, run.raw)
    barrier("checked")
    if prepared.skipped:
        _say(f"skipped {len(prepared.skipped)} bad files: {', '.join(prepared.skipped)}")
    return prepared


def _check_data(run: Run, prepared: Prepared, seconds: float) -> None:
    file = run.work / "data.json"
    data = {
        "name": prepared.dataset,
        "content_hash": prepared.content_hash,
        "stand_in": prepared.stand_in,
        "description": prepared.description,
        "skipped": list(prepared.skipped),
        "sizes": dict(prepared.sizes),
    }
    if file.exists():
        before = json.loads(file.read_text())
        if before["data"]["content_hash"] == prepared.content_hash:
            return
        if any(run.work.glob("seed_*")):
            raise InputError(
                f"{run.work}: begun on other data ({before['data']['content_hash'][:12]}, "
                f"now {prepared.content_hash[:12]}); delete this folder to begin again"
            )
    write_atomic(file, metrics_file.dumps({"data": data, "seconds": round(seconds, 1)}))


def _each_seed(run: Run, stage: str, name: str, work: Callable[[int], None]) -> None:
    for seed in run.seeds:
        file = run.seed_folder(seed) / name
        if agreed(file.exists()):
            _warn_of_other_code(run, file, f"seed {seed}: {stage}")
            continue
        _say(f"{stage} seed {seed}")
        resumed, start = file.parent.exists(), time.perf_counter()
        file.parent.mkdir(parents=True, exist_ok=True)
        work(seed)
        if primary():
            record = {
                "seconds": round(time.perf_counter() - start, 1),
                "resumed": stage == "train" and resumed,  # then: seconds since the last start
                "peak_memory_mib": manifest.peak_memory(),
                "device_peak_memory_mib": manifest.device_peak_memory(),
                "code": manifest.code(run.study),
                "platform": manifest.platform(),
            }
            write_atomic(file, metrics_file.dumps(record))
        barrier(f"{stage} {seed}")


def _evaluate(run: Run, study: Any, prepared: Prepared, seed: int) -> None:
    evaluation = study.evaluate(run, prepared, seed)
    if primary():
        results.save_arrays(run.seed_folder(seed) / "samples.npz", evaluation.arrays)
        write_atomic(run.seed_folder(seed) / "metrics.json", metrics_file.dumps(evaluation.metrics))


def _render(run: Run) -> Path:
    _require(run, "evaluated.json", "evaluate")
    if primary():
        data = json.loads((run.work / "data.json").read_text())
        stages: dict[str, Any] = {"prepare": {"seconds": data["seconds"]}, "seeds": {}}
        metrics = {}
        for seed in run.seeds:
            folder = run.seed_folder(seed)
            metrics[seed] = json.loads((folder / "metrics.json").read_text())
            stages["seeds"][str(seed)] = {
                "train": json.loads((folder / "trained.json").read_text()),
                "evaluate": json.loads((folder / "evaluated.json").read_text()),
            }
        described = manifest.build(run, data["data"], stages)
        samples = run.seed_folder(run.seeds[0]) / "samples.npz"
        built = run.work / "building"
        render.build(built, run.study, described, metrics, samples)
        results.install(built, run.out)
    barrier("rendered")
    return run.out


def _require(run: Run, name: str, stage: str) -> None:
    for seed in run.seeds:
        if not agreed((run.seed_folder(seed) / name).exists()):
            raise InputError(
                f"seed {seed} of {run.study} {run.experiment.name} has not been through "
                f"--stage {stage}; run it first"
            )


def _warn_of_other_code(run: Run, file: Path, what: str) -> None:
    if primary():
        before = json.loads(file.read_text())["code"]
        if before["source_sha256"] != manifest.code(run.study)["source_sha256"]:
            commit = (before["commit"] or "unknown")[:12]
            _say(
                f"{what} was done by other code (commit {commit}); delete {file.parent} to redo it"
            )


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    return lock.hold(folder) if primary() else contextlib.nullcontext()


def _say(line: str) -> None:
    if primary():
        print(line, file=sys.stderr, flush=True)
