"""What a training changes."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import PyTree


class State(NamedTuple):
    """The state of a training: what a step takes and gives back, and a checkpoint holds.

    `params` and `opt_state` are of one network or, by name, of several that learn together (GANs).
    """

    params: PyTree
    opt_state: PyTree
    stats: PyTree = None  # moving averages of BatchNorm
    ema: Any = None  # moving average of the parameters
