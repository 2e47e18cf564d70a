"""A results folder: ``metrics.json``, ``manifest.json``, ``samples.npz``, ``tables``, ``figures``.

A folder without ``manifest.json`` is no result: that file is taken away first and written last.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import write_atomic

FILES = ("metrics.json", "samples.npz")
FOLDERS = ("tables", "figures")


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
    """Read the files of a results folder."""
    seeds = json.loads((results / "metrics.json").read_text())["seeds"]
    with np.load(results / "samples.npz") as archive:
        return Contents(seeds, manifest(results), dict(archive))


def manifest(results: Path) -> dict[str, Any]:
    """Read the manifest of a results folder.

    Raises:
        InputError: it holds no finished results.
    """
    try:
        return json.loads((results / "manifest.json").read_text())
    except FileNotFoundError:
        raise InputError(f"{results}: no results here; run replicate first") from None


def install(built: Path, out: Path) -> None:
    """Move finished results from `built` to `out`, whose manifest vanishes first and comes last."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    for path in sorted(built.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            write_atomic(out / path.relative_to(built), path.read_bytes())
    write_atomic(out / "manifest.json", (built / "manifest.json").read_bytes())
    shutil.rmtree(built)
