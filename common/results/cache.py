"""Arrays that are computed once for each key: kept beside what they were computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.training.processes import broadcast_from_primary, on_primary

_NAME = ".name"  # of the file, among its arrays


def cached(
    folder: Path, name: str, key: str, make: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the arrays kept in ``folder/name-key.npz``, made by `make` unless they are there.

    The key must be a digest of all that the arrays depend on. A file that cannot be read is made
    again. Every process of a run calls this, and the first one writes.
    """
    path = folder / f"{name}-{key}.npz"
    if not broadcast_from_primary(lambda: _read(path) is not None):
        arrays = make()
        on_primary(lambda: save_arrays(path, {**arrays, _NAME: np.array(path.name)}))
    found = _read(path)
    assert found is not None
    return found


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of a file, None where it is damaged, or another one under its name."""
    try:
        arrays = load_arrays(path)
    except (InputError, OSError):
        return None
    return arrays if str(arrays.pop(_NAME, "")) == path.name else None
