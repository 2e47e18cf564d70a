"""The chart of an impact page: each arm's F1, a dot for every seed, as positions for a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from papers.rare_disease_controlnet.desk.release.results import called

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = (
    800.0,
    40.0,
    280.0,
    80.0,
    12.0,
    44.0,
)  # of the picture, in its units
_STEPS = (0.05, 0.1, 0.2, 0.25)  # between lines


@dataclass(frozen=True)
class Arm:
    """A row of the chart."""

    name: str
    y: float
    dots: tuple[tuple[int, float, float], ...]  # seed, place, value
    mean: float | None
    mean_x: float
    people: bool  # its films were accepted by readers


@dataclass(frozen=True)
class Chart:
    """Where everything is."""

    width: float
    height: float
    left: float  # of the dots
    right: float
    arms: tuple[Arm, ...]
    lines: tuple[tuple[float, str], ...]  # place and value
    best: str


def of(results: dict[str, Any]) -> Chart:
    """Return the chart of what was measured."""
    values = {arm: found["rare_f1"] for arm, found in results["arms"].items()}
    known = [value for some in values.values() for value in some if value is not None]
    low, high, step = _scale(known)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    arms = []
    for row, (arm, some) in enumerate(values.items()):
        pairs = zip(results["seeds"], some, strict=True)
        there = [(seed, value) for seed, value in pairs if value is not None]
        mean = sum(value for _, value in there) / len(there) if there else None
        arms.append(
            Arm(
                called(arm),
                TOP + ROW * (row + 0.5),
                tuple((seed, x(value), value) for seed, value in there),
                mean,
                LEFT if mean is None else x(mean),
                arm in ("selected", "synthetic_only", "pretrained"),
            )
        )
    count = round((high - low) / step)
    lines = [(x(low + i * step), f"{low + i * step:.2f}") for i in range(count + 1)]
    height = TOP + ROW * len(arms) + BOTTOM
    ends = (LEFT, WIDTH - RIGHT)
    return Chart(WIDTH, height, *ends, tuple(arms), tuple(lines), called(results["best"]))


def _scale(values: list[float]) -> tuple[float, float, float]:
    """Return ends that hold all values, and a step that divides them into few parts."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = next((one for one in _STEPS if (high - low) / one <= 6), _STEPS[-1])
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return first * step, last * step, step
