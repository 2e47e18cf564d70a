"""A number with its interval: what every statistic of a report is."""

from __future__ import annotations

from dataclasses import dataclass

from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that holds it at a level of confidence, from `n` observations."""

    value: float | None  # None: it is not defined, as for no observation at all
    low: float | None
    high: float | None
    n: int

    def above(self, value: float) -> bool:
        """Return whether the whole interval is above a value."""
        return self.low is not None and self.low > value

    def below(self, value: float) -> bool:
        """Return whether the whole interval is below a value."""
        return self.high is not None and self.high < value

    def within(self, low: float, high: float) -> bool:
        """Return whether the whole interval is between two values."""
        return self.above(low) and self.below(high)


def undefined(n: int) -> Estimate:
    """Return what there is to say where a statistic is not defined."""
    return Estimate(None, None, None, n)


def share(successes: int | float, n: int, level: float = LEVEL) -> Estimate:
    """Return a share with its Wilson interval; an undecided answer may count as half a success."""
    if n == 0:
        return undefined(0)
    low, high = proportion_confint(successes, n, 1 - level, method="wilson")
    return Estimate(successes / n, max(0.0, float(low)), min(1.0, float(high)), n)


def around(value: float, half_width: float, n: int) -> Estimate:
    """Return a share with the interval around it, as far as a share can be."""
    return Estimate(value, max(0.0, value - half_width), min(1.0, value + half_width), n)
