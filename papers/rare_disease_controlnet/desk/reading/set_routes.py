"""Pages of sets, for researchers: films are chosen, readers named, the set opened and closed."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    Depends,
    Form,
    HTTPException,
    Path,
    Request,
    Response,
)
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from common.errors import InputError
from papers.rare_disease_controlnet.desk import uploads
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.reading import blinding, opening, room, sets
from papers.rare_disease_controlnet.desk.reading.held_out import held_out
from papers.rare_disease_controlnet.desk.tables import ReadingSet, SetItem, Upload, User

router = APIRouter()
_POSTS = ("synthetic", "real", "tests", "items/{item}/remove", "readers",
          "readers/{reader}/remove", "open", "close", "discard")  # fmt: skip
ACCESS: Access = {
    ("GET", "/sets"): RESEARCHERS,
    ("POST", "/sets"): RESEARCHERS,
    ("GET", "/sets/new"): RESEARCHERS,
    ("GET", "/sets/{set_id}"): RESEARCHERS,
    ("GET", "/sets/{set_id}/films/{item}"): RESEARCHERS,
    **{("POST", f"/sets/{{set_id}}/{what}"): RESEARCHERS for what in _POSTS},
}
EXPERIENCE = ("medical student", "resident", "physician", "radiologist", "chest radiologist")
Here = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(visitor_of)]
Text = Annotated[str, Form()]
Number = Annotated[int, Form(ge=0, lt=2**31)]
Id = Annotated[int, Path(ge=0, lt=2**31)]


async def _brought(request: Request) -> list[tuple[str, bytes]]:
    """Return names and contents of the files in a form, which was read for its token before."""
    sent = (await request.form()).getlist("films")
    files = [one for one in sent if isinstance(one, UploadFile)]
    return [(one.filename or "film", await one.read()) for one in files]


@router.get("/sets")
def listed(request: Request, desk: Here, who: Who) -> HTMLResponse:
    """Show all sets and how far their readers are."""
    with desk.read() as session:
        found = session.scalars(select(ReadingSet).order_by(ReadingSet.id.desc()))
        rows = [_row(session, who, one) for one in found]
    return page(request, "sets/list.html", rows=rows)


@router.get("/sets/new")
def new(request: Request) -> HTMLResponse:
    """Show the form of a new set."""
    return page(request, "sets/new.html", seed=secrets.randbelow(10**6))


@router.post("/sets")
def create(
    desk: Here, who: Who, name: Text, seed: Number, repeats: Number, instructions: Text = ""
) -> RedirectResponse:
    """Make a set; `repeats` in percent."""
    with desk.write() as session:
        maker = session.get_one(User, who.id)
        made = sets.create(session, maker, name, instructions, seed, repeats / 100)
    return _to(made.id)


@router.get("/sets/{set_id}")
def shown(request: Request, desk: Here, who: Who, set_id: Id) -> HTMLResponse:
    """Show a set: what is in it, who reads it, how far they are, and what can be done with it."""
    with desk.read() as session:
        one = _not_read_by(session, who, set_id)
        items = sets.items_of(session, set_id)
        draft = not one.opened
        values: dict[str, Any] = {
            "one": one,
            "maker": session.get_one(User, one.made_by).name,
            "items": items,
            "kinds": Counter(item.kind for item in items),
            "labels": sorted(Counter((item.label, item.kind) for item in items).items()),
            "readers": opening.readers_of(session, set_id),
            "progress": room.progress(session, set_id),
            "missing": opening.missing(session, one),
            "films": Counter(f.label for f in sets.candidates(session, set_id)) if draft else {},
            "people": _people(session, set_id) if draft else [],
            "experience": EXPERIENCE,
            "names": _names(session, items),
        }
    tests = held_out(desk.settings) if draft else None
    return page(request, "sets/set.html", **values, tests=tests)


@router.get("/sets/{set_id}/films/{item}")
def film(desk: Here, who: Who, set_id: Id, item: Id) -> Response:
    """Return a film of a set."""
    with desk.read() as session:
        _not_read_by(session, who, set_id)
        found = session.get(SetItem, item)
    if found is None or found.set_id != set_id:
        raise HTTPException(404, "no such film")
    headers = {"Cache-Control": "private, max-age=3600"}
    return Response(desk.store.get(found.shown), media_type="image/png", headers=headers)


@router.post("/sets/{set_id}/synthetic")
def add_synthetic(
    desk: Here, who: Who, set_id: Id, count: Number, label: Text = "", job: Text = ""
) -> RedirectResponse:
    """Add synthetic films of the corpus."""
    if job and not (job.isascii() and job.isdigit() and len(job) < 10):
        raise InputError(f"job {job[:20]!r}: give its number, or leave it empty")
    with desk.write() as session:
        _not_read_by(session, who, set_id)
        sets.add_synthetic(session, who.name, set_id, count, label, int(job) if job else None)
    return _to(set_id)


@router.post("/sets/{set_id}/real")
def add_real(
    desk: Here,
    who: Who,
    set_id: Id,
    label: Text,
    films: Annotated[list[tuple[str, bytes]], Depends(_brought)],
) -> RedirectResponse:
    """Add real films that are brought; of several, those that can be used."""
    accepted, refused = [], []
    for name, content in films:
        try:
            image = uploads.accept(content, name, desk.settings.limits)
            accepted.append(sets.Real(image, label, name))
        except InputError as reason:
            refused.append(str(reason))
    _add(desk, who, set_id, accepted)
    if refused:
        raise InputError(f"{len(accepted)} films added; not these: {'; '.join(refused)}")
    return _to(set_id)


@router.post("/sets/{set_id}/tests")
def add_tests(desk: Here, who: Who, set_id: Id, label: Text, count: Number) -> RedirectResponse:
    """Add real films that the engine's data set keeps for tests."""
    tests = held_out(desk.settings)
    if tests is None:
        raise InputError("test films: the engine's data is not prepared here; bring films instead")
    with desk.read() as session:
        seed = _not_read_by(session, who, set_id).seed
    _add(desk, who, set_id, tests.drawn(label, min(count, sets.MOST), (seed,)))
    return _to(set_id)


@router.post("/sets/{set_id}/items/{item}/remove")
def remove_item(desk: Here, who: Who, set_id: Id, item: Id) -> RedirectResponse:
    """Take a film out."""
    with desk.write() as session:
        _not_read_by(session, who, set_id)
        sets.remove_item(session, set_id, item)
    return _to(set_id)


@router.post("/sets/{set_id}/readers")
def add_reader(
    desk: Here, who: Who, set_id: Id, user: Number, experience: Text = ""
) -> RedirectResponse:
    """Name a reader."""
    with desk.write() as session:
        _not_read_by(session, who, set_id)
        sets.add_reader(session, who.name, set_id, user, experience)
    return _to(set_id, "#readers")


@router.post("/sets/{set_id}/readers/{reader}/remove")
def remove_reader(desk: Here, who: Who, set_id: Id, reader: Id) -> RedirectResponse:
    """Take a reader out."""
    with desk.write() as session:
        _not_read_by(session, who, set_id)
        sets.remove_reader(session, set_id, reader)
    return _to(set_id, "#readers")


@router.post("/sets/{set_id}/open")
def open_set(desk: Here, who: Who, set_id: Id) -> RedirectResponse:
    """Let the readers begin."""
    with desk.read() as session:
        _not_read_by(session, who, set_id)
    opening.open_set(desk, who.name, set_id)
    return _to(set_id)


@router.post("/sets/{set_id}/close")
def close_set(desk: Here, who: Who, set_id: Id, sure: Text = "") -> RedirectResponse:
    """End the reading, which cannot be taken back."""
    if sure != "yes":
        raise InputError("closing: cannot be taken back; say that you are sure")
    with desk.write() as session:
        _not_read_by(session, who, set_id)
        opening.close_set(session, who.name, set_id, desk.settings.limits)
    return _to(set_id)


@router.post("/sets/{set_id}/discard")
def discard(desk: Here, who: Who, set_id: Id) -> RedirectResponse:
    """Forget a set that was never opened."""
    with desk.write() as session:
        sets.discard(session, who.name, set_id)
    return RedirectResponse("/sets", 303)


def _add(desk: Desk, who: Visitor, set_id: int, films: list[sets.Real]) -> None:
    with desk.read() as session:
        _not_read_by(session, who, set_id)
        actor = session.get_one(User, who.id)
    if films:
        sets.add_real(desk, actor, set_id, films)


def _not_read_by(session: Session, who: Visitor, set_id: int) -> ReadingSet:
    """Return a set, unless the visitor reads it: then where its films come from is hidden."""
    found = session.get(ReadingSet, set_id)
    if found is None:
        raise HTTPException(404, "no such set")
    if blinding.reads(session, who.id, set_id):
        raise HTTPException(403, "you read this set, so what is in it is hidden until it is closed")
    return found


def _row(session: Session, who: Visitor, one: ReadingSet) -> dict[str, object]:
    """Return what the list says of a set; of one that the visitor reads, its name alone."""
    hidden = blinding.reads(session, who.id, one.id)
    counts = Counter(item.kind for item in sets.items_of(session, one.id))
    progress = room.progress(session, one.id).values()
    return {
        "one": one,
        "hidden": hidden,
        "counts": {} if hidden else counts,
        "readers": 0 if hidden else len(opening.readers_of(session, one.id)),
        "done": 0 if hidden else sum(done for done, _ in progress),
        "total": 0 if hidden else sum(total for _, total in progress),
    }


def _people(session: Session, set_id: int) -> list[tuple[User, str]]:
    """Return who might read a set, and why not where they cannot."""
    query = select(User).where(User.role.in_(sets.READ_BY), User.disabled.is_(False))
    people = session.scalars(query.order_by(User.name)).all()
    return [(one, " and ".join(blinding.knowing(session, set_id, one.id))) for one in people]


def _names(session: Session, items: list[SetItem]) -> dict[str, str]:
    """Return the names of the files that real films were brought in."""
    sources = [item.source for item in items if item.kind == "real"]
    found = session.scalars(select(Upload).where(Upload.sha256.in_(sources)))
    return {one.sha256: one.name for one in found}


def _to(set_id: int, part: str = "") -> RedirectResponse:
    return RedirectResponse(f"/sets/{set_id}{part}", 303)
