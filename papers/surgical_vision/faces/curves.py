"""Curves that turn a value into a share or a size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

Values = Float32[np.ndarray, " n"]


def smoothstep(low: float | int, high: float | int, values: Values) -> Values:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between."""
    share = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return share * share * (3 - 2 * share)


def through(
    places: Sequence[float | int], heights: Sequence[float | int], values: Values
) -> Values:
    """Return the height at values of a line through points; it is level outside of them."""
    return np.interp(values, places, heights).astype(np.float32)
