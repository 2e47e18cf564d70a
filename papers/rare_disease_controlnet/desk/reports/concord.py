"""Agreement on each question that readers were asked, between them and with themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from papers.rare_disease_controlnet.desk.reading.readings import Reading
from papers.rare_disease_controlnet.desk.reports.agreement import cohen, fleiss, prevalence, raw
from papers.rare_disease_controlnet.desk.reports.estimate import Estimate
from papers.rare_disease_controlnet.desk.reports.rates import MIDPOINT
from papers.rare_disease_controlnet.desk.reports.ratings import Ratings, approved

VERDICTS = {0.0: "artefacted", 1.0: "legitimate"}
SCORES = {float(score): str(score) for score in range(1, 6)}
ORIGINS = {-1.0: "real", 0.0: "undecided", 1.0: "synthetic"}


@dataclass(frozen=True)
class Concord:
    """How far readers agree on a question."""

    question: str
    weighted: bool  # by the squared distance of answers, which are ordered
    raw: float | None  # share of pairs of answers that are equal
    common: tuple[tuple[str, float], ...]  # how common each answer is
    fleiss: Estimate | None  # of all readers; None where answers are ordered
    pairs: tuple[tuple[Estimate | None, ...], ...]  # Cohen's, by reader; None: with oneself

    @property
    def mean(self) -> float | None:
        """Return the mean of Cohen's κ over pairs of readers that have one."""
        values = [one.value for row in self.pairs for one in row if one and one.value is not None]
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Repeats:
    """How far readers agree with themselves on films that they were shown twice."""

    films: int
    raw: float | None  # share of verdicts that are the same
    verdict: Estimate  # Cohen's κ
    score: Estimate  # weighted by the squared distance


def concords(table: Ratings) -> tuple[Concord, ...]:
    """Return the agreement on every question."""
    return (
        _concord("verdict", table.approved, VERDICTS),
        _concord("score", table.score, SCORES, weighted=True),
        _concord("origin", np.sign(table.origin - MIDPOINT), ORIGINS),
    )


def repeats(rows: Iterable[Reading]) -> Repeats:
    """Return how far answers to films shown again are those of the first time."""
    given: dict[tuple[int, int, bool], Reading] = {}
    for row in rows:
        given[row.reader, row.item, row.repeat] = row
    pairs = [
        (given[reader, item, False], again)
        for (reader, item, repeat), again in given.items()
        if repeat and (reader, item, False) in given
    ]
    verdicts = _twice([(approved(first), approved(again)) for first, again in pairs])
    scores = _twice([(float(first.score), float(again.score)) for first, again in pairs])
    return Repeats(
        films=len(pairs),
        raw=raw(verdicts),
        verdict=cohen(verdicts[0], verdicts[1], tuple(VERDICTS)),
        score=cohen(scores[0], scores[1], tuple(SCORES), weighted=True),
    )


def _twice(pairs: list[tuple[float, float]]) -> Float[np.ndarray, "2 n"]:
    """Return the first answers and the second ones."""
    return np.array(pairs, float).reshape(-1, 2).T


def _concord(
    question: str,
    answers: Float[np.ndarray, "readers films"],
    names: dict[float, str],
    *,
    weighted: bool = False,
) -> Concord:
    categories = tuple(names)
    common = [(name, prevalence(answers, value)) for value, name in names.items()]
    return Concord(
        question=question,
        weighted=weighted,
        raw=raw(answers),
        common=tuple((name, found) for name, found in common if found is not None),
        fleiss=None if weighted else fleiss(answers, categories),
        pairs=tuple(
            tuple(
                None if one == other else cohen(first, second, categories, weighted=weighted)
                for other, second in enumerate(answers)
            )
            for one, first in enumerate(answers)
        ),
    )
