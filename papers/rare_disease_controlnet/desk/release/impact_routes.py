"""Pages of what came of it: classifiers trained with a snapshot, in numbers that were measured."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.tables import Snapshot
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.release import chart, retraining
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.desk.release.snapshot_routes import one_of
from papers.rare_disease_controlnet.desk.tables import Retraining, User

router = APIRouter()
ACCESS: Access = {
    ("GET", "/impact"): RESEARCHERS,
    ("POST", "/impact"): RESEARCHERS,
    ("GET", "/impact/{retraining_id}"): RESEARCHERS,
    ("GET", "/impact/{retraining_id}/progress"): RESEARCHERS,
    ("POST", "/impact/{retraining_id}/stop"): RESEARCHERS,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(unblinded)]
_COUNTED = re.compile(r"(\d+) of (\d+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Trained:
    """A retraining as pages show it."""

    row: Retraining
    snapshot: Snapshot
    asked_by: str

    @property
    def results(self) -> dict[str, Any] | None:
        """Return what was measured; None while nothing was."""
        return None if self.row.metrics is None else json.loads(self.row.metrics)

    @property
    def progress(self) -> tuple[int, int, str]:
        """Return how many pieces of work it has begun, of how many, and what it is at."""
        if found := _COUNTED.fullmatch(self.row.stage):
            return int(found[1]), int(found[2]), found[3]
        return 0, 0, self.row.stage


@router.get("/impact")
def impact(request: Request, desk: TheDesk, _: Who) -> HTMLResponse:
    """Show all retrainings, the newest first."""
    with desk.read() as session:
        found = session.execute(_query().order_by(Retraining.id.desc())).all()
        frozen = session.scalars(select(Snapshot).order_by(Snapshot.id.desc())).all()
        return page(
            request,
            "release/impact.html",
            trained=[Trained(*row) for row in found],
            snapshots=frozen,
        )


@router.post("/impact")
def ask(desk: TheDesk, visitor: Who, snapshot: Annotated[int, Form()]) -> RedirectResponse:
    """Have classifiers trained with a snapshot."""
    with desk.write() as session:
        user = session.get_one(User, visitor.id)
        row = retraining.ask(session, one_of(session, snapshot), user)
    return RedirectResponse(f"/impact/{row.id}", 303)


@router.get("/impact/{retraining_id}")
def one_retraining(request: Request, desk: TheDesk, _: Who, retraining_id: int) -> HTMLResponse:
    """Show a retraining: how far it is, or what came of it."""
    with desk.read() as session:
        trained = _trained(session, retraining_id)
        results = trained.results
        return page(
            request,
            "release/retraining.html",
            trained=trained,
            results=results,
            chart=chart.of(results) if results else None,
        )


@router.get("/impact/{retraining_id}/progress")
def progress(desk: TheDesk, _: Who, retraining_id: int) -> dict[str, Any]:
    """Return how far a retraining is, for the page's script."""
    with desk.read() as session:
        trained = _trained(session, retraining_id)
    done, total, stage = trained.progress
    return {"state": trained.row.state, "done": done, "total": total, "stage": stage}


@router.post("/impact/{retraining_id}/stop")
def stop(desk: TheDesk, visitor: Who, retraining_id: int) -> RedirectResponse:
    """Stop a retraining; one with the same snapshot goes on from there."""
    with desk.write() as session:
        row = _trained(session, retraining_id).row
        if row.asked_by != visitor.id and visitor.role != "admin":
            raise HTTPException(403, f"retraining {row.id}: is somebody else's")
        retraining.stop(session, row.id, visitor.name)
    return RedirectResponse(f"/impact/{retraining_id}", 303)


def _query() -> Any:
    return (
        select(Retraining, Snapshot, User.name)
        .join(Snapshot, Snapshot.id == Retraining.snapshot_id)
        .join(User, User.id == Retraining.asked_by)
    )


def _trained(session: Session, number: int) -> Trained:
    row = None
    if 0 < number < 2**31:
        row = session.execute(_query().where(Retraining.id == number)).first()
    if row is None:
        raise HTTPException(404, f"retraining {number}: there is none of this number")
    return Trained(*row)
