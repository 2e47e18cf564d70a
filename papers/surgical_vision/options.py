"""What users choose when a model simulates an operation on their photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from common.study.options import About
from common.study.schema import Bounds, Length, Seed

Strength = Annotated[float, Bounds(0, 1, open=True)]


@dataclass(frozen=True)
class Options:
    """Which model, what it is to operate, and how much."""

    model: Annotated[str, About("by default stargan, or else the first that was trained")] = ""
    domains: Annotated[
        tuple[str, ...], About("of eyes, nose, chin; nose+chin is both at once; by default each")
    ] = ()
    strengths: Annotated[
        tuple[Strength, ...], Length(1), About("above 0 to 1; below 1 with a StarGAN only")
    ] = (1.0,)
    seed: Annotated[Seed, About("of what a model draws at random")] = 0
