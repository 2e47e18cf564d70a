"""Pages of the corpus: films by state, one film with all that is known of it, and what to do."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from papers.rare_disease_controlnet.corpus.decisions import LONGEST, decide
from papers.rare_disease_controlnet.corpus.tables import Decision, Film
from papers.rare_disease_controlnet.desk.access import ADMINS, RESEARCHERS, Access
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk, desk_of
from papers.rare_disease_controlnet.desk.pages import page
from papers.rare_disease_controlnet.desk.release import again, gate, shelf, words
from papers.rare_disease_controlnet.desk.release.blind import unblinded
from papers.rare_disease_controlnet.desk.release.gate import State
from papers.rare_disease_controlnet.desk.tables import Likeness

WITHDRAWAL = "withdrawal"  # the kind of an admin's decision
TITLES: dict[State, str] = {
    "accepted": "Accepted",
    "undecided": "Undecided",
    "rejected": "Rejected",
    "held": "Held back",
}
MEANINGS: dict[State, str] = {
    "accepted": "A reader calls them legitimate, none artefacted, and they are no copies. The next "
    "snapshot takes them.",
    "undecided": "Nobody has judged them yet. Put them into a set to have them read.",
    "rejected": "A reader calls them artefacted, or they were withdrawn. They are drawn again with "
    "a new seed, a few times at most.",
    "held": "Too near to a film of a patient, or accepted and not yet compared with the films that "
    "the engine learned from. They enter no snapshot.",
}
router = APIRouter()
ACCESS: Access = {
    ("GET", "/corpus"): RESEARCHERS,
    ("POST", "/corpus/again"): RESEARCHERS,
    ("GET", "/corpus/films/{film}"): RESEARCHERS,
    ("GET", "/corpus/films/{film}/image"): RESEARCHERS,
    ("GET", "/corpus/films/{film}/nearest"): RESEARCHERS,
    ("POST", "/corpus/films/{film}/again"): RESEARCHERS,
    ("POST", "/corpus/films/{film}/withdraw"): ADMINS,
    ("POST", "/corpus/films/{film}/restore"): ADMINS,
}
TheDesk = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Visitor, Depends(unblinded)]


@router.get("/corpus")
def corpus(
    request: Request, desk: TheDesk, _: Who, state: State = "accepted", label: str = "",
    number: int = 1,
) -> HTMLResponse:  # fmt: skip
    """Show films of one state."""
    number = min(max(1, number), 10**6)
    with desk.read() as session:
        known = shelf.labels(session)
        label = label if label in known else ""
        return page(
            request,
            "release/corpus.html",
            state=state,
            label=label,
            labels=known,
            number=number,
            titles=TITLES,
            meaning=MEANINGS[state],
            counts=shelf.counts(session, label),
            shelf=shelf.page_of(session, state, label, number),
        )


@router.post("/corpus/again")
def all_again(desk: TheDesk, visitor: Who) -> RedirectResponse:
    """Have all rejected films drawn again that can be."""
    with desk.write() as session:
        again.all_again(session, visitor.name, desk.settings.limits)
    return RedirectResponse("/jobs", 303)


@router.get("/corpus/films/{film}")
def one_film(request: Request, desk: TheDesk, _: Who, film: int) -> HTMLResponse:
    """Show a film, how it came to be, what was decided, and what it is most like."""
    with desk.read() as session:
        found = _film(session, film)
        decisions = shelf.decisions(session, found)
        state = gate.state_of(session, found)
        parent, generation = words.family(session, found)
        return page(
            request,
            "release/film.html",
            film=found,
            state=state,
            title=TITLES[state],
            lineage=words.lineage(session, found),
            likeness=session.get(Likeness, found.sha256),
            decisions=decisions,
            reasons={one.id: json.loads(one.reasons) for one in decisions},
            opinion=shelf.counted(decisions),
            withdrawn=any(_is_withdrawal(one) for one in decisions),
            parent=parent,
            generation=generation,
            children=words.children(session, found),
            child_job=again.child(session, found),
            why_not=again.why_not(session, found, desk.settings.limits),
        )


@router.get("/corpus/films/{film}/image")
def image(desk: TheDesk, _: Who, film: int) -> Response:
    """Return the film's picture."""
    with desk.read() as session:
        sha256 = _film(session, film).sha256
    return _picture(desk, sha256)


@router.get("/corpus/films/{film}/nearest")
def nearest(desk: TheDesk, _: Who, film: int) -> Response:
    """Return the picture of the patient's film that a film is most like."""
    with desk.read() as session:
        likeness = session.get(Likeness, _film(session, film).sha256)
    if likeness is None:
        raise HTTPException(404, f"film {film}: was not compared yet")
    return _picture(desk, likeness.nearest)


@router.post("/corpus/films/{film}/again")
def film_again(desk: TheDesk, visitor: Who, film: int) -> RedirectResponse:
    """Have a film drawn again."""
    with desk.write() as session:
        job = again.draw_again(session, _film(session, film), visitor.name, desk.settings.limits).id
    return RedirectResponse(f"/jobs/{job}", 303)


@router.post("/corpus/films/{film}/withdraw")
def withdraw(
    desk: TheDesk, visitor: Who, film: int, reason: Annotated[str, Form(max_length=LONGEST)]
) -> RedirectResponse:
    """Take a film out of the corpus, whatever readers say: it enters no further snapshot."""
    if not (reason := reason.strip()):
        raise HTTPException(422, "reason: is empty; say why, for those who look at the film later")
    with desk.write() as session:
        decide(
            session,
            _film(session, film).id,
            reviewer=visitor.name,
            kind=WITHDRAWAL,
            verdict="rejected",
            comment=reason,
        )
        log.record(session, visitor.name, "film withdrawn", f"film {film}")
    return RedirectResponse(f"/corpus/films/{film}", 303)


@router.post("/corpus/films/{film}/restore")
def restore(desk: TheDesk, visitor: Who, film: int) -> RedirectResponse:
    """Take a withdrawal back, so that what readers say counts again."""
    with desk.write() as session:
        found = _film(session, film)
        for one in shelf.decisions(session, found):
            if _is_withdrawal(one):
                decide(
                    session, one.film_id, reviewer=visitor.name, kind=WITHDRAWAL,
                    verdict="withdrawn", supersedes=one.id,
                )  # fmt: skip
        log.record(session, visitor.name, "film restored", f"film {film}")
    return RedirectResponse(f"/corpus/films/{film}", 303)


def _film(session: Session, film: int) -> Film:
    found = session.get(Film, film) if 0 < film < 2**31 else None
    if found is None:
        raise HTTPException(404, f"film {film}: there is no such film")
    return found


def _is_withdrawal(decision: Decision) -> bool:
    return (decision.kind, decision.verdict) == (WITHDRAWAL, "rejected")


def _picture(desk: Desk, sha256: str) -> Response:
    """Return a file of the store; a name of bytes never means others, so it is kept for a day."""
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(desk.store.get(sha256), media_type="image/png", headers=headers)
