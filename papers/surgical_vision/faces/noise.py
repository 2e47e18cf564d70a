"""Fixed noise that surfaces read: the same for all faces, at another place for each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

SIDE = 512  # cells of a tile, which repeats

Values = Float32[np.ndarray, " n"]


@lru_cache
def tile(tall: float, wide: float) -> Float32[np.ndarray, "side side"]:
    """Return a tile of noise with mean 0 and variance 1, smooth over so many cells."""
    white = np.random.default_rng([7, SIDE]).standard_normal((SIDE, SIDE))
    smooth = ndimage.gaussian_filter(white, (tall, wide), mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def read(
    down: Values, right: Values, tall: float | int, wide: float | int, offset: int = 0
) -> Values:
    """Return noise at places given in cells, moved by an offset that a patient owns."""
    cells = tile(float(tall), float(wide))
    row = (np.floor(down).astype(np.int64) + offset * 131) % SIDE
    column = (np.floor(right).astype(np.int64) + offset * 71) % SIDE
    return cells[row, column]
