"""What an operation does to a face: targets of its domains, times the amount drawn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

DOMAINS = ("eyes", "nose", "chin")
AMOUNT = (0.6, 1.4)  # of the changes below

# The targets of a domain, with their weights at amount 1.
CHANGES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "eyes": {
            "eyes/eye-height1-incr": 0.45,
            "eyes/eye-height2-incr": 0.55,
            "eyes/eye-height3-incr": 0.45,
            "eyes/eye-eyefold-up": 0.6,
            "eyes/eye-scale-incr": 0.4,
            "eyes/eye-epicanthus-in": 0.5,
        },
        "nose": {
            "nose/nose-width1-decr": 0.7,
            "nose/nose-width2-decr": 0.8,
            "nose/nose-width3-decr": 0.9,
            "nose/nose-nostrils-width-decr": 0.6,
            "nose/nose-point-up": 0.5,
            "nose/nose-volume-decr": 0.35,
            "nose/nose-hump-decr": 0.4,
        },
        "chin": {
            "chin/chin-width-decr": 0.9,
            "chin/chin-bones-decr": 0.8,
            "chin/chin-triangle": 0.35,
            "head/head-invertedtriangular": 0.35,
        },
    }
)


def draw(rng: np.random.Generator) -> dict[str, float]:
    """Return the amount of every domain: one or two are operated on, the others have 0."""
    count = int(rng.integers(1, 3))
    chosen = rng.permutation(len(DOMAINS))[:count]
    amounts = rng.uniform(*AMOUNT, len(DOMAINS))
    return {
        domain: float(amounts[index]) if index in chosen else 0.0
        for index, domain in enumerate(DOMAINS)
    }


def operated(
    weights: Mapping[str, float | int], amounts: Mapping[str, float | int], share: float | int = 1
) -> dict[str, float]:
    """Return a face's weights after a share of the operation: 0 leaves them, 1 is all of it."""
    changed = {name: float(weight) for name, weight in weights.items()}
    for domain, amount in amounts.items():
        for name, weight in CHANGES[domain].items():
            changed[name] = changed.get(name, 0.0) + weight * amount * share
    return changed
