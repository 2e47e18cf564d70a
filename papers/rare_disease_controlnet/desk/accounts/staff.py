"""The page of all people, for admins: adding them, their roles, and shutting them out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.access import ADMINS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts import people
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.tables import User, UserSession

ROLES = {  # and what they are for
    "reviewer": "judges films in the reading room, blinded",
    "researcher": "asks for films, makes reading sets, sees reports",
    "admin": "does all of that, and says who works here",
}
router = APIRouter()
ACCESS: Access = {
    ("GET", "/people"): ADMINS,
    ("POST", "/people"): ADMINS,
    ("POST", "/people/{user}/role"): ADMINS,
    ("POST", "/people/{user}/link"): ADMINS,
    ("POST", "/people/{user}/disable"): ADMINS,
    ("POST", "/people/{user}/enable"): ADMINS,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
Admin = Annotated[Visitor, Depends(visitor_of)]
UserId = Annotated[int, Path(ge=1, lt=2**31)]
Field = Annotated[str, Form()]


@router.get("/people")
def everybody(request: Request, desk: TheDesk) -> HTMLResponse:
    """Show who works here."""
    return _people(request, desk)


@router.post("/people")
def add(
    request: Request, desk: TheDesk, admin: Admin, name: Field = "", role: Field = ""
) -> Response:
    """Add a person and show their link, this once."""
    wanted = name.strip().lower()
    try:
        with desk.write() as session:
            user = people.add(session, wanted, role, actor=admin.name)
            token = people.new_link(session, user, actor=admin.name)
    except InputError as error:
        return _people(request, desk, problem=str(error), name=wanted, role=role)
    return _link(request, desk, user, token)


@router.post("/people/{user}/role")
def change_role(desk: TheDesk, admin: Admin, user: UserId, role: Field = "") -> Response:
    """Give a person another role."""
    with _changed(desk, user) as (session, found):
        people.change_role(session, found, role, actor=admin.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{user}/link")
def new_link(request: Request, desk: TheDesk, admin: Admin, user: UserId) -> Response:
    """Show a new link of a person, this once."""
    with _changed(desk, user) as (session, found):
        token = people.new_link(session, found, actor=admin.name)
    return _link(request, desk, found, token)


@router.post("/people/{user}/disable")
def disable(desk: TheDesk, admin: Admin, user: UserId) -> Response:
    """Shut a person out, at once."""
    with _changed(desk, user) as (session, found):
        people.disable(session, found, actor=admin.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{user}/enable")
def enable(desk: TheDesk, admin: Admin, user: UserId) -> Response:
    """Let a person in again."""
    with _changed(desk, user) as (session, found):
        people.enable(session, found, actor=admin.name)
    return RedirectResponse("/people", 303)


@contextmanager
def _changed(desk: Desk, key: int) -> Iterator[tuple[Session, User]]:
    """Yield a user and the session in which they are changed."""
    with desk.write() as session:
        user = session.get(User, key)
        if user is None:
            raise HTTPException(404, "nobody with this number")
        yield session, user


def _people(
    request: Request, desk: Desk, *, problem: str = "", name: str = "", role: str = "reviewer"
) -> HTMLResponse:
    last = func.max(UserSession.seen).label("last")
    query = select(User, last).outerjoin(UserSession, UserSession.user_id == User.id)
    with desk.read() as session:
        rows = session.execute(query.group_by(User.id).order_by(User.name)).all()
    return page(
        request,
        "accounts/people.html",
        422 if problem else 200,
        people=[_shown(user, seen) for user, seen in rows],
        roles=ROLES,
        problem=problem,
        name=name,
        role=role,
    )


def _shown(user: User, seen: datetime | None) -> dict[str, Any]:
    """Return a person as the page shows them."""
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "state": _state(user),
        "added": f"{user.created:%Y-%m-%d}",
        "seen": f"{seen:%Y-%m-%d %H:%M}" if seen else "",
    }


def _state(user: User) -> tuple[str, str]:
    """Return how far somebody is, in words, and the badge's color."""
    if user.disabled:
        return "disabled", "bad"
    if user.link_until and user.link_until > now():
        return f"link until {user.link_until:%m-%d %H:%M}", "warn"
    if user.password is None:
        return "link has expired", "warn"
    return "active", "good"


def _link(request: Request, desk: Desk, user: User, token: str) -> HTMLResponse:
    """Show a link; it is kept nowhere, so that this is the only time."""
    scheme = "https" if desk.settings.tls_proxy else request.url.scheme
    return page(
        request,
        "accounts/link.html",
        name=user.name,
        role=user.role,
        link=f"{scheme}://{request.url.netloc}/set-up/{token}",
        until=f"{user.link_until:%Y-%m-%d %H:%M}",
    )
