"""The films of the corpus as pages show them: by state and label, with what was said of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.decisions import standing_by_file, standing_decisions
from papers.rare_disease_controlnet.corpus.tables import Decision, Film
from papers.rare_disease_controlnet.desk.release.after_reading import KIND
from papers.rare_disease_controlnet.desk.release.gate import State, is_in
from papers.rare_disease_controlnet.desk.tables import Likeness

STATES: tuple[State, ...] = get_args(State)
PAGE = 48  # films


@dataclass(frozen=True)
class Opinion:
    """What readers said of a film, counted."""

    legitimate: int = 0
    artefacted: int = 0
    score: float | None = None  # the mean of their scores

    @property
    def majority(self) -> str:
        """Return what most say, for information: the corpus's rule is that none rejects."""
        total = self.legitimate + self.artefacted
        if not total:
            return ""
        if self.legitimate == self.artefacted:
            return f"readers are divided, {self.legitimate} to {self.artefacted}"
        most, word = max((self.legitimate, "legitimate"), (self.artefacted, "artefacted"))
        return f"{most} of {total} {'reader says' if total == 1 else 'readers say'} {word}"


@dataclass(frozen=True)
class Shelf:
    """A page of films, and how many there are in all."""

    films: tuple[tuple[Film, Opinion, Likeness | None], ...]
    total: int
    pages: int


def counts(session: Session, label: str = "") -> dict[State, int]:
    """Return how many films are in each state."""
    found = [func.count().filter(is_in(state)) for state in STATES]
    row = session.execute(select(*found).select_from(Film).where(_distinct(), _of(label))).one()
    return dict(zip(STATES, row, strict=True))


def labels(session: Session) -> list[str]:
    """Return the labels that films have."""
    return list(session.scalars(select(Film.label).distinct().order_by(Film.label)))


def page_of(session: Session, state: State, label: str = "", number: int = 1) -> Shelf:
    """Return a page of the films in a state, the newest first; of equal ones the first only."""
    chosen = (_distinct(), is_in(state), _of(label))
    total = session.scalar(select(func.count()).select_from(Film).where(*chosen)) or 0
    query = select(Film).where(*chosen).order_by(Film.id.desc())
    films = session.scalars(query.offset((number - 1) * PAGE).limit(PAGE)).all()
    names = [film.sha256 for film in films]
    said = standing_by_file(session, names)
    compared = session.scalars(select(Likeness).where(Likeness.sha256.in_(names)))
    near = {one.sha256: one for one in compared}
    found = [(film, counted(said.get(film.sha256, ())), near.get(film.sha256)) for film in films]
    return Shelf(tuple(found), total, max(1, -(-total // PAGE)))


def counted(standing: Sequence[Decision]) -> Opinion:
    """Return what these decisions come to."""
    read = [one for one in standing if one.kind == KIND and one.verdict != "withdrawn"]
    verdicts = [one.verdict for one in read]
    scores = [one.score for one in read if one.score is not None]
    return Opinion(
        verdicts.count("accepted"),
        verdicts.count("rejected"),
        sum(scores) / len(scores) if scores else None,
    )


def decisions(session: Session, film: Film) -> list[Decision]:
    """Return the decisions that stand about a film and all of the same bytes, in order."""
    equal = session.scalars(select(Film.id).where(Film.sha256 == film.sha256)).all()
    return [one for key in equal for one in standing_decisions(session, key)]


def _distinct() -> ColumnElement[bool]:
    return Film.id.in_(select(func.min(Film.id)).group_by(Film.sha256))


def _of(label: str) -> ColumnElement[bool]:
    return Film.label == label if label else Film.id.is_not(None)
