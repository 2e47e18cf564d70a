"""Building a results folder: its files, then the tables and figures drawn from them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import write_atomic
from common.report import compare
from common.report.comparison import write_tables
from common.results import folder as results
from common.results import metrics_file
from common.study.protocol import Study


def build(
    out: Path,
    study: Study[Any],
    description: Mapping[str, Any],
    metrics: Mapping[int, Any],
    samples: Path | None,
) -> None:
    """Write a whole results folder, tables and figures included, in place of one at `out`.

    Args:
        out: a results folder, or where one is to be.
        study: the study.
        description: the manifest; in the file it also names what is drawn.
        metrics: metrics of every seed.
        samples: arrays of the first seed, if there are any.
    """
    seeds = {str(seed): values for seed, values in metrics.items()}
    with results.replacing(out) as built:
        write_atomic(built / "metrics.json", metrics_file.dumps({"seeds": seeds}))
        write_atomic(built / "manifest.json", metrics_file.dumps(description))
        if samples is not None:
            shutil.copyfile(samples, built / "samples.npz")
        _draw(built, study)
        named = {**description, "drawn": results.drawn(built)}
        write_atomic(built / "manifest.json", metrics_file.dumps(named))


def render(study: Study[Any], folder: Path, out: Path | None = None) -> Path:
    """Draw tables and figures again from a results folder's metrics; return where they are."""
    described = results.manifest(folder)
    with results.replacing(out or folder) as built:
        for name in (*results.FILES, "manifest.json"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, built / name)
        _draw(built, study)
        if "drawn" in described and described["drawn"] != (now := results.drawn(built)):
            write_atomic(built / "manifest.json", metrics_file.dumps({**described, "drawn": now}))
    return out or folder


def _draw(folder: Path, study: Study[Any]) -> None:
    """Write tables and figures of a results folder from its other files."""
    for name in results.FOLDERS:
        (folder / name).mkdir()
    study.render(folder)
    write_tables(compare.compare(study, folder), folder / "tables")
