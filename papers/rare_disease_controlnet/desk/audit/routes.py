"""The page of the audit log, for admins."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.desk.access import ADMINS, Access
from papers.rare_disease_controlnet.desk.audit.verify import head, verify
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.tables import AuditEntry

PAGE = 100  # entries
SHOWN = 5  # of what is wrong with the log; the command shows all
router = APIRouter()
ACCESS: Access = {("GET", "/audit"): ADMINS}


@router.get("/audit")
def log(
    request: Request,
    desk: Annotated[Desk, Depends(desk_of)],
    actor: str = "",
    action: str = "",
    before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> HTMLResponse:
    """Show entries, the newest first, and whether the log is whole."""
    with desk.read() as session:
        choices = {"actor": _choices(session, "actor"), "action": _choices(session, "action")}
        chosen = {"actor": actor, "action": action}
        query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(PAGE + 1)
        for field, value in chosen.items():
            if value and value not in choices[field]:
                raise InputError(f"{field} {value[:64]!r}: not in the log; choose one of the list")
            query = _where(query, field, value)
        if before is not None:
            query = query.where(AuditEntry.id < before)
        entries = session.scalars(query).all()
        whole_log = before is None and not any(chosen.values())  # checking takes a while
        wrong, newest = verify(session) if whole_log else [], head(session)
    return page(
        request,
        "audit/log.html",
        entries=[_shown(entry) for entry in entries[:PAGE]],
        older=entries[PAGE - 1].id if len(entries) > PAGE else None,
        checked=whole_log,
        choices=choices,
        chosen=chosen,
        wrong=wrong[:SHOWN],
        more=max(len(wrong) - SHOWN, 0),
        head=newest,
    )


def _choices(session: Session, field: str) -> list[str]:
    column = getattr(AuditEntry, field)
    return sorted(session.scalars(select(column).distinct()))


def _where(query: Select[Any], field: str, value: str) -> Select[Any]:
    return query.where(getattr(AuditEntry, field) == value) if value else query


def _shown(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as the page shows it."""
    return {
        "id": entry.id,
        "at": f"{entry.at:%Y-%m-%d %H:%M:%S}",
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": _in_words(entry.detail),
        "seal": entry.sha256[:12],
    }


def _in_words(detail: str) -> list[tuple[str, str]]:
    """Return an entry's detail, also where it was changed to something else than JSON."""
    try:
        found = json.loads(detail)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return [("damaged", detail[:200])]
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in found.items()
    ]
