"""What every side of the benchmarks of latent diffusion does alike; imports NumPy alone."""

import math
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

RANK, ALPHA, RATE, DECAY = 4, 32.0, 1e-4, 1e-2  # of the adaptation and its optimizer
DRAWN: dict[str, Any] = {"prompt": "chest x-ray", "negative": "", "steps": 20, "scale": 7.5}
ADAPTED = 0.01  # how small the adaptation's second matrix is


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 weights of the tensor that diffusers calls `name`, in PyTorch's layout.

    A function of name and shape alone, so that no side hands gigabytes to another. Matrices and
    kernels are uniform of variance 1 / fan_in, norms' weights around 1, biases around 0.
    """
    random = np.random.Generator(np.random.SFC64(zlib.crc32(name.encode())))
    values = random.random(shape, np.float32)
    values -= 0.5
    values *= math.sqrt(12 / math.prod(shape[1:])) if len(shape) > 1 else 0.4
    if len(shape) == 1 and name.endswith("weight"):
        values += 1
    return values


def lora_weights(layer: str, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices [rank, inputs] and [outputs, rank] of an adapted layer."""
    down = weight(f"{layer}.lora_A", (RANK, inputs))
    return down, ADAPTED * weight(f"{layer}.lora_B", (outputs, RANK))


def recorded(
    runs: Mapping[str, Callable[[], np.ndarray]], prefix: Path
) -> dict[str, Callable[[], float]]:
    """Return what `answering.answer` does: each run, and after it "save NAME".

    A run's value is the mean magnitude of what it computed; saving writes that as `prefix`-NAME.npy
    outside of the time that is measured.
    """
    latest: dict[str, np.ndarray] = {}

    def done(name: str) -> float:
        latest[name] = runs[name]()
        return float(np.abs(latest[name]).mean())

    def save(name: str) -> float:
        np.save(f"{prefix}-{name}.npy", latest[name])
        return 0.0

    actions: dict[str, Callable[[], float]] = {}
    for name in runs:
        actions[name] = partial(done, name)
        actions[f"save {name}"] = partial(save, name)
    return actions


def difference(folder: Path, name: str, ours: str = "jax", theirs: str = "torch") -> float:
    """Return how far what two sides saved under `name` lies apart, as a share of theirs.

    The norm of the difference by the norm of theirs.
    """
    a, b = (np.load(folder / f"{s}-{name}.npy").astype(np.float64) for s in (ours, theirs))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
