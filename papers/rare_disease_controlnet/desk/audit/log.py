"""The audit log: who did what, each entry sealed together with the one before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.tables import AuditEntry

FIRST = "0" * 64  # what the first entry has for the one before
DESK, NOBODY = "desk", "nobody"  # actors that are no users: the desk itself, and who is not known
_ALONE = text("LOCK TABLE audit_log IN SHARE ROW EXCLUSIVE MODE")  # until the transaction ends


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
    *,
    at: datetime | None = None,
) -> AuditEntry:
    """Add an entry, in the transaction of what it tells of: both are kept, or neither.

    Call it at the end of the transaction: from then on other writers of entries wait, so that the
    chain has no fork. On SQLite writers wait for each other in any case.
    """
    session.flush()  # what it tells of comes first, so that no two writers wait for one another
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_ALONE)
    last = select(AuditEntry.sha256).order_by(AuditEntry.id.desc()).limit(1)
    entry = AuditEntry(
        at=(at or now()).astimezone(UTC),
        actor=actor,
        action=action,
        subject=subject,
        detail=canonical(dict(detail or {}), "detail"),
        previous=session.scalar(last) or FIRST,
    )
    told = (entry.actor, entry.action, entry.subject, entry.detail)
    entry.sha256 = seal(entry.previous, entry.at, *told)
    session.add(entry)
    session.flush()
    return entry


def seal(previous: str, at: datetime, *told: str) -> str:
    """Return the hash of an entry: of what it tells, when, and the hash of the entry before."""
    return digest(canonical([previous, at.astimezone(UTC).isoformat(), *told], "audit entry"))
