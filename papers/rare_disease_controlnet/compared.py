"""Classifiers beside each other: the arms by name, and what each gains over the best without films.

All is taken inside a seed, from the metrics of the seeds: `classifiers.<arm>_<real rare films>`,
with `_dose_<films>` where an arm has fewer synthetic films than there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.claims import values
from common.report.verdicts import student

Seeds = Sequence[dict[str, Any]]
ARMS = {  # in the order in which they are shown
    "real": "real",
    "augmented": "real, augmented",
    "unselected": "+ synthetic, unselected",
    "selected": "+ synthetic, selected",
    "synthetic_only": "synthetic only",
    "pretrained": "synthetic, then real",
    "upper": "more real (upper bound)",
}
WITHOUT = ("real", "augmented")  # synthetic films, and with no more real ones than the others
RARE_F1 = "rare_f1"
_DOSE = "_dose_"


def main_count(seeds: Seeds) -> int:
    """Return the number of real films of the rare class at which claims are tested."""
    return int(seeds[0]["main"])


def counts(seeds: Seeds) -> list[int]:
    """Return the numbers of real films of the rare class that classifiers were trained with."""
    names = [name for name in seeds[0]["classifiers"] if _DOSE not in name]
    return sorted({int(name.rsplit("_", 1)[1]) for name in names})


def arms_at(seeds: Seeds, count: int) -> list[str]:
    """Return the arms that were trained with so many real films of the rare class."""
    return [arm for arm in ARMS if f"{arm}_{count}" in seeds[0]["classifiers"]]


def scores(seeds: Seeds, arm: str, measure: str = RARE_F1, count: int | None = None) -> list[float]:
    """Return an arm's measure for every seed, at the main count by default; NaN where absent."""
    at = main_count(seeds) if count is None else count
    return values(seeds, f"classifiers.{arm}_{at}.{measure}")


def best_without(seeds: Seeds, count: int | None = None) -> str:
    """Return the arm without synthetic films whose mean F1 of the rare class is the highest.

    The best is known after the fact, which favors it: a gain over it is a gain over either. An arm
    that is not measured in all seeds is taken first, so that nothing is said then.
    """
    at = main_count(seeds) if count is None else count
    means = {arm: float(np.mean(scores(seeds, arm, count=at))) for arm in WITHOUT
             if arm in arms_at(seeds, at)}  # fmt: skip
    return max(means, key=lambda arm: (math.isnan(means[arm]), means[arm]), default="real")


def gains(seeds: Seeds, arm: str, over: str, count: int | None = None) -> list[float]:
    """Return for every seed an arm's F1 of the rare class minus that of another arm."""
    pairs = zip(scores(seeds, arm, count=count), scores(seeds, over, count=count), strict=True)
    return [ours - theirs for ours, theirs in pairs]


def bound(per_seed: Sequence[float]) -> float:
    """Return how far the one-sided 95% confidence bound lies from the mean; NaN for one seed."""
    if len(per_seed) < 2:
        return math.nan
    spread = float(np.std(per_seed, ddof=1))
    return student(0.95, len(per_seed)) * spread / math.sqrt(len(per_seed))


def doses(seeds: Seeds) -> list[int]:
    """Return the numbers of synthetic films that were tried at the main count."""
    head = f"selected_{main_count(seeds)}{_DOSE}"
    found = [name.removeprefix(head) for name in seeds[0]["classifiers"] if name.startswith(head)]
    return sorted(int(dose) for dose in found)


def dose_scores(seeds: Seeds, dose: int, measure: str = RARE_F1) -> list[float]:
    """Return the measure of the selected arm with so many synthetic films, for every seed."""
    return values(seeds, f"classifiers.selected_{main_count(seeds)}{_DOSE}{dose}.{measure}")


def accepted_films(seeds: Seeds) -> list[float]:
    """Return how many synthetic films with the finding were accepted at the main count, by seed."""
    return values(seeds, f"reviewer.acceptance.{main_count(seeds)}.accepted")


def films_at(seeds: Seeds, dose: int) -> list[float]:
    """Return how many synthetic films a dose was in every seed: no more than were accepted."""
    return [
        min(float(dose), films) if math.isfinite(films) else math.nan
        for films in accepted_films(seeds)
    ]
