"""A results folder: ``metrics.json``, ``manifest.json``, ``samples.npz``, ``tables``, ``figures``.

A folder without ``manifest.json`` is no result.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import files, outputs
from common.errors import InputError
from common.files import write_atomic
from common.locks import LOCK, passing_lock
from common.results import metrics_file
from common.structured import read_json, require

FILES = ("metrics.json", "samples.npz")
FOLDERS = ("tables", "figures")
AGAIN = "run replicate again, or take the file from the commit"
_MANIFEST = {  # what is read of it
    **dict.fromkeys(("study", "experiment", "scale", "title"), str),
    "seeds": [int],
    "config": dict,
    "differences": [{"field": str, "published": object, "ours": object}],
    "dataset": {"name": str, "description": str, "stand_in": bool},
    "code": {"commit": object},
    "platform": {"versions": dict},
}
COMING, COME = ".coming", ".come"  # results on their way into a folder, in part and all of them
OWN = (COMING, LOCK)  # what a killed process may leave where no results are yet


def committed(study: Path) -> list[Path]:
    """Return the folders of the committed results in a study's folder, sorted."""
    return sorted(file.parent for file in (study / "results").glob("*/manifest.json"))


@dataclass(frozen=True)
class Contents:
    """What tables and figures are drawn from."""

    seeds: dict[str, dict[str, Any]]  # metrics by seed
    manifest: dict[str, Any]
    samples: dict[str, np.ndarray]

    @property
    def note(self) -> str:
        """What the data is, with the word stand-in where it is one."""
        dataset = self.manifest["dataset"]
        return "Stand-in data: " * dataset["stand_in"] + dataset["description"]


def contents(results: Path) -> Contents:
    """Read the files of a results folder.

    Raises:
        InputError: one is damaged, or not there.
    """
    about, seeds = manifest(results), metrics_file.read(results / "metrics.json")
    try:
        return Contents(seeds, about, files.load_arrays(results / "samples.npz"))
    except InputError as damage:
        raise InputError(f"{damage}; {AGAIN}") from None


def manifest(results: Path) -> dict[str, Any]:
    """Read the manifest of a results folder.

    Raises:
        InputError: it holds no finished results, or their manifest is damaged.
    """
    _recover(results)
    file = results / "manifest.json"
    if not file.exists():
        raise InputError(f"{results}: no results here; run replicate first")
    content = read_json(file, AGAIN)
    require(content, _MANIFEST, str(file))
    return content


def check_out(out: Path, study: str, experiment: str) -> None:
    """Raise `InputError` unless results of an experiment may be written to `out`.

    That is where it is new or empty, or holds results of the same experiment, and can be written.
    """
    outputs.check(out)
    _recover(out)
    if out.is_dir() and any(path.name not in OWN for path in out.iterdir()):
        try:
            found = json.loads((out / "manifest.json").read_text())
            holds = found["study"], found["experiment"]
        except (OSError, ValueError, LookupError, TypeError):
            raise InputError(
                f"--out {out}: holds files that are no results of this program, which would be "
                "mixed up or lost; give a new or an empty folder"
            ) from None
        if holds != (study, experiment):
            raise InputError(
                f"--out {out}: holds results of {' '.join(map(str, holds))}, these are of {study} "
                f"{experiment}; give another folder"
            )


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield an empty folder; what is in it at the end of the block takes the place of results.

    Those in `out` are whole until the new ones are: they are made beside, which then takes one
    rename, and the rest can be done by whoever comes next. Tables and figures that the old
    manifest names and the new ones do not have are removed, all other files stay. Processes that
    write to `out` take turns.
    """
    out.mkdir(parents=True, exist_ok=True)
    with held(out):
        coming = out / COMING
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir()
        try:
            yield coming
            for path in _files(coming):
                _sync(coming / path)
            os.replace(coming, out / COME)
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        _finish(out)


@contextlib.contextmanager
def held(results: Path) -> Iterator[None]:
    """Wait until nobody else writes results there, and keep others from it in the block."""
    with passing_lock(results):
        _finish(results)
        yield


def drawn(results: Path) -> list[str]:
    """Return the names of the tables and figures in a results folder, sorted."""
    return sorted(name.as_posix() for name in _files(results) if name.parts[0] in FOLDERS)


def _recover(out: Path) -> None:
    """Put results into their places that are all there, where a process ended before it could."""
    if (out / COME).is_dir():
        with held(out):
            pass


def _finish(out: Path) -> None:
    come = out / COME
    if not come.is_dir():
        return
    new = _files(come)
    for name in _drawn_before(out):
        if name not in new and name.parts[:1] in {(folder,) for folder in FOLDERS}:
            (out / name).unlink(missing_ok=True)
    for path in sorted(new, key=lambda path: path == Path("manifest.json")):
        write_atomic(out / path, (come / path).read_bytes())
    shutil.rmtree(out / COMING, ignore_errors=True)
    os.replace(come, out / COMING)  # which is none any more
    shutil.rmtree(out / COMING)


def _drawn_before(out: Path) -> list[Path]:
    try:
        named = json.loads((out / "manifest.json").read_text())["drawn"]
        return [Path(name) for name in named if ".." not in Path(name).parts]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
