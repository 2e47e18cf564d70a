"""What a report is made of: the readings of a set that is closed, and how its films were drawn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from string import ascii_uppercase

from fastapi import HTTPException
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.reading.readings import Reading, readings
from papers.rare_disease_controlnet.desk.tables import Presentation, Reader, ReadingSet, SetItem


@dataclass(frozen=True)
class Drawn:
    """What a synthetic film was drawn with."""

    film: int
    guidance: float
    steps: float
    strength: float | None  # None: without a ControlNet


@dataclass(frozen=True)
class Seat:
    """A reader of a set and how much there is to read, repeats among it."""

    reader: int
    shown: int


@dataclass(frozen=True)
class Source:
    """All that a report is computed from; equal sources have equal reports."""

    set_id: int
    name: str
    closed: datetime
    real: int  # films in the set
    synthetic: int
    seats: tuple[Seat, ...]
    rows: tuple[Reading, ...]
    drawn: tuple[Drawn, ...]


def source(
    session: Session, set_id: int, *, names: bool = False, only: int | None = None
) -> Source:
    """Return what was read of a set that is closed.

    Args:
        session: one that reads.
        set_id: the set's key.
        names: whether readers have their own; else they are "Reader A" and so on.
        only: the one reader whose readings are wanted; None: all readers.

    Raises:
        HTTPException: 404 for no such set, 403 for one that is not closed.
    """
    found = session.get(ReadingSet, set_id)
    if found is None:
        raise HTTPException(404, f"there is no set {set_id}")
    if found.closed is None:
        raise HTTPException(403, f"set {set_id} is not closed: its report would unblind it")
    count = select(SetItem.kind, func.count()).where(SetItem.set_id == set_id)
    found_by_kind = session.execute(count.group_by(SetItem.kind))
    kinds = {kind: int(films) for kind, films in found_by_kind}
    rows = readings(session, set_id).rows
    seats = _seats(session, set_id)
    known_as = pseudonyms(set_id, [seat.reader for seat in seats])
    if only is not None:
        rows = tuple(row for row in rows if row.reader == only)
        seats = tuple(seat for seat in seats if seat.reader == only)
    if not names:
        rows = tuple(replace(row, name=known_as[row.reader]) for row in rows)
    return Source(
        set_id=set_id,
        name=found.name,
        closed=found.closed,
        real=kinds.get("real", 0),
        synthetic=kinds.get("synthetic", 0),
        seats=seats,
        rows=tuple(sorted(rows, key=lambda row: (_in_order(row.name), row.place))),
        drawn=_drawn(session, set_id),
    )


def pseudonyms(set_id: int, readers: list[int]) -> dict[int, str]:
    """Return names that tell nothing, in an order that nothing but the set's number decides."""
    mixed = sorted(readers, key=lambda one: hashlib.sha256(f"{set_id} {one}".encode()).digest())
    return {reader: f"Reader {_letters(place)}" for place, reader in enumerate(mixed)}


def own(session: Session, set_id: int, user: int) -> int:
    """Return which reader of a set a user is.

    Raises:
        HTTPException: 404, if the user is none.
    """
    query = select(Reader.id).where(Reader.set_id == set_id, Reader.user_id == user)
    found = session.scalar(query)
    if found is None:
        raise HTTPException(404, f"you are no reader of a set {set_id}")
    return found


def _letters(place: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    before, letter = divmod(place, len(ascii_uppercase))
    return (_letters(before - 1) if before else "") + ascii_uppercase[letter]


def _in_order(name: str) -> tuple[int, str]:
    """Return a key by which Reader Z comes before Reader AA."""
    return (len(name), name) if name.startswith("Reader ") else (0, name)


def _seats(session: Session, set_id: int) -> tuple[Seat, ...]:
    query = (
        select(Reader.id, func.count(Presentation.id))
        .outerjoin(Presentation, Presentation.reader_id == Reader.id)
        .where(Reader.set_id == set_id)
        .group_by(Reader.id)
        .order_by(Reader.id)
    )
    return tuple(Seat(*row) for row in session.execute(query))


def _drawn(session: Session, set_id: int) -> tuple[Drawn, ...]:
    """Return what the synthetic films were drawn with, as their lineages tell."""
    query = (
        select(Film.id, Film.lineage)
        .join(SetItem, SetItem.film_id == Film.id)
        .where(SetItem.set_id == set_id)
        .distinct()
        .order_by(Film.id)
    )
    found = []
    for film, lineage in session.execute(query):
        spec = json.loads(lineage)["spec"]
        strength = None if spec["control"] == "none" else float(spec["strength"])
        found.append(Drawn(film, float(spec["guidance"]), float(spec["steps"]), strength))
    return tuple(found)
