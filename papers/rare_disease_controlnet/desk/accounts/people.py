"""People: who is added, with which role, by a link that works once; and who no longer comes in."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import get_args

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.tables import AUTOMATIC, now
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.audit.log import DESK, NOBODY, record
from papers.rare_disease_controlnet.desk.tables import Role, User

ROLES: tuple[Role, ...] = get_args(Role)
LINK = timedelta(hours=24)  # how long a one-time link works
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_TAKEN = (AUTOMATIC, DESK, NOBODY)  # what decisions and the log call who is no user
_BYTES = 32  # of a link's token: 256 bits


def has_admin(session: Session) -> bool:
    """Return whether an admin can log in: one with a password, not disabled."""
    return session.scalar(_admins().limit(1)) is not None


def invite(session: Session, name: str, role: str, *, actor: str = DESK) -> str:
    """Add a person; return the token of the link ``/set-up/{token}``, for them alone.

    Somebody of that name and role who has not used their link yet gets another one.

    Raises:
        InputError: another name or role is needed.
    """
    user = session.scalar(select(User).where(User.name == name, User.role == role))
    if user is None or user.password is not None or user.disabled:
        user = add(session, name, role, actor=actor)
    return new_link(session, user, actor=actor)


def add(session: Session, name: str, role: str, *, actor: str) -> User:
    """Add a person, without a password.

    Raises:
        InputError: another name or role is needed.
    """
    user = User(name=checked_name(name), role=checked_role(role))
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise InputError(f"name {name}: is taken; choose another")
    session.add(user)
    record(session, actor, "person added", f"user {name}", {"role": role})
    return user


def new_link(session: Session, user: User, *, actor: str, at: datetime | None = None) -> str:
    """Return the token of a new one-time link; the one before works no longer."""
    if user.disabled:
        raise InputError(f"name {user.name}: is disabled; enable them first")
    token = secrets.token_urlsafe(_BYTES)
    user.link, user.link_until = digest(token), (at or now()) + LINK
    record(session, actor, "link made", f"user {user.name}")
    return token


def linked(session: Session, token: str, *, at: datetime | None = None) -> User | None:
    """Return whose one-time link it is; None for a used, outlived or forged one.

    Who uses it at the same time waits, and then finds it used.
    """
    query = select(User).where(User.link == digest(token), User.disabled.is_(False))
    user = session.scalar(query.with_for_update())
    alive = user and user.link_until and user.link_until > (at or now())
    return user if alive else None


def set_password(session: Session, user: User, hashed: str, *, actor: str = "") -> None:
    """Give a user a password, which uses up their link and ends their sessions."""
    user.password, user.link, user.link_until = hashed, None, None
    sessions.end_all(session, user.id)
    record(session, actor or user.name, "password set", f"user {user.name}")


def change_role(session: Session, user: User, role: str, *, actor: str) -> None:
    """Give a user another role, which ends their sessions.

    Raises:
        InputError: they are the last admin, or there is no such role.
    """
    before, after = user.role, checked_role(role)
    if before != after:
        _keep_an_admin(session, user)
        user.role = after
        sessions.end_all(session, user.id)
        detail = {"before": before, "role": role}
        record(session, actor, "role changed", f"user {user.name}", detail)


def disable(session: Session, user: User, *, actor: str) -> None:
    """Let a user in no longer, from this moment on.

    Raises:
        InputError: they are the last admin.
    """
    _keep_an_admin(session, user)
    user.disabled, user.link, user.link_until = True, None, None
    sessions.end_all(session, user.id)
    record(session, actor, "person disabled", f"user {user.name}")


def enable(session: Session, user: User, *, actor: str) -> None:
    """Let a user in again, with the password they had."""
    user.disabled = False
    record(session, actor, "person enabled", f"user {user.name}")


def checked_name(name: str) -> str:
    """Return a new user's name, or raise `InputError`."""
    if not NAME.fullmatch(name) or name in _TAKEN:
        raise InputError(
            f"name {name[:64]!r}: expected 2 to 64 lower-case letters, digits, dots, dashes or "
            f"underscores, beginning with a letter or digit, and none of {', '.join(_TAKEN)}"
        )
    return name


def checked_role(role: str) -> Role:
    """Return a role, or raise `InputError`."""
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"role {role[:64]!r}: choose one of {', '.join(ROLES)}")


def _admins() -> Select[int]:
    """Return the query of the admins that can log in."""
    able = (User.role == "admin", User.disabled.is_(False), User.password.is_not(None))
    return select(User.id).where(*able).order_by(User.id)


def _keep_an_admin(session: Session, user: User) -> None:
    """Raise `InputError` if without a user nobody is left who could add people.

    Until the transaction ends nobody else changes an admin: two could remove each other.
    """
    if list(session.scalars(_admins().with_for_update())) == [user.id]:
        raise InputError(f"name {user.name}: is the last admin; make somebody else one first")
