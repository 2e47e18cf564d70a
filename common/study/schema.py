"""Bounds of config fields, written in their types and checked before anything runs.

A field says what it admits in its annotation: ``epochs: Count``, ``rate: Positive``, or
``steps: Annotated[int, Bounds(1, 1000)]``. Every number has both ends, so that what no machine can
do is refused like what means nothing. What ties several fields together is a method ``check`` of
the section or of the whole config, which raises ValueError with a line about it.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

LAST_SEED = 2**32 - 1  # of all seeds: they are words of 32 bits


@dataclass(frozen=True)
class Bounds:
    """The numbers from `low` to `high`; with `open` the lower end itself is excluded."""

    low: int | float = -math.inf
    high: int | float = math.inf
    open: bool = False

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        above = value > self.low if self.open else value >= self.low
        if above and value <= self.high:
            return None
        if self.high == math.inf:
            return f"expected {'more than' if self.open else 'at least'} {_shown(self.low)}"
        low = f"{'more than' if self.open else 'from'} {_shown(self.low)}"
        return f"expected {low} to {_shown(self.high)}"


@dataclass(frozen=True)
class Most:
    """Numbers up to what a machine can do, or a study could mean."""

    high: int | float

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        return None if value <= self.high else f"expected at most {_shown(self.high)}"


@dataclass(frozen=True)
class Length:
    """Lists of at least, and at most, so many values."""

    least: int
    most: int = 64

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        if len(value) < self.least:
            return f"expected at least {self.least} values"
        return None if len(value) <= self.most else f"expected at most {self.most} values"


@dataclass(frozen=True)
class Logging:
    """Marks a field that changes no network: how often is logged, or a checkpoint written."""


@dataclass(frozen=True)
class OnlyFor:
    """Marks a field that only these of a section's data sets are read with.

    It is no part of what identifies the runs on others.
    """

    datasets: tuple[str, ...]


def _shown(number: int | float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


Count = Annotated[int, Bounds(1), Most(1_000_000)]
Whole = Annotated[int, Bounds(0), Most(1_000_000)]
Steps = Annotated[int, Bounds(1), Most(100_000_000)]  # of an optimizer
Batch = Annotated[int, Bounds(1), Most(65_536)]
Channels = Annotated[int, Bounds(1), Most(16_384)]
Layers = Annotated[int, Bounds(1), Most(64)]  # or blocks, of a network
Pixels = Annotated[int, Bounds(1), Most(4096)]  # of a side
Seed = Annotated[int, Bounds(0), Most(LAST_SEED)]
Positive = Annotated[float, Bounds(0, open=True), Most(1e12)]
NonNegative = Annotated[float, Bounds(0), Most(1e12)]
Rate = Annotated[float, Bounds(0, open=True), Most(10)]  # of learning
Share = Annotated[float, Bounds(0, 1)]
Fraction = Annotated[float, Bounds(0, 1, open=True)]
BelowOne = Annotated[float, Bounds(0, 0.999999)]
Counts = Annotated[tuple[Count, ...], Length(1, 16)]
Widths = Annotated[tuple[Channels, ...], Length(1, 12)]  # of a network's levels
Depths = Annotated[tuple[Layers, ...], Length(1, 12)]  # of the same
LogEvery = Annotated[int, Bounds(1), Most(1_000_000_000), Logging()]
CheckpointMinutes = Annotated[float, Bounds(0), Most(1_000_000), Logging()]
