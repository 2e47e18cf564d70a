"""A results folder: ``metrics.json``, ``manifest.json``, ``samples.npz``, ``tables``, ``figures``.

A folder without ``manifest.json`` is no result.
"""

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import write_atomic
from common.results import metrics_file
from common.structured import read_json, require

FILES = ("metrics.json", "samples.npz")
FOLDERS = ("tables", "figures")
KINDS = (".png", ".csv", ".md")  # of files in them that are made here
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
        with np.load(results / "samples.npz", allow_pickle=False) as archive:
            return Contents(seeds, about, dict(archive))
    except FileNotFoundError:
        raise InputError(f"{results / 'samples.npz'}: missing; {AGAIN}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"{results / 'samples.npz'}: damaged; {AGAIN}") from None


def manifest(results: Path) -> dict[str, Any]:
    """Read the manifest of a results folder.

    Raises:
        InputError: it holds no finished results, or their manifest is damaged.
    """
    recover(results)
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
    if out.is_symlink() and not out.exists():
        raise InputError(f"--out {out}: is a link to nothing; choose another folder")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
    recover(out)
    if out.is_dir() and any(out.iterdir()):
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
    below = next(folder for folder in (out, *out.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=below):
            os.lstat(out)
    except FileNotFoundError:
        pass  # it is made when it is needed
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({error.strerror}); give another folder"
        ) from None


def install(built: Path, out: Path) -> None:
    """Move finished results from `built` to `out`, whose own results are whole until these are.

    They are copied beside what is there, which then takes one rename; the rest can be done by
    whoever comes next, see `recover`. Files of other kinds in the folder stay.
    """
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / COMING, ignore_errors=True)
    for path in sorted(built.rglob("*")):
        if path.is_file():
            write_atomic(out / COMING / path.relative_to(built), path.read_bytes())
    recover(out)
    os.replace(out / COMING, out / COME)
    recover(out)
    shutil.rmtree(built)


def recover(out: Path) -> None:
    """Put results into their places that are all there, where a process ended before it could."""
    come = out / COME
    if not come.is_dir():
        return
    new = {path.relative_to(come) for path in come.rglob("*") if path.is_file()}
    for name in FOLDERS:
        for old in (out / name).rglob("*"):
            if old.suffix in KINDS and old.relative_to(out) not in new:
                old.unlink()
    for path in sorted(new, key=lambda path: path == Path("manifest.json")):
        write_atomic(out / path, (come / path).read_bytes())
    os.replace(come, out / COMING)  # which is none any more
    shutil.rmtree(out / COMING)
