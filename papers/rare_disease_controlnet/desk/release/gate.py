"""The gate before the corpus: accepted films that were compared, and are no copies.

A film is held back if it is too near to a film of a patient, whatever readers say of it, and an
accepted one also until it was compared. Snapshots are frozen here alone, and what leaves the desk
is looked at once more.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import snapshots
from papers.rare_disease_controlnet.corpus.decisions import films, holds
from papers.rare_disease_controlnet.corpus.tables import Film, Snapshot, SnapshotFilm
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.tables import Likeness

State = Literal["accepted", "undecided", "rejected", "held"]
LONGEST = 64  # characters of a snapshot's name
_SIGNS = frozenset(" ._-")  # beside letters and digits


def is_compared() -> ColumnElement[bool]:
    """Return whether a film was compared, for queries of `Film`."""
    return exists().where(Likeness.sha256 == Film.sha256)


def is_near() -> ColumnElement[bool]:
    """Return whether a film counts as a copy."""
    return exists().where(Likeness.sha256 == Film.sha256, Likeness.distance <= Likeness.threshold)


def is_free() -> ColumnElement[bool]:
    """Return whether a film was compared and is no copy."""
    return exists().where(Likeness.sha256 == Film.sha256, Likeness.distance > Likeness.threshold)


def is_in(state: State) -> ColumnElement[bool]:
    """Return whether a film is in a state; it is in one of them."""
    if state == "rejected":
        return holds("rejected")
    if state == "accepted":
        return and_(holds("accepted"), is_free())
    if state == "undecided":
        return and_(holds("undecided"), not_(is_near()))
    waiting = and_(holds("accepted"), not_(is_compared()))
    return and_(not_(holds("rejected")), or_(is_near(), waiting))


def state_of(session: Session, film: Film) -> State:
    """Return the state of a film."""
    states: tuple[State, ...] = ("rejected", "held", "accepted")
    for state in states:
        if session.scalar(select(Film.id).where(Film.id == film.id, is_in(state))) is not None:
            return state
    return "undecided"


def freeze(session: Session, name: str, actor: str) -> Snapshot:
    """Return a new snapshot of the accepted films that the gate lets through.

    Raises:
        InputError: a name that is none or is taken, or no film is let through.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST or not all(sign.isalnum() or sign in _SIGNS for sign in name):
        raise InputError(
            f"name {name[:LONGEST]!r}: expected 1 to {LONGEST} letters, digits, spaces or . _ -"
        )
    accepted = films(session, "accepted")
    free = set(session.scalars(select(Film.sha256).where(is_in("accepted"))))
    if accepted and not free:
        raise InputError(
            f"snapshot {name!r}: all {len(accepted)} accepted films are held back, as copies or "
            "because they were not compared with the engine's training films yet"
        )
    made = snapshots.freeze(session, name, actor, among=free)
    detail = {"name": name, "films": len(free), "content": made.content}
    log.record(session, actor, "snapshot frozen", subject(made.id), detail)
    return made


def subject(snapshot: int) -> str:
    """Return what the log calls a snapshot."""
    return f"snapshot {snapshot}"


def check(session: Session, snapshot: int) -> None:
    """Raise `InputError` where a snapshot holds a film that the gate does not let through.

    Such as one that was frozen by other means than the desk's.
    """
    query = (
        select(func.count())
        .select_from(SnapshotFilm)
        .join(Film, Film.id == SnapshotFilm.film_id)
        .where(SnapshotFilm.snapshot_id == snapshot, not_(is_free()))
    )
    if held := session.scalar(query):
        raise InputError(
            f"snapshot {snapshot}: {held} of its films are copies or were never compared, so it is "
            "not handed out; freeze another one"
        )
