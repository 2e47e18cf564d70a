"""Everything that a report tells, computed once from what was read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from papers.rare_disease_controlnet.desk.reports import multireader, roc
from papers.rare_disease_controlnet.desk.reports.concord import Concord, Repeats, concords, repeats
from papers.rare_disease_controlnet.desk.reports.equivalence import (
    HALF,
    LEVEL_OF_TESTS,
    p_value,
    shown,
)
from papers.rare_disease_controlnet.desk.reports.estimate import Estimate, share
from papers.rare_disease_controlnet.desk.reports.parameters import correlation
from papers.rare_disease_controlnet.desk.reports.power import SIGNIFICANCE
from papers.rare_disease_controlnet.desk.reports.rates import Detection, detection
from papers.rare_disease_controlnet.desk.reports.ratings import Ratings, ratings
from papers.rare_disease_controlnet.desk.reports.source import Drawn, Source


@dataclass(frozen=True)
class OfReader:
    """What one reader did."""

    name: str
    experience: str
    films: int  # judged, each counted once
    origins: int  # of which the reader said where they are from
    to_read: int  # films shown, repeats among them
    seconds: float | None  # to the verdict, the median
    changes: int
    detection: Detection
    area: Estimate  # of the scale of origin: 0.5 is guessing
    quality: Estimate  # how often a real film has the better score: 0.5 is no difference
    approved_real: Estimate
    approved_synthetic: Estimate
    equivalence: float | None  # p-value; None where films are not half real
    repeats: Repeats
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class OfLabel:
    """How films of a label and kind were judged."""

    label: str
    kind: str
    films: int
    readings: int
    approved: Estimate
    score: float | None  # the mean


@dataclass(frozen=True)
class Contrast:
    """How much better readers of one experience tell films apart than those of another."""

    first: str
    second: str
    area: Estimate  # the difference


@dataclass(frozen=True)
class Parameter:
    """How scores go with a parameter of generation."""

    name: str
    values: tuple[float, ...]  # those that occur
    correlation: Estimate


@dataclass(frozen=True)
class Findings:
    """A report in numbers."""

    source: Source
    readers: tuple[OfReader, ...]
    area: Estimate
    accuracy: Estimate
    quality: Estimate
    approved_real: Estimate
    approved_synthetic: Estimate
    equivalent: bool | None  # None: it cannot be tested
    contrasts: tuple[Contrast, ...]
    labels: tuple[OfLabel, ...]
    scores: tuple[tuple[int, ...], tuple[int, ...]]  # readings by score, real and synthetic
    origins: tuple[tuple[int, ...], tuple[int, ...]]  # readings by answer, alike
    concords: tuple[Concord, ...]
    parameters: tuple[Parameter, ...]


@lru_cache(maxsize=16)
def findings(source: Source) -> Findings:
    """Return all that a report tells."""
    table = ratings(source.rows)
    real, synthetic = table.real, ~table.real
    readers = tuple(_of_reader(source, table, line) for line in range(len(table.readers)))
    origins = table.origin[:, synthetic], table.origin[:, real]
    return Findings(
        source=source,
        readers=readers,
        area=_alone(readers, multireader.area(origins[1], origins[0]), "area"),
        accuracy=_alone(readers, multireader.accuracy(*origins), "accuracy"),
        quality=_alone(
            readers,
            multireader.area(table.score[:, synthetic], table.score[:, real]),
            "quality",
        ),
        approved_real=_approved(table, real),
        approved_synthetic=_approved(table, synthetic),
        equivalent=_equivalent(table, readers),
        contrasts=_contrasts(table, readers),
        labels=_labels(table),
        scores=(_histogram(table.score[:, real]), _histogram(table.score[:, synthetic])),
        origins=(_histogram(origins[1]), _histogram(origins[0])),
        concords=concords(table),
        parameters=_parameters(table, source.drawn),
    )


def _of_reader(source: Source, table: Ratings, line: int) -> OfReader:
    reader = table.readers[line]
    rows = [row for row in source.rows if row.reader == reader]
    seconds = [row.seconds for row in rows if row.seconds is not None and not row.repeat]
    given = ~np.isnan(table.origin[line])
    origins, real = table.origin[line][given], table.real[given]
    scores, approved = table.score[line], table.approved[line]
    read = ~np.isnan(scores)
    told = detection(origins, real)
    return OfReader(
        name=rows[0].name,
        experience=rows[0].experience,
        films=int(read.sum()),
        origins=int(given.sum()),
        to_read=max((seat.shown for seat in source.seats if seat.reader == reader), default=0),
        seconds=float(np.median(seconds)) if seconds else None,
        changes=sum(row.changes for row in rows),
        detection=told,
        area=roc.area(origins[real], origins[~real]),
        quality=roc.area(scores[read & ~table.real], scores[read & table.real]),
        approved_real=_share(approved[read & table.real]),
        approved_synthetic=_share(approved[read & ~table.real]),
        equivalence=_p_value(told, float(real.mean()) if len(real) else 0.0),
        repeats=repeats(rows),
        curve=roc.curve(origins[real], origins[~real]) if real.any() and (~real).any() else (),
    )


def _share(values: Float[np.ndarray, " n"]) -> Estimate:
    return share(float(values.sum()), len(values))


def _p_value(told: Detection, real: float) -> float | None:
    accuracy = told.accuracy
    if accuracy.value is None or not HALF[0] <= real <= HALF[1]:
        return None
    return p_value(accuracy.value * accuracy.n, accuracy.n)


def _alone(readers: tuple[OfReader, ...], averaged: Estimate, name: str) -> Estimate:
    """Return an average over readers, or where there is one reader, what is true of that one."""
    if len(readers) != 1:
        return averaged
    only = readers[0]
    if name == "accuracy":  # means little where guessing is not right half of the time
        return averaged if only.equivalence is None else only.detection.accuracy
    found: Estimate = getattr(only, name)
    return found


def _approved(table: Ratings, kind: Bool[np.ndarray, " films"]) -> Estimate:
    """Return how often films are taken as legitimate, for readers and films like these."""
    values = table.approved[:, kind]
    if len(table.readers) == 1:
        return _share(values[~np.isnan(values)])
    return multireader.average(values, int(kind.sum()))


def _equivalent(table: Ratings, readers: tuple[OfReader, ...]) -> bool | None:
    """Return whether readers on average can't tell origins, by accuracy and by area alike."""
    synthetic, real = table.origin[:, ~table.real], table.origin[:, table.real]
    if len(readers) == 1:
        only, given = readers[0], ~np.isnan(table.origin[0])
        if only.equivalence is None:
            return None
        one, other = (table.origin[0][given & kind] for kind in (table.real, ~table.real))
        by_area = shown(roc.area(one, other, LEVEL_OF_TESTS))
        return by_area and only.equivalence < SIGNIFICANCE
    both = (
        multireader.accuracy(synthetic, real, LEVEL_OF_TESTS),
        multireader.area(real, synthetic, LEVEL_OF_TESTS),
    )
    if any(one.low is None for one in both):
        return None
    return all(shown(one) for one in both)


def _contrasts(table: Ratings, readers: tuple[OfReader, ...]) -> tuple[Contrast, ...]:
    """Return the differences between groups of at least two readers."""
    values = roc.order(table.origin[:, table.real], table.origin[:, ~table.real])
    lines: dict[str, list[int]] = {}
    for line, reader in enumerate(readers):
        if reader.experience and reader.origins:
            lines.setdefault(reader.experience, []).append(line)
    groups = [name for name, found in sorted(lines.items()) if len(found) > 1]
    return tuple(
        Contrast(one, other, multireader.difference(
            values[lines[one]], values[lines[other]], len(table.items)))
        for one, other in combinations(groups, 2)
    )  # fmt: skip


def _labels(table: Ratings) -> tuple[OfLabel, ...]:
    found = []
    for label in sorted(set(table.labels)):
        for kind, of_kind in (("real", table.real), ("synthetic", ~table.real)):
            chosen = of_kind & np.array([one == label for one in table.labels], bool)
            if chosen.any():
                scores = table.score[:, chosen]
                found.append(
                    OfLabel(
                        label=label,
                        kind=kind,
                        films=int(chosen.sum()),
                        readings=int((~np.isnan(scores)).sum()),
                        approved=_approved(table, chosen),
                        score=float(np.nanmean(scores)),
                    )
                )
    return tuple(found)


def _histogram(answers: Float[np.ndarray, "readers films"]) -> tuple[int, ...]:
    return tuple(int(np.sum(answers == answer)) for answer in range(1, 6))


def _parameters(table: Ratings, drawn: tuple[Drawn, ...]) -> tuple[Parameter, ...]:
    """Return how the mean score of a film, over readers, goes with what it was drawn with."""
    scores = {
        film: float(np.nanmean(table.score[:, place]))
        for place, film in enumerate(table.films)
        if film is not None
    }
    found = []
    for name in ("guidance", "steps", "strength"):
        values = [
            (getattr(one, name), scores[one.film])
            for one in drawn
            if one.film in scores and getattr(one, name) is not None
        ]
        pairs = np.array(values, float).reshape(-1, 2)
        different = tuple(float(one) for one in np.unique(pairs[:, 0]))
        found.append(Parameter(name, different, correlation(pairs[:, 0], pairs[:, 1])))
    return tuple(found)
