"""The report of a set that is closed: a page, its figures, files to take, and a reader's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, Response

from papers.rare_disease_controlnet.desk.access import MEMBERS, RESEARCHERS, Access, visitor_of
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.reports import figures
from papers.rare_disease_controlnet.desk.reports.document import document
from papers.rare_disease_controlnet.desk.reports.files import structured, table
from papers.rare_disease_controlnet.desk.reports.findings import Findings, findings
from papers.rare_disease_controlnet.desk.reports.latex import latex
from papers.rare_disease_controlnet.desk.reports.mine import mine
from papers.rare_disease_controlnet.desk.reports.pdf import pdf
from papers.rare_disease_controlnet.desk.reports.source import own, source

router = APIRouter()
REPORT = "/sets/{set_id}/report"
ACCESS: Access = {
    ("GET", REPORT): RESEARCHERS,
    ("GET", f"{REPORT}/figures/{{name}}"): RESEARCHERS,
    ("GET", f"{REPORT}/files/{{kind}}"): RESEARCHERS,
    ("GET", f"{REPORT}/mine"): MEMBERS,
}
NO_STORE = {"Cache-Control": "no-store"}
# a figure opened by itself has styles of its own, and nothing else
SVG_ONLY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Kind(NamedTuple):
    """A kind of file: how it is made, and what it is."""

    made: Callable[[Findings], bytes]
    ending: str
    media: str


KINDS = {
    "pdf": Kind(lambda found: pdf(document(found), found), "pdf", "application/pdf"),
    "latex": Kind(lambda found: latex(document(found)).encode(), "tex", "application/x-tex"),
    "csv": Kind(lambda found: table(found).encode("utf-8-sig"), "csv", "text/csv"),
    "json": Kind(lambda found: structured(found).encode(), "json", "application/json"),
}
SetId = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what a database takes for a key
Here = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(visitor_of)]


@router.get(REPORT)
def report(request: Request, set_id: SetId, desk: Here, names: bool = False) -> HTMLResponse:
    """Show the report; readers have their names only where these are asked for."""
    found = _findings(desk, set_id, names)
    return page(
        request,
        "reports/report.html",
        set_id=set_id,
        names=names,
        report=document(found),
        kinds=tuple(KINDS),
    )


@router.get(f"{REPORT}/figures/{{name}}")
def figure(set_id: SetId, name: str, desk: Here, names: bool = False) -> Response:
    """Send a figure of the report."""
    if name not in figures.FIGURES:
        raise HTTPException(404, "there is no such figure")
    content = figures.svg(name, _findings(desk, set_id, names))
    return Response(content, media_type="image/svg+xml", headers=NO_STORE | SVG_ONLY)


@router.get(f"{REPORT}/files/{{kind}}")
def file(set_id: SetId, kind: str, desk: Here, who: Who, names: bool = False) -> Response:
    """Send the report as a file, and log that it was taken."""
    if kind not in KINDS:
        raise HTTPException(404, "there is no such file")
    content = KINDS[kind].made(_findings(desk, set_id, names))
    with desk.write() as session:
        detail = {"file": kind, "names": names}
        log.record(session, who.name, "report taken", f"set {set_id}", detail)
    name = f"report-{set_id}.{KINDS[kind].ending}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=KINDS[kind].media, headers=NO_STORE | disposition)


@router.get(f"{REPORT}/mine")
def own_results(request: Request, set_id: SetId, desk: Here, who: Who) -> HTMLResponse:
    """Show a reader what came of their own reading, and nothing of others."""
    with desk.read() as session:
        reader = own(session, set_id, who.id)
        read = source(session, set_id, only=reader)
    return page(request, "reports/mine.html", set_id=set_id, results=mine(findings(read)))


def _findings(desk: Desk, set_id: int, names: bool) -> Findings:
    with desk.read() as session:
        return findings(source(session, set_id, names=names))
