"""Regenerating committed results in a scratch folder and naming what differs."""

import dataclasses
import fnmatch
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common import paths
from common.pipeline import draw as render
from common.pipeline import stages
from common.pipeline.plan import RawNeededError, plan
from common.results import folder as results
from common.results import manifest as manifests
from common.results import metrics_file
from common.study import experiment as experiments
from common.study.experiment import Tolerance
from common.study.protocol import Run

PIXEL_TOLERANCE = 0.01  # mean absolute difference of a figure elsewhere, pictures in [0, 1]


@dataclasses.dataclass(frozen=True)
class Verification:
    """What was regenerated, how strictly it was compared, and what differs."""

    study: str
    experiment: str
    level: Literal["all", "render"]
    exact: bool  # same platform: bytes must be equal
    note: str
    differences: tuple[str, ...]


def verify(
    study: str,
    experiment: str = experiments.DEFAULT,
    stage: Literal["all", "render"] = "all",
    raw: Path | None = None,
) -> Verification:
    """Regenerate the committed results of an experiment and compare.

    Tables and figures are drawn again from the committed metrics; with `stage` "all", data,
    training and evaluation are done again too, and give metrics and samples to compare. On the
    platform of the committed results everything must be equal to the bit; elsewhere metrics must
    lie within the experiment's tolerances, and figures must look the same.

    Raises:
        InputError: there are no committed results, or the experiment's file is not valid.
    """
    committed = results.folder(study, experiment)
    before = results.manifest(committed)
    others = _others(before["platform"])
    exact = not others
    note = "" if exact else f"another platform: {others}"
    paths.home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=paths.home()) as name:
        scratch = Path(name)
        drawn = render.render(study, committed, scratch / "drawn")
        differences = compare_drawings(committed, drawn, exact)
        run = None
        if stage == "all":
            try:
                seeds = tuple(before["seeds"])
                run = plan(
                    study, experiment, raw=raw, seeds=seeds, home=scratch, out=scratch / "out"
                )
            except RawNeededError as error:
                note = f"{error}; only tables and figures were verified. {note}".strip()
            if run and run.raw and not run.raw.is_dir():
                note = f"{run.raw} is gone; only tables and figures were verified. {note}".strip()
                run = None
        if run:
            stages.execute(run)
            differences += compare_runs(committed, run, exact)
    level: Literal["all", "render"] = "all" if run else "render"
    return Verification(study, experiment, level, exact, note, tuple(differences))


def compare_drawings(committed: Path, drawn: Path, exact: bool) -> list[str]:
    """Name the tables and figures that differ, that are missing, or that are not committed."""
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
            if exact or name.suffix != ".png" or not _alike(committed / name, drawn / name):
                found.append(f"{name}: differs")
    return found


def compare_runs(committed: Path, run: Run, exact: bool) -> list[str]:
    """Name what differs between committed results and a finished run: config, data, metrics."""
    before, after = results.manifest(committed), results.manifest(run.out)
    found = []
    for part in ("config", "dataset", "seeds"):
        old, new = (metrics_file.flatten({part: manifest[part]}) for manifest in (before, after))
        changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        found += [f"manifest.json: {n}: {old.get(n)} committed, {new.get(n)} now" for n in changed]
    metrics = [json.loads((f / "metrics.json").read_text()) for f in (committed, run.out)]
    tolerances = () if exact else run.experiment.verify
    found += compare_metrics(metrics[0], metrics[1], tolerances)
    if exact:
        found += _compare_arrays(committed / "samples.npz", run.out / "samples.npz")
    return found


def compare_metrics(
    committed: dict[str, Any], fresh: dict[str, Any], tolerances: Sequence[Tolerance]
) -> list[str]:
    """Name every metric that lies further off than the first tolerance whose pattern fits it.

    Args:
        committed: content of the committed ``metrics.json``.
        fresh: content of the regenerated one.
        tolerances: patterns of paths inside a seed; a metric that none fits must be equal.
    """
    found = []
    for seed in sorted({*committed["seeds"], *fresh["seeds"]}, key=int):
        old, new = (
            metrics_file.flatten(content["seeds"].get(seed, {})) for content in (committed, fresh)
        )
        for name in sorted({*old, *new}):
            a, b = old.get(name, "absent"), new.get(name, "absent")
            if a != b and not _near(a, b, name, tolerances):
                found.append(f"metrics.json: seed {seed}: {name}: {a} committed, {b} now")
    return found


def _near(a: Any, b: Any, name: str, tolerances: Sequence[Tolerance]) -> bool:
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return False
    for tolerance in tolerances:
        if fnmatch.fnmatchcase(name, tolerance.pattern):
            return abs(a - b) <= tolerance.absolute + tolerance.relative * abs(a)
    return False


def _compare_arrays(committed: Path, fresh: Path) -> list[str]:
    if not committed.exists():
        return ["samples.npz: not committed"]
    with np.load(committed) as old, np.load(fresh) as new:
        names = sorted({*old.files, *new.files})
        return [
            f"samples.npz: {name}: differs"
            for name in names
            if name not in old.files
            or name not in new.files
            or not np.array_equal(old[name], new[name])
        ]


def _alike(first: Path, second: Path) -> bool:
    from matplotlib import image

    try:
        a, b = image.imread(first), image.imread(second)
    except (OSError, SyntaxError, ValueError):  # Pillow's ways to say: no picture
        return False
    return a.shape == b.shape and float(np.abs(a - b).mean()) <= PIXEL_TOLERANCE


def _others(before: dict[str, Any]) -> str:
    """Name what of the platform is not as it was; a package that was not needed then is not."""
    now = metrics_file.flatten(manifests.platform())
    then = metrics_file.flatten(before)
    names = [name for name in sorted({*now, *then}) if name in then or "versions." not in name]
    return "; ".join(
        f"{name} {now.get(name)}, results made with {then.get(name)}"
        for name in names
        if now.get(name) != then.get(name)
    )
