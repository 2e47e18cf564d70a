"""Coming in and going out: by a password, or the first time by a link that works once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.desk.access import EVERYBODY, Access
from papers.rare_disease_controlnet.desk.accounts import passwords, people, sessions, throttling
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE
from papers.rare_disease_controlnet.desk.audit.log import NOBODY, record
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.tables import User

WRONG = "Name or password is wrong."
GONE = "This link was used already, or is older than a day; ask an admin for a new one"
_LINK = "/set-up/{token}"
_OWN_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")  # printable, without a backslash, of this host
router = APIRouter()
ACCESS: Access = {
    ("GET", "/login"): EVERYBODY,
    ("POST", "/login"): EVERYBODY,
    ("POST", "/logout"): EVERYBODY,
    ("GET", _LINK): EVERYBODY,
    ("POST", _LINK): EVERYBODY,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
Field = Annotated[str, Form()]


@router.get("/login")
def login(request: Request, next: str = "/") -> Response:
    """Show the login, or lead on who is logged in."""
    if request.state.visitor:
        return RedirectResponse(own_path(next), 303)
    return _login(request, next)


@router.post("/login")
def log_in(
    request: Request, desk: TheDesk, name: Field = "", password: Field = "", next: Field = "/"
) -> Response:
    """Log somebody in; whether it was the name or the password that was wrong, nobody learns."""
    wanted = name.strip().lower()
    address = throttling.address_of(request)
    keys = (throttling.by_name(wanted), throttling.by_address(address))
    with desk.write() as session:
        wait = throttling.begin(session, keys)
        user = _named(session, wanted)
    if wait:
        return _login(request, next, wanted, 429, _too_often(wait))
    kept = user.password if user else None
    fits = passwords.fits(kept, password[: passwords.LONGEST + 1])
    with desk.write() as session:
        user = _named(session, wanted)  # again: hashing takes long enough to be disabled in
        if not fits or user is None or user.password != kept:
            actor = user.name if user else NOBODY
            record(session, actor, "login failed", detail={"address": address})
            return _login(request, next, wanted, 401, WRONG)
        throttling.forget(session, keys)
        cookie = _entered(session, request, user, address)
    return entering(RedirectResponse(own_path(next), 303), cookie)


@router.post("/logout")
def log_out(request: Request, desk: TheDesk) -> Response:
    """End a session at once, in the browser and here."""
    if visitor := request.state.visitor:
        with desk.write() as session:
            sessions.end(session, request.cookies[COOKIE])
            record(session, visitor.name, "logged out")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
    return answer


@router.get(_LINK)
def set_up(request: Request, desk: TheDesk, token: str) -> HTMLResponse:
    """Show whose link it is, and the form for their password; nothing is used up by that."""
    with desk.read() as session:
        return _set_up(request, token, _linked(session, token))


@router.post(_LINK)
def use(
    request: Request, desk: TheDesk, token: str, password: Field = "", again: Field = ""
) -> Response:
    """Set the password of a link's user, and log them in."""
    with desk.read() as session:
        user = _linked(session, token)
    try:
        check_new(password, again, user.name)
    except InputError as error:
        return _set_up(request, token, user, str(error))
    hashed = passwords.hashed(password)
    with desk.write() as session:
        user = _linked(session, token)  # again: hashing takes long enough to be too late
        people.set_password(session, user, hashed)
        cookie = _entered(session, request, user, throttling.address_of(request))
    return entering(RedirectResponse("/", 303), cookie)


def own_path(wanted: str) -> str:
    """Return where to go after the login: only to a path of the desk, never to another host."""
    return wanted if _OWN_PATH.fullmatch(wanted) else "/"


def check_new(password: str, again: str, name: str) -> None:
    """Raise `InputError` unless a new password is admitted, and twice the same."""
    passwords.check(password, name)
    if password != again:
        raise InputError("password: the two are not the same; type it again")


def entering(answer: Response, cookie: str) -> Response:
    """Return an answer that hands out a session's cookie, to this host and no script."""
    answer.set_cookie(COOKIE, cookie, secure=True, httponly=True, samesite="lax")
    return answer


def _entered(session: Session, request: Request, user: User, address: str) -> str:
    """Return the cookie of a new session, which takes the place of the browser's last."""
    if before := request.cookies.get(COOKIE):
        sessions.end(session, before)
    cookie = sessions.begin(session, user)
    record(session, user.name, "logged in", detail={"address": address})
    return cookie


def _named(session: Session, name: str) -> User | None:
    if not people.NAME.fullmatch(name):  # a database may refuse even to look for some texts
        return None
    return session.scalar(select(User).where(User.name == name, User.disabled.is_(False)))


def _linked(session: Session, token: str) -> User:
    user = people.linked(session, token)
    if user is None:
        raise HTTPException(404, GONE)
    return user


def _login(
    request: Request, next: str, name: str = "", status: int = 200, problem: str = ""
) -> HTMLResponse:
    values = {"next": own_path(next), "name": name[:64], "problem": problem}
    return page(request, "accounts/login.html", status, **values)


def _set_up(request: Request, token: str, user: User, problem: str = "") -> HTMLResponse:
    status = 422 if problem else 200
    values = {"token_of_link": token, "name": user.name, "role": user.role, "problem": problem}
    return page(request, "accounts/set_up.html", status, **values, rules=passwords)


def _too_often(wait: timedelta) -> str:
    seconds = int(wait.total_seconds()) + 1
    told = f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
    return f"Too many logins failed. Try again in {told}."
