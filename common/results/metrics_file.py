"""``metrics.json``: nested numbers per seed, written so that equal results are equal bytes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.structured import read_json, require

SIGNIFICANT_DIGITS = 9  # enough to tell any two float32 apart


def dumps(value: Any) -> str:
    """Return JSON with sorted keys and floats of 9 significant digits; non-finite becomes null.

    Raises:
        ValueError: a key that is no text, or a leaf that is neither number, text nor None.
    """
    return json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of every seed of a results folder's ``metrics.json``, by seed."""
    seeds = read(path)
    return [seeds[seed] for seed in sorted(seeds, key=int)]


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the metrics of a results folder's ``metrics.json``, each seed's by its number.

    Raises:
        InputError: the file is damaged, or not there.
    """
    remedy = "run replicate again, or take the file from the commit"
    content = read_json(path, remedy)
    require(content, {"seeds": dict}, str(path))
    for seed, metrics in content["seeds"].items():
        if not (seed.isascii() and seed.isdigit()):
            raise InputError(f"{path}: seed {seed!r} is no number; {remedy}")
        require(metrics, dict, f"{path}: seed {seed}")
    return content["seeds"]


def value_at(metrics: Any, path: str) -> float | None:
    """Return the number at a dotted path, NaN for null, None where there is no number.

    A key may hold a dot itself: ``guidance.7.0.fid768`` finds ``{"guidance": {"7.0": …}}``; and
    ``loss.-1`` is the last entry of a list.
    """
    if not path:
        number = isinstance(metrics, int | float) and not isinstance(metrics, bool)
        return float(metrics) if number else (math.nan if metrics is None else None)
    parts = path.split(".")
    if isinstance(metrics, list):
        index = int(parts[0]) if parts[0].lstrip("-").isdigit() else len(metrics)
        inside = -len(metrics) <= index < len(metrics)
        return value_at(metrics[index], ".".join(parts[1:])) if inside else None
    if isinstance(metrics, Mapping):
        for count in range(len(parts), 0, -1):
            key = ".".join(parts[:count])
            if key in metrics:
                return value_at(metrics[key], ".".join(parts[count:]))
    return None


def flatten(metrics: Any, prefix: str = "") -> dict[str, Any]:
    """Return ``{dotted path: leaf}`` of nested metrics, lists by index."""
    items = metrics.items() if isinstance(metrics, Mapping) else enumerate(metrics)
    flat: dict[str, Any] = {}
    for key, value in items:
        if isinstance(value, Mapping | list):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"metrics: key {wrong[0]!r} must be a text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | np.floating):
        number = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
        return number if math.isfinite(number) else None
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return _plain(value.tolist())
    raise ValueError(f"metrics: {value!r} is not a number")
