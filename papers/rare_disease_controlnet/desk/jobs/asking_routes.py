"""The configurator: what can be asked of the engine, what comes of it, and the asking."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from secrets import randbelow
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from common.errors import InputError
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.jobs import asking, pace, structures
from papers.rare_disease_controlnet.desk.jobs.known import Known, known, presets, stage
from papers.rare_disease_controlnet.desk.jobs.queue_routes import one_job
from papers.rare_disease_controlnet.desk.jobs.spec import LONGEST, Asked, bounds, of_form, suggested
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.options import LAST

router = APIRouter(dependencies=[Depends(unblinded)])  # no film for who reads an open set
ACCESS: Access = {
    ("GET", "/jobs/new"): RESEARCHERS,
    ("POST", "/jobs/new"): RESEARCHERS,
    ("GET", "/jobs/outlook"): RESEARCHERS,
    ("POST", "/structures"): RESEARCHERS,
    ("POST", "/jobs"): RESEARCHERS,
}
EXTENTS = {"": "any size", "0.17": "small", "0.5": "moderate", "0.83": "large"}
SIDES = {"": "any side", "left": "left", "right": "right", "both": "both"}
SAMPLERS = {"unipc": "UniPC", "ddim": "DDIM", "pndm": "PNDM"}
CONTROLS = {"none": "nothing", "canny": "its edges (Canny)", "depth": "a map of depth"}
Here = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(visitor_of)]


@dataclass(frozen=True)
class Filled:
    """A form as it was filled in: texts by their fields' names, and perhaps a film."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    content: bytes = b""


async def filled(request: Request) -> Filled:
    """Return the form that was sent; a dependency of routes."""
    form = await request.form()
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    film = form.get("film")
    if isinstance(film, UploadFile) and film.filename:
        return Filled(texts, film.filename, await film.read())
    return Filled(texts)


Sent = Annotated[Filled, Depends(filled)]


@router.get("/jobs/new")
def new(
    request: Request,
    desk: Here,
    visitor: Who,
    like: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    preset: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """Show the configurator: as the engine draws by itself, by a preset, or as a job was asked."""
    engine = known(desk)
    if engine is None:
        return page(request, "jobs/no_engine.html", stage=stage(desk))
    fields = _defaults(engine) | _texts(presets().get(preset, {}))
    if like is not None:
        asked = one_job(like, desk, visitor).asked
        if asked is None:
            raise HTTPException(404, f"job {like}: was not asked for at a desk")
        fields = _texts(asked.spec()) | {"seeding": "fixed"}
        if asked.structure:
            fields["structure"] = f"j{like}"
        if asked.prompt == _suggestion(fields, engine):
            fields["prompt"] = ""
    return _configurator(request, desk, visitor, engine, fields)


@router.post("/jobs/new")
def look(request: Request, desk: Here, visitor: Who, sent: Sent) -> HTMLResponse:
    """Show the configurator again as it was filled in, with what would come of it."""
    engine = _needed(desk)
    fields, problem = sent.fields, ""
    try:
        fields = _brought(desk, visitor, engine, sent)
        _asked(desk, visitor, engine, fields)
    except InputError as error:
        problem = str(error)
    return _configurator(request, desk, visitor, engine, fields, problem)


@router.get("/jobs/outlook")
def outlook(request: Request, desk: Here, visitor: Who) -> JSONResponse:
    """Tell a script what would come of a form: the prompt, the time, or what is wrong."""
    engine, fields = _needed(desk), dict(request.query_params)
    told = {"prompt": _suggestion(fields, engine), "time": "", "problem": ""}
    try:
        asked = _asked(desk, visitor, engine, fields)
        told["time"] = _time(desk, engine, asked)
    except InputError as error:
        told["problem"] = str(error)
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


@router.post("/structures")
def bring(desk: Here, visitor: Who, sent: Sent) -> JSONResponse:
    """Keep a film that a script sends; tell its key."""
    if not sent.content:
        raise InputError("film: nothing was sent; choose a PNG, JPEG or DICOM file")
    size = _needed(desk).config.data.size
    key = structures.bring(desk, visitor, sent.content, sent.name, size)
    with desk.read() as session:
        name = dict(structures.choices(session, visitor, key))[key]
    return JSONResponse({"key": key, "name": name}, 201)


@router.post("/jobs")
def ask(request: Request, desk: Here, visitor: Who, sent: Sent) -> Response:
    """Queue what was asked for, or show the form again with what is wrong."""
    engine = _needed(desk)
    fields = sent.fields
    try:
        fields = _brought(desk, visitor, engine, sent)
        asked = _asked(desk, visitor, engine, fields)
        if sent.content and asked.control != "none":
            note = "this is what the engine will follow; if it is right, queue the job"
            return _configurator(request, desk, visitor, engine, fields, note=note)
        with desk.write() as session:
            job = asking.ask(session, asked, visitor, desk.settings.limits)
    except InputError as error:
        return _configurator(request, desk, visitor, engine, fields, str(error))
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _configurator(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    engine: Known,
    fields: dict[str, str],
    problem: str = "",
    note: str = "",
) -> HTMLResponse:
    fields = _defaults(engine) | fields
    time = ""
    with suppress(InputError):  # which was said, unless nothing was filled in yet
        time = _time(desk, engine, _asked(desk, visitor, engine, fields))
    with desk.read() as session:
        chosen = _usable(session, visitor, fields["structure"])
        listed = structures.choices(session, visitor, chosen)
    extent = fields["extent"]
    return page(
        request,
        "jobs/new.html",
        422 if problem else 200,
        fields=fields,
        problem=problem,
        note=note,
        time=time,
        labels=engine.labels,
        rare=engine.config.data.rare,
        sides=SIDES,
        extents=EXTENTS | ({} if extent in EXTENTS else {extent: f"extent {extent}"}),
        controls={name: CONTROLS[name] for name in engine.controls},
        samplers=SAMPLERS,
        presets={name: _texts(values) for name, values in presets().items()},
        structures=listed,
        chosen=chosen,
        suggestion=_suggestion(fields, engine),
        bounds=bounds,
        most=desk.settings.limits.films,
        longest=LONGEST,
        last=LAST,
        size=engine.config.data.size,
    )


def _needed(desk: Desk) -> Known:
    if (engine := known(desk)) is None:
        raise InputError("engine: none is trained yet; wait until it is, see the queue's page")
    return engine


def _defaults(engine: Known) -> dict[str, str]:
    """Return the form as it is before anything is filled in."""
    known_by = asdict(engine.options)
    own = {name: known_by[name] for name in ("guidance", "steps", "sampler", "negative")}
    own |= {name: known_by[name] for name in ("canny_low", "canny_high")}
    fields = _texts(asdict(Asked(engine.labels[0], "any")) | own)
    strength = known_by["control"]
    return fields | {"prompt": "", "strength": f"{strength:g}", "seeding": "new"}


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Return values as a form has them, a preset's under the form's own names."""
    names = {"control": "strength"} if isinstance(values.get("control"), float) else {}
    texts = {
        names.get(name, name): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return {"structure": "", "extent": ""} | texts if "label" in values else texts


def _brought(desk: Desk, visitor: Visitor, engine: Known, sent: Filled) -> dict[str, str]:
    """Return the fields of a form, the film that came with it chosen."""
    if not sent.content:
        return sent.fields
    size = engine.config.data.size
    key = structures.bring(desk, visitor, sent.content, sent.name, size)
    fields = sent.fields | {"structure": key}
    if fields.get("control", "none") == "none":
        fields["control"] = engine.controls[-1]
    return fields


def _asked(desk: Desk, visitor: Visitor, engine: Known, fields: dict[str, str]) -> Asked:
    """Return what a form asks for; raises `InputError` for what cannot be asked."""
    structure = None
    key = fields.get("structure", "")
    if key and fields.get("control", "none") != "none":
        with desk.read() as session:
            structure = structures.sha256_of(session, visitor, key)
    if not " ".join(fields.get("prompt", "").split()):
        fields = fields | {"prompt": _suggestion(fields, engine)}
    asked = of_form(fields, randbelow(LAST + 1 - desk.settings.limits.films), structure)
    engine.check(asked)
    if asked.count > (most := desk.settings.limits.films):
        raise InputError(f"count {asked.count}: expected from 1 to {most} films a job")
    return asked


def _suggestion(fields: dict[str, str], engine: Known) -> str:
    """Return the prompt for the label, side and extent of a form; empty for what is none."""
    wish = {name: fields.get(name, "") for name in ("label", "side", "extent")}
    try:
        asked = of_form(wish | {"prompt": "any"}, 0, None)
    except InputError:
        return ""
    return suggested(asked.label, asked.side, asked.extent, engine.config.engine.label)


def _usable(session: Session, visitor: Visitor, key: str) -> str:
    """Return the key of a structure if the visitor may use it, else nothing."""
    try:
        structures.sha256_of(session, visitor, key)
    except InputError:
        return ""
    return key


def _time(desk: Desk, engine: Known, asked: Asked) -> str:
    """Return how long films will take, in words; empty where it was never measured."""
    with desk.read() as session:
        speed = pace.speed_of(session, engine.work(asked))
    return pace.in_words(asked.count * speed.film(asked.steps)) if speed else ""
