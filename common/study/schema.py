"""Bounds of config fields, written in their types and checked before anything runs.

A field says what it admits in its annotation: ``epochs: Count``, ``rate: Positive``, or
``steps: Annotated[int, Bounds(1, 1000)]``. What ties several fields together is a method ``check``
of the section or of the whole config, which raises ValueError with a line about it.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any


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
            return f"expected {'more than' if self.open else 'at least'} {self.low:g}"
        return f"expected {'more than' if self.open else 'from'} {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Length:
    """Lists of at least so many values."""

    least: int

    def refusal(self, value: Any) -> str | None:
        """Return what is expected instead of `value`, None where it is admitted."""
        return None if len(value) >= self.least else f"expected at least {self.least} values"


@dataclass(frozen=True)
class Logging:
    """Marks a field that changes no network: how often is logged, or a checkpoint written."""


Count = Annotated[int, Bounds(1)]
Whole = Annotated[int, Bounds(0)]
Positive = Annotated[float, Bounds(0, open=True)]
NonNegative = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1)]
Counts = Annotated[tuple[Count, ...], Length(1)]
LogEvery = Annotated[int, Bounds(1), Logging()]
CheckpointMinutes = Annotated[float, Bounds(0), Logging()]
