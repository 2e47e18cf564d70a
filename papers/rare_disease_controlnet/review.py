"""The automatic reviewer: which synthetic films are worth to be learned from.

Its rule is stated, and a film must keep all of it: the finding is seen by a classifier that learned
it from films of patients that neither the engine nor the compared classifiers know; the edges of
the structure are found again; and it is no copy: its nearest training film is farther than real
films of different patients come to each other. In a study with physicians they take this place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from common.metrics.edges import edge_recall
from common.metrics.memorization import nearest_neighbors
from papers.rare_disease_controlnet.config import ReviewConfig

Films = UInt8[np.ndarray, "films height width"]
Others = UInt8[np.ndarray, "others height width"]
Scores = Float[np.ndarray, " films"]
KIND = "visible, edges kept, no copy"  # the rule's name in the corpus


@dataclass(frozen=True)
class Reviewed:
    """What the reviewer found of each film; `copies` is the distance below which it is a copy."""

    probability: Scores  # of the finding that was asked for
    edges: Scores  # share of the structure's edges that are found again
    distance: Scores  # to the nearest training film: root mean square, of 255
    copies: float
    accepted: Bool[np.ndarray, " films"]

    def reasons(self, index: int, config: ReviewConfig) -> list[str]:
        """Return why a film is not accepted: which parts of the rule it does not keep."""
        found = []
        if not self.probability[index] >= config.visible:
            found.append("finding not visible")
        if not self.edges[index] >= config.edges:
            found.append("structure not kept")
        if not self.distance[index] > self.copies:
            found.append("too near to a training film")
        return found


def review(
    config: ReviewConfig,
    films: Films,
    probability: Scores,
    edges: tuple[Films, Films],
    training: Others,
    copies: float,
) -> Reviewed:
    """Return what is found of films.

    Args:
        config: the thresholds.
        films: that were drawn.
        probability: of its finding for each, by the reviewer's classifier.
        edges: of the films, and of their structures.
        training: the films that the engine learned from.
        copies: see `copy_distance`.
    """
    found, expected = (one > 0 for one in edges)
    recall = edge_recall(found, expected)
    distance = nearest_neighbors(films / np.float32(255), training / np.float32(255)).distance
    accepted = (probability >= config.visible) & (recall >= config.edges) & (distance > copies)
    return Reviewed(probability, recall, 255 * distance, 255 * copies, accepted)


def copy_distance(config: ReviewConfig, others: Films, training: Others) -> float:
    """Return the distance below which a film is a copy: a quantile among real films.

    `others` are real films of other patients than those of the training films.
    """
    distance = nearest_neighbors(others / np.float32(255), training / np.float32(255)).distance
    return float(np.quantile(distance, config.copy))


def until_enough(draw: Callable[[int, int], Reviewed], wanted: int, tries: int) -> list[Reviewed]:
    """Return the rounds of films drawn and reviewed until `wanted` are accepted, at most `tries`.

    ``draw(first, count)`` draws and reviews films number `first` and on.
    """
    rounds: list[Reviewed] = []
    for turn in range(tries):
        rounds.append(draw(turn * wanted, wanted))
        if sum(int(one.accepted.sum()) for one in rounds) >= wanted:
            break
    return rounds
