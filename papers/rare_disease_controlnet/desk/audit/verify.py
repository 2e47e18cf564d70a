"""Whether the audit log is whole: nothing in it was changed, removed or moved.

The chain shows every change but two: entries cut off at its end, and a rewriting of everything from
some entry to the end. Both show beside a head that was noted elsewhere: a backup's manifest holds
one, and the page of the log shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.desk.audit.log import FIRST, seal
from papers.rare_disease_controlnet.desk.tables import AuditEntry


@dataclass(frozen=True)
class Head:
    """How long the log was once, and the hash of its last entry."""

    count: int
    sha256: str


def head(session: Session) -> Head:
    """Return how long the log is now, to be noted where whoever changes the log cannot reach."""
    count = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    last = select(AuditEntry.sha256).order_by(AuditEntry.id.desc()).limit(1)
    return Head(count, session.scalar(last) or FIRST)


def verify(session: Session, heads: Iterable[Head] = ()) -> list[str]:
    """Return a line for everything that is wrong with the log; none if it is whole.

    Args:
        session: of the desk's database.
        heads: that were noted before; the log must still lead through them.
    """
    hashes = list(session.scalars(select(AuditEntry.sha256).order_by(AuditEntry.id)))
    known, before, wrong = set(hashes), FIRST, []
    for entry in session.execute(_entries().execution_options(yield_per=1000)):
        name = f"entry {entry.id} ({entry.at}, {entry.action} by {entry.actor})"
        if not _sealed(entry):
            wrong.append(f"{name}: was changed")
        if entry.previous != before and (entry.previous == FIRST or entry.previous in known):
            wrong.append(f"{name}: stands in another place than it was written")
        elif entry.previous != before:
            wrong.append(f"{name}: the entry before it was removed or rewritten")
        before = entry.sha256
    return wrong + [line for one in heads for line in _missing(one, hashes)]


def _entries() -> Any:
    """Return the query of all entries, with times as the database gives them: perhaps damaged."""
    told = (AuditEntry.actor, AuditEntry.action, AuditEntry.subject, AuditEntry.detail)
    at = type_coerce(AuditEntry.at, String).label("at")
    return select(AuditEntry.id, at, *told, AuditEntry.previous, AuditEntry.sha256).order_by(
        AuditEntry.id
    )


def _sealed(entry: Any) -> bool:
    """Return whether an entry is what was written."""
    told = (entry.actor, entry.action, entry.subject, entry.detail)
    try:
        at = entry.at if isinstance(entry.at, datetime) else datetime.fromisoformat(entry.at)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite keeps no zones
        return seal(entry.previous, at, *told) == entry.sha256
    except (InputError, TypeError, ValueError):  # of something else than texts and times
        return False


def _missing(noted: Head, hashes: list[str]) -> list[str]:
    """Return what is wrong with the log, of which a head was noted."""
    if len(hashes) < noted.count:
        return [f"the log had {noted.count} entries and has {len(hashes)}: its end was cut off"]
    if noted.count and hashes[noted.count - 1] != noted.sha256:
        return [f"the first {noted.count} entries are not those that were noted: rewritten"]
    return []
