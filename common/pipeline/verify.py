"""Regenerating committed results in a scratch folder and naming what differs."""

import dataclasses
import fnmatch
import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common import paths
from common.files import load_arrays
from common.locks import scratch_folder
from common.pipeline import draw as render
from common.pipeline import stages
from common.pipeline.plan import RawNeededError, plan
from common.results import folder as results
from common.results import manifest as manifests
from common.results import metrics_file
from common.study import experiment as experiments
from common.study.experiment import Tolerance
from common.study.protocol import Run, Study

# Largest mean absolute difference of a figure elsewhere, colors in [0, 1]. Drawn by the same
# matplotlib it is zero but for rounding. Two seeds' curves were at least 0.0023 apart, a figure
# and a blank one 0.028.
PIXEL_TOLERANCE = 0.001
TOO_SMALL = "smaller than their tolerance, only held to it"


@dataclasses.dataclass(frozen=True)
class Verification:
    """What was regenerated, how strictly it was compared, and what differs."""

    study: str
    experiment: str
    level: Literal["all", "render"]
    exact: bool  # same platform: bytes must be equal
    note: str
    differences: tuple[str, ...]
    compared: int  # numbers of metrics.json that were compared
    unjudged: Mapping[str, int]  # how many were not, by reason


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What the comparison of two ``metrics.json`` gave; see :class:`Verification`."""

    differences: tuple[str, ...] = ()
    compared: int = 0
    unjudged: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def note(self) -> str:
        """How many numbers were compared, how many were not and why."""
        total = self.compared + sum(self.unjudged.values())
        note = f"{self.compared} of {total} numbers compared"
        reasons = [f"{count} ({reason})" for reason, count in self.unjudged.items()]
        without = f"; not compared on another platform: {', '.join(reasons)}"
        return note + without * bool(reasons)


def verify(
    study: Study[Any],
    experiment: str = experiments.DEFAULT,
    stage: Literal["all", "render"] = "all",
    raw: Path | None = None,
) -> Verification:
    """Regenerate the committed results of an experiment and compare.

    Tables and figures are drawn again from the committed metrics; with `stage` "all", data,
    training and evaluation are done again too, and give metrics and samples to compare. On the
    platform of the committed results everything must be equal to the bit. Elsewhere metrics must
    lie within the experiment's tolerances, and figures must look the same if the same matplotlib
    drew them; arrays of samples are not compared.

    Raises:
        InputError: there are no committed results, or the experiment's file is not valid.
    """
    committed = study.results(experiment)
    before = results.manifest(committed)
    numbers, notes = Numbers(), []
    with scratch_folder(paths.verifications()) as scratch:
        run, reason = None, ""
        if stage == "all":
            run, reason = _again(study, experiment, raw, before["seeds"], scratch)
        if reason:
            notes.append(f"{reason}; only tables and figures were verified")
        others = _others(before["platform"], run)
        exact = not others
        if others:
            notes.append(f"another platform: {others}")
        pixels = _same_matplotlib(before["platform"])
        if not pixels:
            notes.append("figures not compared: another matplotlib draws other letters")
        drawn = render.render(study, committed, scratch / "drawn")
        differences = compare_drawings(committed, drawn, exact, pixels)
        if run:
            stages.execute(run)
            numbers = compare_runs(committed, run, exact)
            differences += numbers.differences
            notes.append(numbers.note)
            notes += [] if exact else ["arrays of samples not compared on another platform"]
    if exact and not differences:
        notes.append("every byte is equal")
    return Verification(
        study=study.name,
        experiment=experiment,
        level="all" if run else "render",
        exact=exact,
        note="; ".join(notes),
        differences=tuple(differences),
        compared=numbers.compared,
        unjudged=numbers.unjudged,
    )


def _again(
    study: Study[Any], experiment: str, raw: Path | None, seeds: Sequence[int], scratch: Path
) -> tuple[Run[Any] | None, str]:
    """Return the committed run planned in a scratch folder, or None and why it cannot be run."""
    try:
        run = plan(
            study, experiment, raw=raw, seeds=tuple(seeds), home=scratch, out=scratch / "out"
        )
    except RawNeededError as error:
        return None, str(error)
    if run.raw and not run.raw.is_dir():
        return None, f"{run.raw} is gone"
    return run, ""


def compare_drawings(committed: Path, drawn: Path, exact: bool, pixels: bool = True) -> list[str]:
    """Name the tables and figures that differ, that are missing, or that are not committed.

    Args:
        committed: a results folder.
        drawn: one whose tables and figures were drawn again.
        exact: bytes must be equal; else figures must only look the same.
        pixels: whether the looks of figures that are not equal can be compared.
    """
    found = []
    for folder in results.FOLDERS:
        ours = {path.relative_to(drawn) for path in (drawn / folder).rglob("*") if path.is_file()}
        theirs = {
            path.relative_to(committed)
            for path in (committed / folder).rglob("*")
            if path.is_file()
        }
        found += [f"{name}: not committed" for name in sorted(ours - theirs)]
        found += [f"{name}: committed, but not drawn any more" for name in sorted(theirs - ours)]
        for name in sorted(ours & theirs):
            if (committed / name).read_bytes() == (drawn / name).read_bytes():
                continue
            figure = name.suffix == ".png" and not exact
            if not figure or (pixels and not _alike(committed / name, drawn / name)):
                found.append(f"{name}: differs")
    return found


def compare_runs(committed: Path, run: Run[Any], exact: bool) -> Numbers:
    """Name what differs between committed results and a finished run: config, data, metrics."""
    before, after = results.manifest(committed), results.manifest(run.out)
    found = []
    for part in ("config", "dataset", "seeds"):
        old, new = (metrics_file.flatten({part: manifest[part]}) for manifest in (before, after))
        changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        found += [f"manifest.json: {n}: {old.get(n)} committed, {new.get(n)} now" for n in changed]
    metrics = [{"seeds": metrics_file.read(f / "metrics.json")} for f in (committed, run.out)]
    numbers = compare_metrics(metrics[0], metrics[1], () if exact else run.experiment.verify)
    found += numbers.differences
    if exact:
        found += _compare_arrays(committed / "samples.npz", run.out / "samples.npz")
    return dataclasses.replace(numbers, differences=tuple(found))


def compare_metrics(
    committed: Mapping[str, Any], fresh: Mapping[str, Any], tolerances: Sequence[Tolerance]
) -> Numbers:
    """Name every metric that lies further off than the first tolerance whose pattern fits it.

    Where there are tolerances, what is compared is a number's mean over the seeds: on another
    platform a short training of a seed is another draw, of which only the mean is the same. A
    number whose tolerance would let zero or its double pass is held to it and not counted as
    compared.

    Args:
        committed: content of the committed ``metrics.json``.
        fresh: content of the regenerated one.
        tolerances: patterns of paths inside a seed; a metric that none fits must be equal.
    """
    found: list[str] = []
    compared, unjudged = 0, Counter[str]()
    before, after = (
        {f"seed {seed}": metrics_file.flatten(values) for seed, values in content["seeds"].items()}
        for content in (committed, fresh)
    )
    if tolerances and set(before) == set(after):
        before, after = with_means(before, after), with_means(after, before)
    for of in sorted({*before, *after}):
        old, new = before.get(of, {}), after.get(of, {})
        for name in sorted({*old, *new}):
            a, b = old.get(name, "absent"), new.get(name, "absent")
            tolerance = tolerance_of(name, tolerances)
            both = name in old and name in new
            if not (both and tolerance.skip) and not _near(a, b, tolerance):
                found.append(f"metrics.json: {of}: {name}: {a} committed, {b} now")
            if tolerance.skip or (_is_number(a) and not tolerance.judges(a)):
                unjudged[tolerance.skip or TOO_SMALL] += 1
            else:
                compared += 1
    return Numbers(tuple(found), compared, dict(unjudged))


def tolerance_of(name: str, tolerances: Sequence[Tolerance]) -> Tolerance:
    """Return the first tolerance whose pattern fits a metric's path, or none at all."""
    fitting = (one for one in tolerances if fnmatch.fnmatchcase(name, one.pattern))
    return next(fitting, Tolerance(name))


def with_means(
    seeds: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the metrics with each number that all seeds of both have as its mean over them."""
    rows = [*seeds.values(), *others.values()]
    shared = {name for name in rows[0] if all(_is_number(row.get(name)) for row in rows)}
    means = {name: float(np.mean([row[name] for row in seeds.values()])) for name in shared}
    rest = {
        of: {name: value for name, value in row.items() if name not in shared}
        for of, row in seeds.items()
    }
    return {"mean": means, **rest}


def _near(a: Any, b: Any, tolerance: Tolerance) -> bool:
    if a == b or not _is_number(a) or not _is_number(b):
        return bool(a == b)
    return abs(a - b) <= tolerance.allowed(a)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _compare_arrays(committed: Path, fresh: Path) -> list[str]:
    if not committed.exists():
        return ["samples.npz: not committed"]
    old, new = load_arrays(committed), load_arrays(fresh)
    return [
        f"samples.npz: {name}: differs"
        for name in sorted({*old, *new})
        if name not in old or name not in new or not np.array_equal(old[name], new[name])
    ]


def _alike(first: Path, second: Path) -> bool:
    from matplotlib import image

    try:
        a, b = image.imread(first), image.imread(second)
    except (OSError, SyntaxError, ValueError):  # Pillow's ways to say: no image
        return False
    if a.shape != b.shape:
        return False
    colors = np.abs(a - b)[..., :3]  # opacity is the same everywhere and would halve the rest
    return float(colors.mean()) <= PIXEL_TOLERANCE


def _same_matplotlib(before: dict[str, Any]) -> bool:
    now = importlib.metadata.version("matplotlib")
    return before["versions"].get("matplotlib", now) == now


def _others(before: dict[str, Any], run: Run[Any] | None) -> str:
    """Name what of the platform is not as it was; what was not recorded then does not count.

    Neither do threads where nothing is run.
    """
    threads = {"threads": stages.threads_of(run) if run else before.get("threads")}
    now = metrics_file.flatten(manifests.platform() | threads)
    then = metrics_file.flatten(before)
    return "; ".join(
        f"{name} {now.get(name)}, results made with {value}"
        for name, value in sorted(then.items())
        if now.get(name) != value
    )
