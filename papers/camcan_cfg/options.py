"""What users choose when slices are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from common.study.options import About
from common.study.schema import LAST_SEED, Bounds, Steps
from papers.camcan_cfg.config import Scale


@dataclass(frozen=True)
class Sampling:
    """Which slices are drawn, how many, and how; lists are separated by commas."""

    age: Annotated[str, About("in years, as 25,75; by default three of those learned")] = ""
    sex: Annotated[str, About("F, M, or F,M for both")] = "F,M"
    slice: Annotated[str, About("numbers, as 40,45; by default the middle one")] = ""
    count: Annotated[int, Bounds(1, 1000), About("of slices for each age, sex and number")] = 1
    guidance: Annotated[Scale, About("how closely age, sex and number are kept; 1: as learned")] = (
        3.0
    )
    seed: Annotated[int, Bounds(0, LAST_SEED), About("of the first, the next have the next")] = 0
    steps: Annotated[Steps | None, About("of the sampler; by default the experiment's")] = None

    def check(self) -> None:
        """Raise ValueError for a last seed that is out of range."""
        if self.seed + self.count - 1 > LAST_SEED:
            raise ValueError(
                f"--seed {self.seed}: the last of {self.count} would be above {LAST_SEED}"
            )
