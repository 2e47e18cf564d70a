"""The record of a training: one JSON line a report, and a progress line on a terminal."""

import json
import math
import os
from pathlib import Path
from typing import SupportsFloat

import jax
from tqdm import tqdm


def _length_up_to(content: bytes, step: int) -> int:
    """Return how many bytes of whole lines come before the first one past `step`."""
    length = 0
    for line in content.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, KeyError, TypeError):
            break
        length += len(line)
    return length


def read_curves(path: Path, *validated: str) -> dict[str, list[float | int | None]]:
    """Return a log's `step` and `loss`, and `validation_step` with each measure of a validation.

    The latter where measures are named.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    curves = {name: [line[name] for line in lines] for name in ("step", "loss")}
    if not validated:
        return curves
    later = [line for line in lines if validated[0] in line]
    curves["validation_step"] = [line["step"] for line in later]
    return curves | {name: [line[name] for line in later] for name in validated}


class MetricWriter:
    """Writes scalars to a JSON-lines file and, on a terminal, a progress line with the time left.

    A training resumed after `start_step` steps continues the file: lines past that step, and one
    that a kill cut short, are dropped, so that the file ends byte for byte as if there had been
    no interruption. For that, report a step before the checkpoint of that step is saved. Only
    process 0 writes. A context manager.
    """

    def __init__(self, path: Path, total: int, label: str, start_step: int = 0):
        self._file = None
        if jax.process_index() == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            # at the start nothing is kept, not even a line of step 0: it will be written again
            os.truncate(path, _length_up_to(path.read_bytes(), start_step) if start_step else 0)
        self._progress = tqdm(
            desc=label,
            total=total,
            initial=start_step,
            unit="step",
            dynamic_ncols=True,
            disable=None if self._file else True,  # None: unless it is a terminal
        )

    def write(self, step: int, **scalars: SupportsFloat) -> None:
        """Add the line of `step` (steps done so far); what is not finite is written as null."""
        if self._file is None:
            return
        values = {name: float(value) for name, value in scalars.items()}
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._file.write(json.dumps({"step": int(step), **finite}).encode() + b"\n")
        self._progress.set_postfix(values, refresh=False)
        self.progress(step)

    def progress(self, step: int) -> None:
        """Move the progress line to `step` without a line in the file."""
        self._progress.update(step - self._progress.n)

    def close(self) -> None:
        """Close the file and end the progress line."""
        self._progress.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "MetricWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
