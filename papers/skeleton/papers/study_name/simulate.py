"""Simulated images: noise, and a bright spot in every second one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from papers.study_name.scan import Scan

GRAY, NOISE = 100.0, 20.0  # mean of all pixels, and their standard deviation
PEAK = 60.0  # how much brighter a spot is in its middle
WIDTH = 1.5  # pixels: standard deviation of a spot's profile
EDGE = 3.0  # pixels: a spot's middle is at least so far inside
IMAGES = 2  # of each patient


def cohort(count: int, seed: int, size: int) -> list[Scan]:
    """Return so many images of `size` by `size` pixels, two of each patient."""
    draw = np.random.RandomState(seed)  # a stream that NumPy has frozen
    return [_scan(index, draw, size) for index in range(count)]


def _scan(index: int, draw: np.random.RandomState, size: int) -> Scan:
    noise, place = draw.normal(size=(size, size)), draw.uniform(EDGE, size - 1 - EDGE, 2)
    label = index % 2
    image = GRAY + NOISE * noise + label * PEAK * spot(size, place)
    whole = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    return Scan(f"image{index:05d}", f"patient{index // IMAGES:05d}", whole, label)


def spot(size: int, place: Float[np.ndarray, 2]) -> Float[np.ndarray, "size size"]:
    """Return a round spot, 1 in its middle; `place` is its row and column."""
    rows, columns = np.ogrid[:size, :size]
    squared = (rows - place[0]) ** 2 + (columns - place[1]) ** 2
    return np.exp(-squared / (2 * WIDTH**2))
