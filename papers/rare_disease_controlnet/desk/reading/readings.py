"""What was read: one row for each film that a reader has judged, with where the film came from.

For reports and for what follows reading, after a set is closed; readers see nothing of it before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from papers.rare_disease_controlnet.desk.reading.answers import last_answers
from papers.rare_disease_controlnet.desk.tables import (
    Answer,
    Kind,
    Presentation,
    Quality,
    Reader,
    SetItem,
    User,
)


@dataclass(frozen=True)
class Reading:
    """What a reader said of a film at last, and what the film is."""

    reader: int  # of `Reader`, not of the user
    name: str  # the reader's
    experience: str  # such as "resident"; empty where it was not said
    item: int
    kind: Kind
    label: str
    film_id: int | None  # of a synthetic film
    place: int  # in the reader's order, from 0
    repeat: bool  # the reader had seen the film before
    quality: Quality
    score: int  # 1 unusable to 5 like a good clinical film
    artefacts: tuple[str, ...]
    comment: str
    origin: int | None  # 1 surely real to 5 surely synthetic; None: the set was closed before
    seconds: float | None  # from showing the film to the verdict
    changes: int  # how often the reader took an answer back


@dataclass(frozen=True)
class Readings:
    """All readings of a set, by reader and then by place."""

    set_id: int
    rows: tuple[Reading, ...]


def readings(session: Session, set_id: int) -> Readings:
    """Return what was read of a set; films that have no answer, or none any more, are left out."""
    found = session.execute(_query(set_id))
    return Readings(set_id, tuple(_reading(row) for row in found))


def _query(set_id: int) -> Select[Any]:
    """Return the last answers of a set with their readers and films."""
    taken_back = aliased(Answer)
    changes = select(func.count()).where(
        taken_back.presentation_id == Presentation.id, taken_back.undone
    )
    return (
        last_answers()
        .join(Presentation, Presentation.id == Answer.presentation_id)
        .join(SetItem, SetItem.id == Presentation.item_id)
        .join(Reader, Reader.id == Presentation.reader_id)
        .join(User, User.id == Reader.user_id)
        .where(Reader.set_id == set_id, Answer.undone.is_(False))
        .order_by(Reader.id, Presentation.place)
        .with_only_columns(
            Reader, User.name, SetItem, Presentation, Answer, changes.scalar_subquery()
        )
    )


def _reading(row: Any) -> Reading:
    reader, name, item, shown, answer, changes = row
    return Reading(
        reader=reader.id,
        name=name,
        experience=reader.experience,
        item=item.id,
        kind=item.kind,
        label=item.label,
        film_id=item.film_id,
        place=shown.place,
        repeat=shown.repeat,
        quality=answer.quality,
        score=answer.score,
        artefacts=tuple(json.loads(answer.artefacts)),
        comment=answer.comment,
        origin=answer.origin,
        seconds=answer.seconds,
        changes=changes,
    )
