"""Pictures for researchers: films, what they follow, its edges, and previews."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import Response

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.access import RESEARCHERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.jobs import structures
from papers.rare_disease_controlnet.desk.jobs.known import known
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, bounds
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.desk.tables import Preview

router = APIRouter(dependencies=[Depends(unblinded)])  # no film for who reads an open set
ACCESS: Access = {
    ("GET", "/films/{film}"): RESEARCHERS,
    ("GET", "/jobs/{job}/preview/{number}"): RESEARCHERS,
    ("GET", "/structures/{key}/{view}"): RESEARCHERS,
}
Key = Annotated[int, Path(ge=1, le=2**31 - 1)]
Threshold = Annotated[int, Query(ge=bounds("canny_low")[0], le=bounds("canny_low")[1])]
_KEPT = "private, max-age=3600"  # by the browser: pictures that never change


@router.get("/films/{film}")
def film(film: Key, desk: Annotated[Desk, Depends(desk_of)]) -> Response:
    """Return a film of the corpus as it is kept."""
    with desk.read() as session:
        row = session.get(Film, film)
    if row is None:
        raise HTTPException(404, f"film {film}: there is no such film")
    return _picture(desk.store.get(row.sha256))


@router.get("/jobs/{job}/preview/{number}")
def preview(job: Key, number: Key, desk: Annotated[Desk, Depends(desk_of)]) -> Response:
    """Return the newest estimate of what a job draws, if it has reached this one."""
    with desk.read() as session:
        row = session.get(Preview, job)
    if row is None or row.number < number:
        raise HTTPException(404, f"job {job}: there is no such preview any more")
    return _picture(row.content, _KEPT if row.number == number else "no-store")


@router.get("/structures/{key}/{view}")
def structure(
    key: Annotated[str, Path(max_length=12)],
    view: Literal["film", "small", "edges"],
    desk: Annotated[Desk, Depends(desk_of)],
    visitor: Annotated[Visitor, Depends(visitor_of)],
    low: Threshold = Asked.canny_low,
    high: Threshold = Asked.canny_high,
) -> Response:
    """Return a film to be followed: whole, small, or the edges that the engine will see."""
    engine = known(desk)
    try:
        with desk.read() as session:
            film = structures.image(desk, session, visitor, key)
    except InputError as error:
        raise HTTPException(404, str(error)) from None
    if view == "small":
        return _picture(structures.small(film))
    if view == "edges":
        size = engine.config.data.size if engine else len(film)
        return _picture(png.encoded(structures.edges(film, size, low, high)))
    return _picture(png.encoded(film))


def _picture(content: bytes, kept: str = _KEPT) -> Response:
    return Response(content, media_type="image/png", headers={"Cache-Control": kept})
