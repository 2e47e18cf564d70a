"""The audit log: who did what, each entry sealed together with the one before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.tables import AuditEntry

FIRST = "0" * 64  # what the first entry has for the one before


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
    *,
    at: datetime | None = None,
) -> AuditEntry:
    """Add an entry, in the transaction of what it tells of: both are kept, or neither."""
    last = select(AuditEntry.sha256).order_by(AuditEntry.id.desc()).limit(1)
    entry = AuditEntry(
        at=at or now(),
        actor=actor,
        action=action,
        subject=subject,
        detail=canonical(dict(detail or {}), "detail"),
        previous=session.scalar(last) or FIRST,
    )
    entry.sha256 = seal(entry)
    session.add(entry)
    session.flush()
    return entry


def seal(entry: AuditEntry) -> str:
    """Return the hash of an entry's contents, which include the hash of the entry before."""
    told = [entry.previous, entry.at.isoformat(), entry.actor, entry.action, entry.subject]
    return digest(canonical([*told, entry.detail], "audit entry"))
