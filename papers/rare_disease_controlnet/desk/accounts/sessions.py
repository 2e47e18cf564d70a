"""Sessions: who somebody is, by a cookie that names a row and can be taken back at once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import Role, User, UserSession

COOKIE = "__Host-desk"  # the prefix: over TLS or on the machine itself, from this host alone
_BYTES = 32  # of a token: 256 bits


@dataclass(frozen=True)
class Visitor:
    """Who is logged in, as every route sees them."""

    id: int
    name: str
    role: Role
    form_token: str  # which every form and every script that changes something must send


def begin(session: Session, user: User, *, at: datetime | None = None) -> str:
    """Return the cookie of a new session: a new one at every login."""
    token = secrets.token_urlsafe(_BYTES)
    begun = at or now()
    session.add(
        UserSession(
            token=digest(token),
            user_id=user.id,
            form_token=secrets.token_urlsafe(_BYTES),
            created=begun,
            seen=begun,
        )
    )
    session.flush()
    return token


def visitor(
    session: Session, cookie: str | None, limits: Limits, *, at: datetime | None = None
) -> Visitor | None:
    """Return whose cookie it is; None for a forged, ended or outlived one, or a disabled user."""
    if not cookie:
        return None
    at = at or now()
    query = (
        select(User, UserSession)
        .join(UserSession, UserSession.user_id == User.id)
        .where(
            UserSession.token == digest(cookie),
            UserSession.created > at - limits.session,
            UserSession.seen > at - limits.idle,
            User.disabled.is_(False),
        )
    )
    found = session.execute(query).first()
    if found is None:
        return None
    user, own = found
    return Visitor(user.id, user.name, user.role, own.form_token)


def seen(session: Session, cookie: str, *, at: datetime | None = None) -> None:
    """Note that a session is used, which keeps it alive."""
    own = UserSession.token == digest(cookie)
    session.execute(update(UserSession).where(own).values(seen=at or now()))


def used_since(session: Session, cookie: str, at: datetime) -> bool:
    """Return whether the use of a session was noted since a time."""
    own = select(UserSession.seen).where(UserSession.token == digest(cookie))
    noted = session.scalar(own)
    return noted is not None and noted >= at


def end(session: Session, cookie: str) -> None:
    """End a session."""
    session.execute(delete(UserSession).where(UserSession.token == digest(cookie)))


def end_all(session: Session, user: int) -> None:
    """End all sessions of a user: after a new password, another role, or when disabled."""
    session.execute(delete(UserSession).where(UserSession.user_id == user))


def others(session: Session, user: int, cookie: str, limits: Limits) -> int:
    """Return in how many other browsers a user is logged in."""
    alive = (UserSession.created > now() - limits.session, UserSession.seen > now() - limits.idle)
    query = select(func.count()).where(*_others(user, cookie), *alive)
    return session.scalar(query) or 0


def end_others(session: Session, user: int, cookie: str) -> None:
    """End all sessions of a user but one."""
    session.execute(delete(UserSession).where(*_others(user, cookie)))


def _others(user: int, cookie: str) -> tuple[ColumnElement[bool], ...]:
    return (UserSession.user_id == user, UserSession.token != digest(cookie))
