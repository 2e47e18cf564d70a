"""Early stopping and learning rates that fall on a plateau, as pure state.

Both follow one value a validation; `update` returns the state after it. `dataclasses.asdict`
gives what a checkpoint keeps (it is JSON) and the class called with it, `Plateau(**saved)`, the
state again.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, SupportsFloat

Mode = Literal["min", "max"]


def _better(value: float, best: float | None, mode: Mode, margin: float) -> bool:
    """Return whether `value` beats `best` by more than `margin`; NaN never does."""
    if best is None:
        return not math.isnan(value)
    return value < best - margin if mode == "min" else value > best + margin


@dataclass(frozen=True)
class EarlyStop:
    """Stop after `patience` validations in a row without a new best, as Keras's EarlyStopping.

    `threshold` (its min_delta) is the least change that counts, in the value's own units.
    """

    patience: int
    mode: Mode = "min"
    threshold: float = 0.0
    best: float | None = None
    waited: int = 0  # validations since the best

    def update(self, value: SupportsFloat) -> EarlyStop:
        """Return the state after a validation that gave `value`."""
        value = float(value)
        if _better(value, self.best, self.mode, self.threshold):
            return dataclasses.replace(self, best=value, waited=0)
        return dataclasses.replace(self, waited=self.waited + 1)

    @property
    def improved(self) -> bool:
        """Whether the last validation was the best so far."""
        return self.best is not None and self.waited == 0

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= max(self.patience, 1)


@dataclass(frozen=True)
class Plateau:
    """A learning rate that falls where the value no longer improves.

    The defaults are those of torch.optim.lr_scheduler.ReduceLROnPlateau, which it follows: more
    than `patience` validations in a row that are not better than the best by `threshold`, as a
    share of the best, multiply the rate by `factor` down to `min_rate`. (Left out: cooldown, and
    that torch makes no cut below 1e-8.) `Plateau.keras` counts as Keras does.
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    min_rate: float = 0.0
    mode: Mode = "min"
    threshold: float = 1e-4
    relative: bool = True  # False: the threshold is in the value's own units
    best: float | None = None
    waited: int = 0  # validations since the best, or since the last cut

    @classmethod
    def keras(
        cls,
        rate: float,
        factor: float = 0.1,
        patience: int = 10,
        min_rate: float = 0.0,
        mode: Mode = "min",
        min_delta: float = 1e-4,
    ) -> Plateau:
        """Return a plateau that follows keras.callbacks.ReduceLROnPlateau, its defaults too.

        Keras cuts at the `patience`-th validation without a new best, torch at the one after it,
        and Keras's `min_delta` is in the value's own units.
        """
        return cls(rate, factor, max(patience, 1) - 1, min_rate, mode, min_delta, relative=False)

    def update(self, value: SupportsFloat) -> Plateau:
        """Return the state after a validation that gave `value`."""
        value = float(value)
        # torch takes the share of the signed best: the margin of a negative one is negative
        margin = self.threshold * (self.best or 0.0) if self.relative else self.threshold
        if _better(value, self.best, self.mode, margin):
            return dataclasses.replace(self, best=value, waited=0)
        if self.waited < self.patience:
            return dataclasses.replace(self, waited=self.waited + 1)
        return dataclasses.replace(
            self, rate=min(self.rate, max(self.rate * self.factor, self.min_rate)), waited=0
        )
