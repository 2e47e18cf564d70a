"""The page of one's own account: another password, and an end to sessions elsewhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.desk.access import MEMBERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts import passwords, people, sessions, throttling
from papers.rare_disease_controlnet.desk.accounts.login import check_new, entering
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE, Visitor
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.tables import User

DONE = {
    "password": "Your password is changed, and you are logged out everywhere else.",
    "sessions": "You are logged out everywhere else.",
}
router = APIRouter()
ACCESS: Access = {
    ("GET", "/account"): MEMBERS,
    ("POST", "/account/password"): MEMBERS,
    ("POST", "/account/sessions"): MEMBERS,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
TheVisitor = Annotated[Visitor, Depends(visitor_of)]
Field = Annotated[str, Form()]


@router.get("/account")
def account(request: Request, desk: TheDesk, visitor: TheVisitor, done: str = "") -> HTMLResponse:
    """Show one's own account."""
    return _account(request, desk, visitor, done=DONE.get(done, ""))


@router.post("/account/password")
def change_password(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    old: Field = "",
    password: Field = "",
    again: Field = "",
) -> Response:
    """Change one's own password, if one knows the old one; other sessions end."""
    keys = (throttling.by_account(visitor.id),)
    with desk.write() as session:
        wait = throttling.begin(session, keys)
        kept = _user(session, visitor).password
    try:
        if wait:
            raise InputError("old password: wrong too often; try again in some minutes")
        if not passwords.fits(kept, old[: passwords.LONGEST + 1]):
            raise InputError("old password: is wrong; ask an admin for a link if you forgot it")
        check_new(password, again, visitor.name)
        if password == old:
            raise InputError("password: is the old one; take another")
    except InputError as error:
        return _account(request, desk, visitor, problem=str(error))
    hashed = passwords.hashed(password)
    with desk.write() as session:
        user = _user(session, visitor)
        throttling.forget(session, keys)
        people.set_password(session, user, hashed)
        cookie = sessions.begin(session, user)
    return entering(RedirectResponse("/account?done=password", 303), cookie)


@router.post("/account/sessions")
def end_others(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Log oneself out in all other browsers."""
    with desk.write() as session:
        sessions.end_others(session, visitor.id, request.cookies[COOKIE])
        record(session, visitor.name, "other sessions ended")
    return RedirectResponse("/account?done=sessions", 303)


def _user(session: Session, visitor: Visitor) -> User:
    user = session.get_one(User, visitor.id)
    if user.disabled:  # since the request began
        raise InputError(f"name {user.name}: is disabled; ask an admin")
    return user


def _account(
    request: Request, desk: Desk, visitor: Visitor, *, problem: str = "", done: str = ""
) -> HTMLResponse:
    cookie, limits = request.cookies[COOKIE], desk.settings.limits
    with desk.read() as session:
        others = sessions.others(session, visitor.id, cookie, limits)
    return page(
        request,
        "accounts/account.html",
        422 if problem else 200,
        problem=problem,
        done=done,
        others=others,
        idle=int(limits.idle.total_seconds() // 60),
        longest=int(limits.session.total_seconds() // 3600),
        rules=passwords,
    )
