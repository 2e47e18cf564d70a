"""A training whose numbers stop being finite ends there, and says where it can resume from."""

import math
from pathlib import Path
from typing import Protocol, SupportsFloat, runtime_checkable

from common.errors import UserError


class Diverged(UserError):
    """Training that diverged: `step`, and `last_good`, the last checkpoint's folder or None."""

    status = 3

    def __init__(self, step: int, last_good: Path | None, what: str = "the loss is not finite"):
        self.step, self.last_good = step, last_good
        good = f"last good checkpoint: {last_good}" if last_good else "no checkpoint before it"
        super().__init__(
            f"training diverged: {what} at step {step}; {good}; "
            "lower the learning rate or compute in float32"
        )


@runtime_checkable
class LastGood(Protocol):
    """What knows the last checkpoint, as `Checkpoints` does; it saves none that is not finite."""

    def last_good(self) -> Path | None:
        """Return the folder of the newest checkpoint, None where there is none."""
        ...


def check_finite(step: int, loss: SupportsFloat, checkpoints: LastGood) -> None:
    """Raise `Diverged` where the loss after `step` steps is NaN or infinite."""
    if not math.isfinite(float(loss)):
        raise Diverged(step, checkpoints.last_good(), f"the loss is {float(loss)}")
