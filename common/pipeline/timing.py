"""How long work takes, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 30.0  # seconds between two words on what is left


def duration(minutes: float) -> str:
    """Return about how long so many minutes are."""
    if minutes < 1:
        return f"about {60 * minutes:.0f} s"
    return f"about {minutes:.3g} min" if minutes < 120 else f"about {minutes / 60:.0f} h"


class Left:
    """How long the rest of some work takes by what was done, said now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._start = clock, clock()
        self._said, self._first = self._start, -1  # when, and how much was done before

    def tell(self, done: int, total: int) -> None:
        """Say how much is done and about how long the rest takes, if the last time was long ago."""
        now = self._clock()
        if self._first < 0:
            self._first = done
        if done == self._first or now - self._said < EVERY:
            return
        self._said = now
        from common.training.processes import log  # which imports JAX

        rest = (now - self._start) / (done - self._first) * (total - done) / 60
        log(f"{done} of {total} trainings and evaluations are done, {duration(rest)} left")
