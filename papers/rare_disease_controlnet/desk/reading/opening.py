"""A set is opened, and closed: what happens to its films and to those who read them.

While it is open nothing but answers is added to it. Once it is closed nothing at all is: where its
films come from is told, and what was said of synthetic ones goes to the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film, now
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.reading import blinding
from papers.rare_disease_controlnet.desk.reading.sets import (
    check_blind,
    draft,
    held,
    items_of,
    subject,
)
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import (
    Presentation,
    Reader,
    ReadingSet,
    SetItem,
    User,
)


def open_set(desk: Desk, actor: str, set_id: int) -> None:
    """Let the readers of a set begin; from then on it is what it is.

    Raises:
        InputError: what is missing, or a reader who cannot be one.
    """
    with desk.read() as session:
        items = items_of(session, set_id)
        size = _size(session, items)
    files = {
        item.id: desk.store.put(
            blinding.shown(png.decoded(desk.store.get(item.source), f"film {item.source}"), size)
        )
        for item in items
    }
    with desk.write() as session:
        opened = draft(session, set_id)
        items = items_of(session, set_id)
        if {item.id for item in items} != files.keys():
            raise InputError(f"set {opened.name!r}: was changed meanwhile; look, and open it again")
        readers = _check_whole(session, opened)
        if len(set(files.values())) < len(files):
            raise InputError(f"set {opened.name!r}: two of its films look the same; remove one")
        for item in items:
            item.shown = files[item.id]
        session.flush()
        for reader in readers:
            session.add_all(_presentations(opened, reader, items))
        opened.opened = now()
        log.record(
            session,
            actor,
            "set opened",
            subject(set_id),
            {"films": len(items), "readers": len(readers), "size": size},
        )


def close_set(session: Session, actor: str, set_id: int, limits: Limits) -> None:
    """End the reading of a set, tell where its films come from, and act on what was said of them.

    Raises:
        InputError: the set is not open.
    """
    from papers.rare_disease_controlnet.desk.release import after_reading

    closed = held(session, set_id)
    if not closed.opened or closed.closed:
        state = "closed already" if closed.closed else "not open"
        raise InputError(f"set {closed.name!r}: is {state}, so it cannot be closed")
    closed.closed = now()
    session.execute(update(Reader).where(Reader.set_id == set_id).values(unblinded=True))
    session.flush()
    log.record(session, actor, "set closed", subject(set_id), {"origins": "told"})
    after_reading.apply(session, set_id, actor, limits)


def missing(session: Session, chosen: ReadingSet) -> list[str]:
    """Return what a set needs before it can be opened."""
    kinds = {item.kind for item in items_of(session, chosen.id)}
    lacks = [f"{kind} films" for kind in ("real", "synthetic") if kind not in kinds]
    return lacks + ([] if readers_of(session, chosen.id) else ["readers"])


def readers_of(session: Session, set_id: int) -> list[tuple[Reader, User]]:
    """Return the readers of a set, in the order they were named."""
    query = select(Reader, User).join(User, User.id == Reader.user_id)
    found = session.execute(query.where(Reader.set_id == set_id).order_by(Reader.id))
    return [(reader, user) for reader, user in found]


def _check_whole(session: Session, chosen: ReadingSet) -> list[Reader]:
    """Return the readers of a set that has all it needs; films may have come after they did."""
    if lacks := missing(session, chosen):
        raise InputError(f"set {chosen.name!r}: needs {' and '.join(lacks)} before it is opened")
    found = readers_of(session, chosen.id)
    for _, person in found:
        check_blind(session, chosen.id, person)
    return [reader for reader, _ in found]


def _size(session: Session, items: Sequence[SetItem]) -> int:
    """Return the side of what is shown: the smallest of the synthetic films', none is enlarged."""
    films = [item.film_id for item in items if item.film_id]
    found = session.execute(select(Film.width, Film.height).where(Film.id.in_(films)))
    return min((min(sides) for sides in found), default=blinding.SIZE)


def _presentations(
    chosen: ReadingSet, reader: Reader, items: Sequence[SetItem]
) -> Iterator[Presentation]:
    """Yield what a reader is shown, in an order of their own."""
    order = blinding.order(len(items), chosen.repeats, (chosen.seed, reader.user_id))
    for place, (film, repeat) in enumerate(order):
        yield Presentation(
            reader_id=reader.id,
            item_id=items[film].id,
            place=place,
            repeat=repeat,
            token=blinding.token(),
        )
