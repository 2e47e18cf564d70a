"""Named sets of accepted films, frozen: what a classifier was trained on stays what it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import InputError, nearest
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.decisions import films
from papers.rare_disease_controlnet.corpus.tables import Film, Snapshot, SnapshotFilm


def freeze(
    session: Session, name: str, made_by: str, among: Collection[str] | None = None
) -> Snapshot:
    """Return a new snapshot of the films that are accepted now; later decisions do not change it.

    Args:
        session: one that writes.
        name: its name.
        made_by: who freezes it.
        among: files, of which alone a film may be; None: any.

    Raises:
        InputError: no film is accepted, or the name is taken.
    """
    if session.scalar(select(Snapshot.id).where(Snapshot.name == name)) is not None:
        raise InputError(
            f"snapshot {name!r}: is there already and never changes; choose a new name"
        )
    accepted = films(session, "accepted")
    chosen = [film for film in accepted if among is None or film.sha256 in among]
    if not accepted:
        raise InputError(f"snapshot {name!r}: no film is accepted; decide about some first")
    if not chosen:
        raise InputError(f"snapshot {name!r}: {len(accepted)} accepted films, none may enter it")
    snapshot = Snapshot(name=name, content=content_hash(chosen), made_by=made_by)
    session.add(snapshot)
    session.flush()
    session.add_all(SnapshotFilm(snapshot_id=snapshot.id, film_id=film.id) for film in chosen)
    session.flush()
    return snapshot


def films_of(session: Session, name: str) -> list[Film]:
    """Return the films of a snapshot in order.

    Raises:
        InputError: there is no such snapshot, or its films are not those that were frozen.
    """
    snapshot = session.scalar(select(Snapshot).where(Snapshot.name == name))
    if snapshot is None:
        known = session.scalars(select(Snapshot.name))
        raise InputError(f"snapshot {name!r}: there is no such snapshot, {nearest(name, known)}")
    members = select(SnapshotFilm.film_id).where(SnapshotFilm.snapshot_id == snapshot.id)
    query = select(Film).where(Film.id.in_(members)).order_by(Film.id)
    found = list(session.scalars(query))
    if content_hash(found) != snapshot.content:
        raise InputError(
            f"snapshot {name!r}: its films are not those that were frozen; restore the database"
        )
    return found


def content_hash(chosen: Iterable[Film]) -> str:
    """Return the SHA-256 of the films' names: the same for the same films, whatever their order."""
    return content_of(film.sha256 for film in chosen)


def content_of(names: Iterable[str]) -> str:
    """Return the same of the names themselves."""
    return digest(canonical(sorted(names), "films"))
