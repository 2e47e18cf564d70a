"""How far a reader is in a set, and what a page of the reading room shows of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.desk.reading.answers import Step, last_answers, step_of
from papers.rare_disease_controlnet.desk.tables import Answer, Presentation, Reader, ReadingSet


@dataclass(frozen=True)
class Place:
    """A place in a reader's order, and what is asked there."""

    token: str
    step: Step
    begun: bool  # there was an answer, though it may be taken back


@dataclass(frozen=True)
class Course:
    """A set as one reader goes through it: films one after the other, none skipped."""

    reading_set: ReadingSet
    places: tuple[Place, ...]

    @property
    def done(self) -> int:
        """How many films are answered."""
        return sum(place.step == "done" for place in self.places)

    @property
    def reach(self) -> int:
        """The last place that may be looked at: the one after those that were begun."""
        begun = [number for number, place in enumerate(self.places) if place.begun]
        beyond = begun and self.places[begun[-1]].step == "done"
        return min(max(begun, default=0) + bool(beyond), len(self.places) - 1)

    def open_after(self, place: int = -1) -> int | None:
        """Return the next place that is not done, from the start again after the end, or None."""
        count = len(self.places)
        turn = ((place + 1 + i) % count for i in range(count))
        left = (one for one in turn if self.places[one].step != "done")
        return next(left, None)


def course(session: Session, user: int, set_id: int) -> Course | None:
    """Return how a user goes through a set; None where they do not, or not yet."""
    query = (
        select(ReadingSet, Reader.id)
        .join(Reader, Reader.set_id == ReadingSet.id)
        .where(ReadingSet.id == set_id, Reader.user_id == user, ReadingSet.opened.is_not(None))
    )
    found = session.execute(query).first()
    if found is None:
        return None
    return Course(found[0], places(session, found[1]))


def places(session: Session, reader: int) -> tuple[Place, ...]:
    """Return the places of a reader in order."""
    last = last_answers().subquery()
    query = (
        select(Presentation.token, last.c.undone, last.c.origin)
        .outerjoin(last, last.c.presentation_id == Presentation.id)
        .where(Presentation.reader_id == reader)
        .order_by(Presentation.place)
    )
    return tuple(
        Place(token, step_of(undone, origin), undone is not None)
        for token, undone, origin in session.execute(query)
    )


def courses(session: Session, user: int) -> list[Course]:
    """Return all sets that a user reads or has read: those open first, then the newest."""
    query = (
        select(ReadingSet, Reader.id)
        .join(Reader, Reader.set_id == ReadingSet.id)
        .where(Reader.user_id == user, ReadingSet.opened.is_not(None))
        .order_by(ReadingSet.closed.is_not(None), ReadingSet.id.desc())
    )
    return [Course(found, places(session, reader)) for found, reader in session.execute(query)]


def last_submitted(session: Session, user: int, set_id: int) -> str | None:
    """Return the name of the film that a reader answered last and did not take back."""
    query = (
        last_answers()
        .join(Presentation, Presentation.id == Answer.presentation_id)
        .join(Reader, Reader.id == Presentation.reader_id)
        .where(Reader.set_id == set_id, Reader.user_id == user, Answer.undone.is_(False))
        .order_by(Answer.id.desc())
        .limit(1)
        .with_only_columns(Presentation.token)
    )
    found: str | None = session.scalar(query)
    return found


def progress(session: Session, set_id: int) -> dict[int, tuple[int, int]]:
    """Return for each reader how many films are answered, and of how many; no answers."""
    done = (
        last_answers()
        .where(Answer.origin.is_not(None))
        .with_only_columns(Answer.presentation_id)
        .subquery()
    )
    query = (
        select(Reader.id, func.count(done.c.presentation_id), func.count(Presentation.id))
        .join(Presentation, Presentation.reader_id == Reader.id)
        .outerjoin(done, done.c.presentation_id == Presentation.id)
        .where(Reader.set_id == set_id)
        .group_by(Reader.id)
    )
    return {reader: (answered, shown) for reader, answered, shown in session.execute(query)}
