"""Trained networks written into the project, so that they can be used right after cloning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from common import files, outputs
from common.errors import InputError
from common.pipeline import stages, trained, units
from common.pipeline.card import card, path_of
from common.pipeline.trained import Trained, find
from common.results import metrics_file
from common.study.protocol import SHIPPED, Prepared, Run, Shipped
from common.training import network_files, network_metadata
from common.training.processes import log

MOST = 8.0  # MB of all networks of a study


@dataclass(frozen=True)
class Exported:
    """A file of networks: its size, and by how much rounding changes what they make."""

    seed: int
    file: str
    bytes: int
    networks: tuple[str, ...]
    differences: Mapping[str, float]  # the largest, by the names of the outputs


def export(
    run: Run[Any],
    seeds: Sequence[int] | None = None,
    out: Path | None = None,
    most: float = MOST,
) -> list[Exported]:
    """Write the networks of a replicated experiment, a file for each seed, with its card beside it.

    What an earlier export left in the study is replaced, and only if all is well.

    Args:
        run: whose networks and results are there.
        seeds: of it; by default its first.
        out: a folder instead of the study's own for networks that are shipped.
        most: MB that all networks in the study, or in the folder, may take.

    Raises:
        InputError: a network is not trained, the results are of other networks or not there, the
            license of the data is not said, a file is in the way, or they would be too large.
    """
    shipped, seeds = _shipped(run), tuple(seeds or run.seeds[:1])
    folder = out or run.study.shipped_networks(run.experiment.name)
    places = {seed: folder / f"seed_{seed}{network_metadata.SUFFIX}" for seed in seeds}
    if out:
        outputs.check_new(out, [*places.values(), *map(path_of, places.values())])
    _check_trained(run, seeds, out)
    prepared = stages.prepare(run)
    with TemporaryDirectory(dir=run.work) as drafts:
        made = [_draft(run, shipped, prepared, seed, Path(drafts)) for seed in seeds]
        everything = [] if out else folder.parent.glob(f"*/{SHIPPED}")
        others = [file for file in everything if file.parent != folder]
        _check_size(run, [*others, *(draft.file for draft in made)], most)
        for place, draft in zip(places.values(), made, strict=True):
            files.write_atomic(place, draft.file.read_bytes())
            files.write_atomic(path_of(place), draft.card)
    if not out:
        for stale in set(folder.glob(SHIPPED)) - set(places.values()):
            stale.unlink()
            path_of(stale).unlink(missing_ok=True)
    return [
        Exported(seed, str(place), place.stat().st_size, draft.networks, draft.differences)
        for (seed, place), draft in zip(places.items(), made, strict=True)
    ]


class _Draft(NamedTuple):
    """A file of networks that is not in its place yet, and its card."""

    file: Path
    card: str
    networks: tuple[str, ...]
    differences: Mapping[str, float]


def _draft(
    run: Run[Any], shipped: Shipped[Any], prepared: Prepared, seed: int, folder: Path
) -> _Draft:
    """Write the networks of a seed into a file in a folder."""
    found, metrics = _trained(run, prepared, seed)
    kept = shipped.networks(found.config)
    states = {name: shipped.state(found, name) for name in kept}
    trainings = {name: found.training(name) for name in kept}
    described: dict[str, Any] = {
        "study": run.study.name,
        "experiment": run.experiment.name,
        "scale": run.experiment.scale,
        "seed": seed,
        "networks": trainings,
        "config": asdict(found.config),
        "data": {
            "name": prepared.dataset,
            "title": run.dataset.title,
            "license": run.dataset.license,
            "stand_in": prepared.stand_in,
            "content_hash": prepared.content_hash,
            "parts": dict(found.parts),
        },
        "metrics": metrics,
    }
    file = folder / f"seed_{seed}{network_metadata.SUFFIX}"
    network_files.save(file, states, kept, described)  # to be compared; the card tells of it
    log(f"seed {seed}: compare the rounded networks with the trained ones")
    rounded = replace(found, source=file, folders={name: file / name for name in kept})
    differences = largest_differences(
        shipped.outputs(found, prepared, seed), shipped.outputs(rounded, prepared, seed)
    )
    text = card(run, prepared, seed, trainings, differences)
    network_files.save(file, states, kept, {"card": text, **described})
    return _Draft(file, text, tuple(kept), differences)


def largest_differences(exact: Mapping[str, Any], rounded: Mapping[str, Any]) -> dict[str, float]:
    """Return the largest absolute difference of each output.

    Raises:
        InputError: what a rounded network makes is not finite.
    """
    found = {}
    for name, values in exact.items():
        difference = np.abs(np.asarray(rounded[name], np.float64) - np.asarray(values, np.float64))
        found[name] = float(difference.max(initial=0.0))
        if not np.isfinite(found[name]):
            raise InputError(f"export: {name} is not finite in float16; these cannot be shipped")
    return found


def _trained(run: Run[Any], prepared: Prepared, seed: int) -> tuple[Trained, dict[str, Any]]:
    """Return the networks of a seed and what was measured of them, which the results must hold."""
    for unit in run.units(prepared, seed):
        if not units.is_done(unit):
            raise _undone(run, f"{unit.network} of seed {seed} is not trained, or not on this data")
    folder = run.seed_folder(seed)
    results = run.out / trained.METRICS
    if not (folder / trained.METRICS).is_file() or not results.is_file():
        raise _undone(run, f"seed {seed} is not evaluated, or {run.out} holds no results")
    metrics = json.loads((folder / trained.METRICS).read_text())
    if metrics_file.read(results).get(str(seed)) != metrics:
        raise _undone(run, f"{results} is of other networks of seed {seed} than those trained here")
    return find(folder, run.study.name, run.study.published), metrics


def _check_trained(run: Run[Any], seeds: Sequence[int], out: Path | None) -> None:
    """Raise `InputError` for seeds of no training here, and for what is not shipped."""
    if run.experiment.scale == "smoke" and not out:
        raise InputError(
            f"export {run.study.name} {run.experiment.name}: networks of a smoke run are of no use "
            "and not shipped; give --out DIR to have them elsewhere"
        )
    for seed in seeds:
        if seed not in run.seeds:
            known = ", ".join(map(str, run.seeds))
            raise InputError(f"--seeds {seed}: {run.experiment.name} has the seeds {known}")
        if not (run.seed_folder(seed) / trained.INDEX).is_file():
            raise _undone(run, f"seed {seed} is not trained")


def _shipped(run: Run[Any]) -> Shipped[Any]:
    if run.study.shipped is None:
        raise InputError(f"export {run.study.name}: this study ships no networks")
    if not run.dataset.license:
        raise InputError(
            f"export {run.study.name}: say in datasets.py under which license "
            f"{run.data.dataset!r} is; it goes with the networks"
        )
    return run.study.shipped()


def _undone(run: Run[Any], what: str) -> InputError:
    name = run.experiment.name
    return InputError(
        f"export {run.study.name} {name}: {what}; "
        f"run `just replicate {run.study.name} {name}` first, which trains nothing twice"
    )


def _check_size(run: Run[Any], networks: Sequence[Path], most: float) -> None:
    """Raise `InputError` where files of networks take more than `most` MB."""
    size = sum(file.stat().st_size for file in networks) / 1e6
    if not size <= most:  # not a number is no limit
        raise InputError(
            f"export {run.study.name} {run.experiment.name}: all networks of the study would take "
            f"{size:.1f} MB, {most:g} are allowed; choose fewer by --seeds, or allow more by --most"
        )
