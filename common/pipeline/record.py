"""What is kept of a stage that was done: how long it took, on what, by which code."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import sealed
from common.errors import InputError
from common.files import write_atomic
from common.results import manifest, metrics_file
from common.training.processes import log, on_primary


class Stopwatch:
    """Measures a stage of the project at `root` from its making on, and notes the code it is in."""

    def __init__(self, root: Path, *functions: Callable[..., Any]) -> None:
        self._start, self._code = time.perf_counter(), manifest.code(root, *functions)

    def write(self, file: Path, more: Mapping[str, Any]) -> None:
        """Write the record of the stage; that it is there says that the stage is done."""
        record = {
            "seconds": round(time.perf_counter() - self._start, 1),
            "peak_memory_mib": manifest.peak_memory(),
            "device_peak_memory_mib": manifest.device_peak_memory(),
            "code": self._code,
            "platform": manifest.platform(),
            **more,
        }
        write_atomic(file, sealed.seal(record, metrics_file.dumps))


def read(file: Path) -> dict[str, Any]:
    """Return the record of a stage.

    Raises:
        InputError: it is damaged, or not there.
    """
    return sealed.read(file, "repeat the command, which does this again")


def found(file: Path) -> dict[str, Any] | None:
    """Return the record of a stage, None where there is none; of a damaged one, say so."""
    if not file.exists():
        return None
    try:
        return read(file)
    except InputError as damage:
        _tell(str(damage).partition(";")[0] + "; this is done again")
        return None


@functools.cache
def _tell(line: str) -> None:
    """Say a line once, however often it is met."""
    log(line)


def text(file: Path) -> str:
    """Return the record of a stage as it is written, empty where the stage is not done."""
    return file.read_text() if file.exists() else ""


def warn_of_other_code(file: Path, what: str, root: Path, *functions: Callable[..., Any]) -> None:
    """Say where a stage was done by other code than it would be done by now."""

    def compare() -> None:
        before = read(file)["code"]
        if before["source_sha256"] != manifest.code(root, *functions)["source_sha256"]:
            commit = (before["commit"] or "unknown")[:12]
            log(f"{what}: done by other code (commit {commit}); delete {file.parent} to redo it")

    on_primary(compare)
