"""How often a reader tells where a film is from, at the midpoint of the scale of origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from papers.rare_disease_controlnet.desk.reports.estimate import Estimate, share

MIDPOINT = 3.0  # of the scale from 1, surely real, to 5, surely synthetic


@dataclass(frozen=True)
class Detection:
    """How often a reader was right; an answer at the midpoint counts as half right."""

    accuracy: Estimate
    sensitivity: Estimate  # of synthetic films
    specificity: Estimate  # of real films
    undecided: int


def detection(origins: Float[np.ndarray, " n"], real: Bool[np.ndarray, " n"]) -> Detection:
    """Return how often answers on the scale of origin are right, with Wilson intervals."""
    credits = credit(origins, real)
    return Detection(
        accuracy=_share(credits),
        sensitivity=_share(credits[~real]),
        specificity=_share(credits[real]),
        undecided=int(np.sum(origins == MIDPOINT)),
    )


def credit(
    origins: Float[np.ndarray, "*any"], real: bool | Bool[np.ndarray, "*any"]
) -> Float[np.ndarray, "*any"]:
    """Return 1 for an answer that is right, 0 for one that is wrong, 1/2 at the midpoint."""
    toward_synthetic = np.sign(origins - MIDPOINT)
    return (1 + np.where(real, -toward_synthetic, toward_synthetic)) / 2


def _share(credits: Float[np.ndarray, " n"]) -> Estimate:
    return share(float(credits.sum()), len(credits))
