"""The reading room: readers see films one after the other and say what they think of them.

Nothing here tells where a film comes from before its set is closed; see `blinding`.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.decisions import LONGEST
from papers.rare_disease_controlnet.desk.access import MEMBERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.reading import answers, drafts, room
from papers.rare_disease_controlnet.desk.reading.sets import text
from papers.rare_disease_controlnet.desk.tables import SetItem, User

router = APIRouter()
ACCESS: Access = {
    ("GET", "/reading"): MEMBERS,
    ("GET", "/reading/{set_id}"): MEMBERS,
    ("POST", "/reading/{set_id}/undo"): MEMBERS,
    ("GET", "/reading/film/{token}"): MEMBERS,
    ("POST", "/reading/film/{token}/quality"): MEMBERS,
    ("POST", "/reading/film/{token}/origin"): MEMBERS,
    ("POST", "/reading/film/{token}/draft"): MEMBERS,
}
SCORES = (
    (1, "unusable"),
    (2, "poor"),
    (3, "acceptable"),
    (4, "good"),
    (5, "as a good clinical film"),
)
ORIGINS = (
    (1, "surely real"),
    (2, "rather real"),
    (3, "cannot tell"),
    (4, "rather synthetic"),
    (5, "surely synthetic"),
)
Here = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(visitor_of)]
Id = Annotated[int, Path(ge=0, lt=2**31)]
Text = Annotated[str, Form()]
Words = Annotated[list[str], Form()]


@router.get("/reading")
def listed(request: Request, desk: Here, who: Who) -> HTMLResponse:
    """Show which sets the visitor reads, and how far they are."""
    with desk.read() as session:
        courses = room.courses(session, who.id)
    return page(request, "reading/list.html", courses=courses)


@router.get("/reading/{set_id}")
def reading(
    request: Request, desk: Here, who: Who, set_id: Id, place: int | None = None
) -> Response:
    """Show a place of a set; without one the next that is open, what to know first, or the end."""
    with desk.read() as session:
        course = room.course(session, who.id, set_id)
        if course is None:
            raise HTTPException(404, "no set that you read")
        common: dict[str, Any] = {"one": course.reading_set, "course": course, "scores": SCORES}
        if place is None:
            if course.reading_set.closed or course.open_after() is None:
                return page(request, "reading/done.html", **common)
            if not course.places[0].begun:
                return page(request, "reading/start.html", **common)
            return _to(set_id, course.open_after())
        if not 0 <= place <= course.reach:
            return _to(set_id, course.reach)
        values = _room(session, who, course, place)
    return page(request, "reading/room.html", **common, **values)


@router.get("/reading/film/{token}")
def film(request: Request, desk: Here, who: Who, token: str) -> Response:
    """Return the film that is shown to the visitor under a name."""
    with desk.read() as session:
        found = _showing(session, who, token)
        item = session.get_one(SetItem, found.presentation.item_id)
    headers = {
        "ETag": f'"{token}"',
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": 'inline; filename="film.png"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(desk.store.get(item.shown), media_type="image/png", headers=headers)


@router.post("/reading/film/{token}/quality")
def quality(
    desk: Here,
    who: Who,
    token: str,
    key: Text = "",
    quality: Text = "",
    score: Text = "",
    artefacts: Words = [],  # noqa: B006  # FastAPI's way to say that there may be none
    comment: Text = "",
    seconds: Text = "",
    rendered: Text = "",
) -> RedirectResponse:
    """Keep what is said of a film's quality; the question for its origin comes next."""
    said = answers.verdict_of(quality, score, artefacts, comment)
    with desk.write() as session:
        found = _showing(session, who, token, hold=True)
        reader = session.get_one(User, who.id)
        answers.judge(session, reader, found, key, said, _seconds(seconds, rendered))
    return _to(found.reading_set.id, found.presentation.place)


@router.post("/reading/film/{token}/origin")
def origin(desk: Here, who: Who, token: str, key: Text = "", origin: Text = "") -> RedirectResponse:
    """Keep whether a film is taken for real; the next film comes next."""
    said = answers.scale("origin", origin)
    with desk.write() as session:
        found = _showing(session, who, token, hold=True)
        answers.guess(session, session.get_one(User, who.id), found, key, said)
    with desk.read() as session:  # others can write meanwhile
        course = room.course(session, who.id, found.reading_set.id)
    after = course.open_after(found.presentation.place) if course else None
    return _to(found.reading_set.id, after)


@router.post("/reading/{set_id}/undo")
def undo(desk: Here, who: Who, set_id: Id, key: Text = "", token: Text = "") -> RedirectResponse:
    """Take the answer to a film back; without its name, the one that was given last."""
    with desk.write() as session:
        wanted = token or room.last_submitted(session, who.id, set_id)
        if wanted is None:
            raise InputError("undo: no film is answered yet; begin with the first")
        found = _showing(session, who, wanted, hold=True)
        answers.take_back(session, session.get_one(User, who.id), found, key)
    return _to(found.reading_set.id, found.presentation.place)


@router.post("/reading/film/{token}/draft")
def draft(
    desk: Here,
    who: Who,
    token: str,
    quality: Text = "",
    score: Text = "",
    artefacts: Words = [],  # noqa: B006
    comment: Text = "",
    seconds: Text = "",
) -> Response:
    """Keep what is filled in so far, complete or not."""
    content: dict[str, Any] = {
        "quality": quality if quality in ("legitimate", "artefacted") else "",
        "score": score if score in ("1", "2", "3", "4", "5") else "",
        "artefacts": [word for word in answers.ARTEFACTS if word in artefacts],
        "comment": text("comment", comment, LONGEST, empty=True),
        "seconds": _number(seconds) or 0.0,
    }
    with desk.write() as session:
        found = _showing(session, who, token, hold=True)
        if found.step == "quality" and not found.reading_set.closed:
            drafts.keep(session, found.presentation.id, content)
    return Response(status_code=204)


def _showing(session: Session, who: Visitor, token: str, *, hold: bool = False) -> answers.Showing:
    """Return what is shown to a visitor; another reader's film is as if there were none."""
    found = answers.showing(session, who.id, token, hold=hold) if "\0" not in token else None
    if found is None:
        raise HTTPException(404, "no film that you read")
    return found


def _room(session: Session, who: Visitor, course: room.Course, place: int) -> dict[str, Any]:
    """Return what a page shows of a place."""
    own = course.places[place]
    found = _showing(session, who, own.token)
    after = course.open_after(place)
    last = found.last if own.step != "quality" else None
    told = None
    if course.reading_set.closed:
        item = session.get_one(SetItem, found.presentation.item_id)
        told = f"{item.kind}: {item.label}"
    return {
        "place": place,
        "token_of_film": own.token,
        "step": own.step,
        "answer": last,
        "ticked": json.loads(last.artefacts) if last else [],
        "draft": drafts.of(session, found.presentation.id),
        "next_film": course.places[after].token if after not in (None, place) else "",
        "key": secrets.token_urlsafe(32),
        "undo_key": secrets.token_urlsafe(32),
        "rendered": int(time.time() * 1000),
        "artefacts": answers.ARTEFACTS,
        "origins": ORIGINS,
        "longest": LONGEST,
        "told": told,
    }


def _seconds(measured: str, rendered: str) -> float | None:
    """Return how long a film was looked at: by the page, else since the page was made."""
    counted = _number(measured)
    if counted:
        return counted
    since = _number(rendered)
    return time.time() - since / 1000 if since else None


def _number(value: str) -> float | None:
    """Return the number that a script has written into a field, None for anything else."""
    try:
        number = float(value[:32])
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _to(set_id: int, place: int | None = None) -> RedirectResponse:
    return RedirectResponse(
        f"/reading/{set_id}" + ("" if place is None else f"?place={place}"), 303
    )
