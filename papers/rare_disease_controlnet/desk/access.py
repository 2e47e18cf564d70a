"""Who may use which route: nobody, unless the route's own table says so.

Every feature has a table ``ACCESS`` of method and path; a route that is missing in it is refused to
all. Whatever changes something must come from a page of the desk: by `Sec-Fetch-Site` or `Origin`,
and with the session's form token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE, Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of

NOBODY = "nobody"
EVERYBODY = frozenset({NOBODY, "reviewer", "researcher", "admin"})
MEMBERS = frozenset({"reviewer", "researcher", "admin"})
RESEARCHERS = frozenset({"researcher", "admin"})
ADMINS = frozenset({"admin"})
Access = Mapping[tuple[str, str], frozenset[str]]  # method and path: roles

FORM_TOKEN = "form_token"  # of forms
TOKEN_HEADER = "X-Form-Token"  # of scripts
_SAFE = ("GET", "HEAD")
_REFRESH = timedelta(minutes=1)  # how often the use of a session is noted, so that reading is free


async def authorize(request: Request) -> None:
    """Let a request through that its visitor may make; who it is, is ``request.state.visitor``.

    Raises:
        HTTPException: 303 to the login, 401 for scripts, 403 for what is not allowed.
    """
    found = await recognize(request)
    allowed = request.app.state.access.get((request.method, request.scope["route"].path), ())
    if (found.role if found else NOBODY) not in allowed:
        raise _refusal(request) if found is None else HTTPException(403, "not for your role")
    if request.method not in _SAFE:
        if not same_site(request):
            raise HTTPException(403, "sent by another site")
        sent = (await _form_token(request)).encode()  # any text: only ASCII compares as text
        if found and not hmac.compare_digest(found.form_token.encode(), sent):
            raise HTTPException(403, "the page is outdated: load it again")


async def recognize(request: Request) -> Visitor | None:
    """Return who makes a request, and note it as ``request.state.visitor``."""
    found = await run_in_threadpool(_visitor, desk_of(request), request.cookies.get(COOKIE))
    request.state.visitor = found
    return found


def visitor_of(request: Request) -> Visitor:
    """Return who makes a request of a route that is for members; a dependency of routes."""
    found: Visitor | None = request.state.visitor
    if found is None:
        raise HTTPException(401)
    return found


def same_site(request: Request) -> bool:
    """Return whether a page of the desk itself sent a request, as far as its browser tells."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _visitor(desk: Desk, cookie: str | None) -> Visitor | None:
    if not cookie:
        return None
    limits = desk.settings.limits
    with desk.read() as session:
        found = sessions.visitor(session, cookie, limits)
        stale = found and not sessions.used_since(session, cookie, now() - _REFRESH)
    if found and stale:
        with desk.write() as session:
            sessions.seen(session, cookie)
    return found


def _refusal(request: Request) -> HTTPException:
    """Return what somebody gets who is not logged in: the login, if it is a page they want."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        wanted = quote(request.url.path)
        return HTTPException(303, headers={"Location": f"/login?next={wanted}"})
    return HTTPException(401, "log in first")


async def _form_token(request: Request) -> str:
    if token := request.headers.get(TOKEN_HEADER):
        return token
    kind = request.headers.get("content-type", "")
    if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        form = await request.form()
        return str(form.get(FORM_TOKEN, ""))
    return ""
