"""Sets before they are opened: real and synthetic films are chosen, and readers named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet import gray_film
from papers.rare_disease_controlnet.corpus import decisions, png
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.reading import blinding
from papers.rare_disease_controlnet.desk.tables import (
    Kind,
    Reader,
    ReadingSet,
    SetItem,
    Upload,
    User,
)

LONGEST_NAME, LONGEST_TEXT, LONGEST_LABEL = 120, 4000, 64  # characters
MOST = 2000  # films of a set
SEEDS = 2**31
READ_BY = ("reviewer", "researcher")  # roles
LARGEST = 1024  # pixels a side of a real film as it is kept


@dataclass(frozen=True)
class Real:
    """A real film that is to be added: as it was brought or found, and what it is called."""

    image: UInt8[np.ndarray, "height width"]
    label: str
    name: str


def create(
    session: Session, made_by: User, name: str, instructions: str, seed: int, repeats: float
) -> ReadingSet:
    """Return a new set without films.

    Raises:
        InputError: a name that is taken, or a value out of its range.
    """
    name = text("name", name, LONGEST_NAME)
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed {seed}: expected from 0 to {SEEDS - 1}")
    if not 0 <= repeats <= 0.5:
        raise InputError(f"repeats {100 * repeats:g} %: expected from 0 to 50 %")
    if session.scalar(select(ReadingSet.id).where(ReadingSet.name == name)) is not None:
        raise InputError(f"name {name!r}: there is a set of this name; choose another")
    made = ReadingSet(
        name=name,
        instructions=text("instructions", instructions, LONGEST_TEXT, empty=True),
        seed=seed,
        repeats=repeats,
        made_by=made_by.id,
    )
    session.add(made)
    session.flush()
    log.record(session, made_by.name, "set made", subject(made.id), {"name": name})
    return made


def subject(set_id: int) -> str:
    """Return what the log calls a set."""
    return f"set {set_id}"


def text(field: str, value: str, longest: int, *, empty: bool = False) -> str:
    """Return what was written into a field, without spaces around it.

    Raises:
        InputError: nothing where something is needed, too much, or a NUL.
    """
    value = value.strip()
    if not value and not empty:
        raise InputError(f"{field}: is empty; write something")
    if len(value) > longest or "\0" in value:
        raise InputError(
            f"{field}: {len(value)} characters, expected at most {longest} and no NUL among them"
        )
    return value


def draft(session: Session, set_id: int) -> ReadingSet:
    """Return a set that is not open yet, held so that it stays so; for a session that writes.

    Raises:
        InputError: there is none, or it was opened.
    """
    found = held(session, set_id)
    if found.opened:
        raise InputError(f"set {found.name!r}: was opened, so nothing in it changes; make another")
    return found


def held(session: Session, set_id: int) -> ReadingSet:
    """Return a set, held against others who want to open or close it.

    Raises:
        InputError: there is none.
    """
    query = select(ReadingSet).where(ReadingSet.id == set_id).with_for_update()
    found = session.scalar(query)
    if found is None:
        raise InputError(f"set {set_id}: there is no such set")
    return found


def candidates(session: Session, set_id: int) -> list[Film]:
    """Return the synthetic films that can be added: not rejected, and not in the set."""
    rejected = {film.sha256 for film in decisions.films(session, "rejected")}
    there = set(session.scalars(select(SetItem.source).where(SetItem.set_id == set_id)))
    return [film for film in decisions.films(session) if film.sha256 not in rejected | there]


def add_synthetic(
    session: Session, actor: str, set_id: int, count: int, label: str = "", job: int | None = None
) -> int:
    """Add synthetic films, drawn by lot by the set's seed; return how many.

    Args:
        session: one that writes.
        actor: who does.
        set_id: of a set that is not open.
        count: how many at most.
        label: of these alone; empty for any.
        job: of this one alone; None for any.

    Raises:
        InputError: there is no such film.
    """
    chosen = draft(session, set_id)
    films = [
        film
        for film in candidates(session, set_id)
        if label in ("", film.label) and job in (None, film.job_id)
    ]
    if not films or count < 1:
        raise InputError(
            f"synthetic films: {count} asked for, {len(films)} there that are not rejected and not "
            "in the set yet; choose another label or job, or draw some"
        )
    _check_room(session, set_id, min(count, len(films)))
    drawn = np.random.default_rng(chosen.seed).permutation(len(films))[:count]
    for film in (films[i] for i in sorted(drawn)):
        _add(session, set_id, "synthetic", film.label, film.sha256, film.id)
    log.record(session, actor, "films added", subject(set_id), {"synthetic": len(drawn)})
    return len(drawn)


def add_real(desk: Desk, actor: User, set_id: int, films: Sequence[Real]) -> int:
    """Add real films, kept at most `LARGEST` pixels a side; return how many were not there yet.

    Raises:
        InputError: the set is open, or there is no room.
    """
    kept = []
    for film in films:
        image = gray_film.square(film.image)
        image = gray_film.resized(image, LARGEST) if len(image) > LARGEST else image
        label = text("label", film.label, LONGEST_LABEL)
        kept.append((desk.store.put(png.encoded(image)), label, film.name[:200], len(image)))
    with desk.write() as session:
        draft(session, set_id)
        there = set(session.scalars(select(SetItem.source).where(SetItem.set_id == set_id)))
        new = {row[0]: row for row in kept if row[0] not in there}
        _check_room(session, set_id, len(new))
        for sha256, label, name, side in new.values():
            _add(session, set_id, "real", label, sha256, None)
            own = select(Upload.id).where(Upload.sha256 == sha256, Upload.owner == actor.id)
            if session.scalar(own) is None:
                session.add(
                    Upload(sha256=sha256, owner=actor.id, name=name, width=side, height=side)
                )
        log.record(session, actor.name, "films added", subject(set_id), {"real": len(new)})
    return len(new)


def discard(session: Session, actor: str, set_id: int) -> None:
    """Forget a set that is not open."""
    gone = draft(session, set_id)
    for table in (SetItem, Reader):
        session.execute(delete(table).where(table.set_id == set_id))
    session.delete(gone)
    log.record(session, actor, "set discarded", subject(set_id), {"name": gone.name})


def remove_item(session: Session, set_id: int, item: int) -> None:
    """Take a film out of a set that is not open."""
    draft(session, set_id)
    session.execute(delete(SetItem).where(SetItem.set_id == set_id, SetItem.id == item))


def add_reader(session: Session, actor: str, set_id: int, user: int, experience: str) -> None:
    """Name a reader, or say anew how experienced they are.

    Raises:
        InputError: nobody who may read, or somebody who knows where films come from.
    """
    draft(session, set_id)
    person = session.get(User, user)
    if person is None or person.disabled or person.role not in READ_BY:
        raise InputError("reader: no reviewer or researcher who works here; choose one of the list")
    check_blind(session, set_id, person)
    experience = text("experience", experience, LONGEST_LABEL, empty=True).lower()
    own = select(Reader).where(Reader.set_id == set_id, Reader.user_id == user)
    reader = session.scalar(own)
    if reader is None:
        session.add(Reader(set_id=set_id, user_id=user, experience=experience))
        log.record(session, actor, "reader named", subject(set_id), {"reader": person.name})
    else:
        reader.experience = experience
    session.flush()


def remove_reader(session: Session, set_id: int, reader: int) -> None:
    """Take a reader out of a set that is not open."""
    draft(session, set_id)
    session.execute(delete(Reader).where(Reader.set_id == set_id, Reader.id == reader))


def check_blind(session: Session, set_id: int, person: User) -> None:
    """Raise `InputError` where somebody knows where films of a set come from."""
    if reasons := blinding.knowing(session, set_id, person.id):
        raise InputError(
            f"reader {person.name}: {' and '.join(reasons)}, so cannot read it; choose another"
        )


def items_of(session: Session, set_id: int) -> list[SetItem]:
    """Return the films of a set, in the order they were added."""
    query = select(SetItem).where(SetItem.set_id == set_id).order_by(SetItem.id)
    return list(session.scalars(query))


def _check_room(session: Session, set_id: int, more: int) -> None:
    """Raise `InputError` where a set would have more than `MOST` films."""
    count = select(func.count()).select_from(SetItem).where(SetItem.set_id == set_id)
    there = session.scalar(count) or 0
    if there + more > MOST:
        raise InputError(f"films: {there} there and {more} more, expected at most {MOST} of a set")


def _add(
    session: Session, set_id: int, kind: Kind, label: str, source: str, film: int | None
) -> None:
    """Add a film; until the set is opened, what is shown of it is the film as it came."""
    session.add(
        SetItem(set_id=set_id, kind=kind, label=label, film_id=film, source=source, shown=source)
    )
    session.flush()
