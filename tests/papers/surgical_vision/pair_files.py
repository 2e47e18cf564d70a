"""Pairs of images written as a user has them: random blocks, another for every name."""

import zlib
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from papers.surgical_vision.config import Config, DataConfig

SIZE = 32  # of the study


def config(**changes) -> DataConfig:
    """Return a config of small pairs."""
    return replace(Config().data, size=SIZE, **changes)


def face(name: str, height: int = 40, width: int = 40) -> np.ndarray:
    """Return an image of random blocks."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    blocks = random.integers(0, 256, (-(-height // 4), -(-width // 4), 3))
    return np.kron(blocks, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)


def write(raw: Path, name: str, after: str = ".png") -> None:
    """Write a pair, the second image with another suffix if one is given."""
    for side, suffix in (("before", ".png"), ("after", after)):
        (raw / side).mkdir(parents=True, exist_ok=True)
        imageio.imwrite(raw / side / f"{name}{suffix}", face(f"{name} {side}"))
