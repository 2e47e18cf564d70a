"""Readings as matrices of readers and films, which statistics are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from papers.rare_disease_controlnet.desk.reading.readings import Reading

Value = Callable[[Reading], float | None]


@dataclass(frozen=True)
class Ratings:
    """What every reader said of every film at first sight; NaN where there is no answer."""

    readers: tuple[int, ...]
    items: tuple[int, ...]
    real: Bool[np.ndarray, " films"]
    labels: tuple[str, ...]  # of the films
    films: tuple[int | None, ...]  # of the films, those that are synthetic: their keys
    approved: Float[np.ndarray, "readers films"]  # 1 or 0
    score: Float[np.ndarray, "readers films"]
    origin: Float[np.ndarray, "readers films"]


def ratings(rows: Iterable[Reading]) -> Ratings:
    """Return the first readings of all films; what readers said of repeats is left out."""
    kept = [row for row in rows if not row.repeat]
    readers = tuple(dict.fromkeys(row.reader for row in kept))
    items = {row.item: row for row in sorted(kept, key=lambda row: row.item)}
    return Ratings(
        readers=readers,
        items=tuple(items),
        real=np.array([row.kind == "real" for row in items.values()], bool),
        labels=tuple(row.label for row in items.values()),
        films=tuple(row.film_id for row in items.values()),
        approved=_matrix(kept, readers, tuple(items), approved),
        score=_matrix(kept, readers, tuple(items), lambda row: float(row.score)),
        origin=_matrix(kept, readers, tuple(items), origin),
    )


def approved(row: Reading) -> float:
    """Return 1 for a film that a reader takes as legitimate, else 0."""
    return float(row.quality == "legitimate")


def origin(row: Reading) -> float | None:
    """Return what a reader said of a film's origin, if anything."""
    return None if row.origin is None else float(row.origin)


def _matrix(
    rows: list[Reading], readers: tuple[int, ...], items: tuple[int, ...], value: Value
) -> Float[np.ndarray, "readers films"]:
    matrix = np.full((len(readers), len(items)), np.nan)
    places = {item: place for place, item in enumerate(items)}
    lines = {reader: line for line, reader in enumerate(readers)}
    for row in rows:
        given = value(row)
        if given is not None:
            matrix[lines[row.reader], places[row.item]] = given
    return matrix
