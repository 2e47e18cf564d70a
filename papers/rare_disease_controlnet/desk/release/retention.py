"""What is not kept for ever: previews, drafts, sessions, and files that nothing refers to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Delete, delete, exists, not_, or_, select
from sqlalchemy.orm import Session, aliased

from papers.rare_disease_controlnet.corpus.lineage import IMAGES, loads
from papers.rare_disease_controlnet.corpus.store import is_sha256
from papers.rare_disease_controlnet.corpus.tables import Film, Job, now
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.tables import (
    Draft,
    Likeness,
    Presentation,
    Preview,
    Reader,
    ReadingSet,
    SetItem,
    Upload,
    UserSession,
)

UNUSED = timedelta(days=30)  # after which an upload goes that nobody used
ORPHANED = timedelta(days=1)  # after which a file goes that no row names: rows come after files
EXPORTS = "exports"  # in the desk's folder: ZIP files on their way out
_OPEN = ("queued", "paused", "running")


def sweep(desk: Desk) -> dict[str, int]:
    """Delete what is not needed any more; return how much of each kind."""
    with desk.write() as session:
        counts = {
            "previews": _deleted(session, delete(Preview).where(Preview.job_id.not_in(_open()))),
            "drafts": _deleted(session, delete(Draft).where(_is_closed())),
            "sessions": _deleted(session, delete(UserSession).where(_has_ended(desk))),
            "uploads": _deleted(session, delete(Upload).where(*_is_unused())),
        }
    counts["files"] = _sweep_files(desk)
    counts["exports"] = _sweep_exports(desk)
    if any(counts.values()):
        with desk.write() as session:
            log.record(session, "desk", "swept", detail=counts)
    return counts


def _open() -> Any:
    return select(Job.id).where(Job.state.in_(_OPEN))


def _is_closed() -> ColumnElement[bool]:
    closed = (
        select(Presentation.id)
        .join(Reader, Reader.id == Presentation.reader_id)
        .join(ReadingSet, ReadingSet.id == Reader.set_id)
        .where(ReadingSet.closed.is_not(None))
    )
    return Draft.presentation_id.in_(closed)


def _has_ended(desk: Desk) -> ColumnElement[bool]:
    limits, at = desk.settings.limits, now()
    return or_(UserSession.created <= at - limits.session, UserSession.seen <= at - limits.idle)


def _is_unused() -> list[ColumnElement[bool]]:
    """Return what holds of uploads that no job, film or set was made with, for a long time."""
    item = aliased(SetItem)
    return [
        Upload.created < now() - UNUSED,
        not_(exists().where(Job.spec.contains(Upload.sha256))),
        not_(exists().where(Film.lineage.contains(Upload.sha256))),
        not_(exists().where(item.source == Upload.sha256)),
    ]


def _deleted(session: Session, query: Delete) -> int:
    return session.execute(query).rowcount  # type: ignore[attr-defined]


def _sweep_files(desk: Desk) -> int:
    """Delete old files that no row names, where the store can.

    What was put again while rows were looked at is young, and stays.
    """
    store: Any = desk.store
    if not hasattr(store, "ages"):
        return 0
    before = now() - ORPHANED

    def old() -> set[str]:
        return {name for name, at in store.ages() if at < before}

    there = old()
    with desk.read() as session:
        unnamed = there - set(_named(session))
    gone = unnamed & old() if unnamed else unnamed
    for name in gone:
        store.delete(name)
    return len(gone)


def _named(session: Session) -> Iterable[str]:
    """Yield the name of every file that a row refers to."""
    for column in (
        Upload.sha256, SetItem.source, SetItem.shown, Likeness.nearest, Film.sha256,
    ):  # fmt: skip
        yield from session.scalars(select(column).distinct())
    for lineage in session.scalars(select(Film.lineage)):
        spec = loads(lineage, "lineage").spec
        yield from (name for image in IMAGES if (name := getattr(spec, image)))
    for text in session.scalars(select(Job.spec)):
        yield from (word for word in text.split('"') if is_sha256(word))


def _sweep_exports(desk: Desk) -> int:
    """Delete ZIP files that were left by a process that was killed."""
    before, count = (now() - ORPHANED).timestamp(), 0
    for folder in (desk.settings.folder / EXPORTS).glob("*"):
        if folder.stat().st_mtime < before:
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count
