"""Building a results folder: its files, then the tables and figures drawn from them."""

import shutil
import tempfile
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
    into: Path,
    study: Study[Any],
    description: Mapping[str, Any],
    metrics: Mapping[int, Any],
    samples: Path | None,
) -> None:
    """Write a whole results folder at `into`, tables and figures included.

    Args:
        into: a folder that nobody reads; it is made anew.
        study: the study.
        description: the manifest.
        metrics: metrics of every seed.
        samples: arrays of the first seed, if there are any.
    """
    shutil.rmtree(into, ignore_errors=True)  # what a killed process may have left
    into.mkdir(parents=True)
    seeds = {str(seed): values for seed, values in metrics.items()}
    write_atomic(into / "metrics.json", metrics_file.dumps({"seeds": seeds}))
    write_atomic(into / "manifest.json", metrics_file.dumps(description))
    if samples is not None:
        shutil.copyfile(samples, into / "samples.npz")
    draw(into, study)


def draw(folder: Path, study: Study[Any]) -> None:
    """Write tables and figures of a results folder from its other files."""
    for name in results.FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    study.render(folder)
    write_tables(compare.compare(study, folder), folder / "tables")


def render(study: Study[Any], folder: Path, out: Path | None = None) -> Path:
    """Draw tables and figures again from a results folder's metrics; return where they are."""
    results.manifest(folder)
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary) / "results"
        built.mkdir()
        for name in (*results.FILES, "manifest.json"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, built / name)
        draw(built, study)
        results.install(built, out or folder)
    return out or folder
