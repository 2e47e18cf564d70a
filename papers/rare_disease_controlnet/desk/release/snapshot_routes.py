"""Pages of snapshots: freezing one, what there is, and handing one out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from papers.rare_disease_controlnet.corpus.export import export
from papers.rare_disease_controlnet.corpus.tables import Snapshot, SnapshotFilm
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.release import card, gate, shelf
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.desk.release.retention import EXPORTS

router = APIRouter()
ACCESS: Access = {
    ("GET", "/corpus/snapshots"): RESEARCHERS,
    ("POST", "/corpus/snapshots"): RESEARCHERS,
    ("GET", "/corpus/snapshots/{snapshot}/card"): RESEARCHERS,
    ("POST", "/corpus/snapshots/{snapshot}/download"): RESEARCHERS,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(unblinded)]


@router.get("/corpus/snapshots")
def snapshots(request: Request, desk: TheDesk, _: Who) -> HTMLResponse:
    """Show all snapshots, the newest first, and what a new one would hold."""
    with desk.read() as session:
        counts = (
            select(SnapshotFilm.snapshot_id, func.count().label("films"))
            .group_by(SnapshotFilm.snapshot_id)
            .subquery()
        )
        query = select(Snapshot, counts.c.films).join(counts, counts.c.snapshot_id == Snapshot.id)
        rows = session.execute(query.order_by(Snapshot.id.desc())).all()
        return page(
            request,
            "release/snapshots.html",
            rows=[(snapshot, films) for snapshot, films in rows],
            counts=shelf.counts(session),
            longest=gate.LONGEST,
        )


@router.post("/corpus/snapshots")
def freeze(desk: TheDesk, visitor: Who, name: Annotated[str, Form()]) -> RedirectResponse:
    """Freeze the accepted films."""
    with desk.write() as session:
        gate.freeze(session, name, visitor.name)
    return RedirectResponse("/corpus/snapshots", 303)


@router.get("/corpus/snapshots/{snapshot}/card")
def data_card(desk: TheDesk, _: Who, snapshot: int) -> PlainTextResponse:
    """Return the data card."""
    with desk.read() as session:
        text = card.data_card(session, one_of(session, snapshot))
    return PlainTextResponse(text, headers={"Cache-Control": "no-store"})


@router.post("/corpus/snapshots/{snapshot}/download")
def download(
    desk: TheDesk, visitor: Who, snapshot: int, followed: Annotated[bool, Form()] = False
) -> FileResponse:
    """Hand out a snapshot as a ZIP file: logged, without names of readers.

    With `followed`, it holds what the films were drawn after too: films of patients.
    """
    with desk.read() as session:
        chosen = one_of(session, snapshot)
        gate.check(session, chosen.id)
        text, called = card.data_card(session, chosen), card.pseudonyms(session)
    (parent := desk.settings.folder / EXPORTS).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    remove: Callable[[], None] = lambda: shutil.rmtree(folder, ignore_errors=True)  # noqa: E731
    try:
        file = folder / "films.zip"
        more = {card.NAME: text.encode()}
        export(desk.corpus, file, snapshot=chosen.name, followed=followed, called=called, more=more)
        with desk.write() as session:
            told = {"content": chosen.content, "followed": followed}
            log.record(session, visitor.name, "snapshot handed out", gate.subject(chosen.id), told)
    except BaseException:
        remove()
        raise
    return FileResponse(
        file,
        media_type="application/zip",
        filename=f"films-{chosen.content[:12]}.zip",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(remove),
    )


def one_of(session: Session, snapshot: int) -> Snapshot:
    """Return a snapshot; raises `HTTPException` 404 where there is none."""
    found = session.get(Snapshot, snapshot) if 0 < snapshot < 2**31 else None
    if found is None:
        raise HTTPException(404, f"snapshot {snapshot}: there is no such snapshot")
    return found
