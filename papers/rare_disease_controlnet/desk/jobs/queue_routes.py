"""The queue's pages: all jobs, one job as it is drawn, and what can be done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from secrets import randbelow
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.jobs import asking, listing
from papers.rare_disease_controlnet.desk.jobs.asking import Action
from papers.rare_disease_controlnet.desk.jobs.known import Known, known, stage
from papers.rare_disease_controlnet.desk.jobs.listing import Seen
from papers.rare_disease_controlnet.desk.jobs.watching import POLL, watched
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.options import LAST

router = APIRouter(dependencies=[Depends(unblinded)])  # no film for who reads an open set
ACCESS: Access = {
    ("GET", "/jobs"): RESEARCHERS,
    ("GET", "/jobs/{job}"): RESEARCHERS,
    ("GET", "/jobs/{job}/events"): RESEARCHERS,
    ("POST", "/jobs/{job}/vary"): RESEARCHERS,
    ("POST", "/jobs/{job}/{action}"): RESEARCHERS,
}
Key = Annotated[int, Path(ge=1, le=2**31 - 1)]
Here = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(visitor_of)]
_STREAM = 300.0  # seconds after which a browser must show its cookie again


@router.get("/jobs")
def all_jobs(request: Request, desk: Here, visitor: Who) -> HTMLResponse:
    """Show what runs and waits, and what ended lately."""
    engine = engine_of(desk)
    with desk.read() as session:
        shown = listing.seen(session, visitor, engine)
    return page(
        request,
        "jobs/list.html",
        open=[one for one in shown if one.is_open],
        ended=[one for one in shown if not one.is_open],
        engine=engine,
        stage=stage(desk),
        quiet=listing.is_quiet(shown, now()),
    )


def one_job(job: Key, desk: Here, visitor: Who) -> Seen:
    """Return the job that an address names; a dependency of routes."""
    with desk.read() as session:
        found = listing.seen(session, visitor, engine_of(desk), [job])
    if not found:
        raise HTTPException(404, f"job {job}: there is no such job")
    return found[0]


@router.get("/jobs/{job}")
def job_page(
    request: Request, desk: Here, shown: Annotated[Seen, Depends(one_job)]
) -> HTMLResponse:
    """Show a job: what it draws right now, its films, and what was asked for."""
    engine = engine_of(desk)
    return page(
        request,
        "jobs/job.html",
        one=shown,
        engine=engine,
        stage=stage(desk),
        most=desk.settings.limits.films,
        told=told(shown),
    )


@router.get("/jobs/{job}/events", response_class=EventSourceResponse)
async def events(
    desk: Here, visitor: Who, shown: Annotated[Seen, Depends(one_job)]
) -> AsyncIterator[ServerSentEvent]:
    """Tell how far a job is, now and whenever that changes, until it has ended."""
    job, begun, last = shown.job.id, monotonic(), dict[str, Any]()
    with watched(desk, shown) as one:
        while monotonic() < begun + _STREAM:
            shown = await one.now(lambda: one_job(job, desk, visitor))
            if (state := told(shown)) != last:
                yield ServerSentEvent(data=state, event="progress", id=str(shown.preview or 0))
                last = state
            if not shown.is_open:
                yield ServerSentEvent(data={}, event="end")
                return
            await asyncio.sleep(POLL)


@router.post("/jobs/{job}/vary")
def vary(
    job: Key,
    count: Annotated[int, Form(ge=1, le=10_000)],
    desk: Here,
    visitor: Who,
    shown: Annotated[Seen, Depends(one_job)],
) -> RedirectResponse:
    """Ask for as many films again that differ by their seeds alone."""
    if shown.asked is None:
        raise InputError(f"job {job}: was not asked for at a desk; ask for films anew")
    seed = randbelow(LAST + 2 - count)
    with desk.write() as session:
        wish = replace(shown.asked, seed=seed, count=count)
        made = asking.ask(session, wish, visitor, desk.settings.limits)
    return RedirectResponse(f"/jobs/{made.id}", 303)


@router.post("/jobs/{job}/{action}")
def act(job: Key, action: Action, request: Request, desk: Here, visitor: Who) -> RedirectResponse:
    """Do with a job what its owner or an admin wants; lead back to where they were."""
    with desk.write() as session:
        asking.act(session, visitor, job, action, desk.settings.limits)
    queue = request.headers.get("referer", "").endswith("/jobs")
    return RedirectResponse("/jobs" if queue else f"/jobs/{job}", 303)


def told(shown: Seen) -> dict[str, Any]:
    """Return what a script is told of a job."""
    return {
        "state": shown.job.state,
        "stage": shown.detail.stage,
        "done": shown.done,
        "all": shown.all,
        "step": shown.detail.step,
        "steps": shown.detail.steps,
        "films": list(shown.films),
        "preview": shown.preview,
        "place": shown.place,
        "left": shown.left,
    }


def engine_of(desk: Desk) -> Known | None:
    """Return the engine that draws now; None also where the one that was named is none."""
    try:
        return known(desk)
    except InputError:
        return None
