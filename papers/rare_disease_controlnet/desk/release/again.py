"""A film that is rejected or held back is drawn again: once, with a new seed, up to a limit."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.spec import of_spec
from papers.rare_disease_controlnet.desk.release.gate import is_in, state_of
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import JobDetail, User
from papers.rare_disease_controlnet.options import LAST


def draw_again(session: Session, film: Film, actor: str, limits: Limits) -> Job:
    """Return the job that draws a film again: asked for as the film was, with a new seed.

    It belongs to whoever asked for the film, and counts against none of their limits.

    Raises:
        InputError: why it cannot be drawn again.
    """
    # holds the row, so that of two at the same time the second one sees the first one's job
    session.scalar(select(Film.id).where(Film.id == _first(session, film)).with_for_update())
    if reason := why_not(session, film, limits):
        raise InputError(f"film {film.id}: {reason}")
    before, detail = session.get_one(Job, film.job_id), session.get_one(JobDetail, film.job_id)
    asked = replace(of_spec(json.loads(before.spec)), seed=secrets.randbelow(LAST + 1), count=1)
    owner, generation = session.get_one(User, detail.owner), detail.generation + 1
    job = ask(session, asked, owner, limits, parent=film.id, generation=generation)
    told = {"job": job.id, "generation": generation}
    log.record(session, actor, "film drawn again", f"film {film.id}", told)
    return job


def why_not(session: Session, film: Film, limits: Limits) -> str:
    """Return why a film cannot be drawn again; empty where it can be."""
    detail = session.get(JobDetail, film.job_id)
    if detail is None:
        return "nobody at this desk asked for it, so nobody can have it drawn again"
    if state_of(session, film) not in ("rejected", "held"):
        return "it is not rejected, so it is not drawn again"
    if (job := child(session, film)) is not None:
        return f"it is drawn again already, by job {job}"
    if detail.generation >= limits.generations:
        return f"it was drawn again {detail.generation} times; ask for it in other words"
    return ""


def child(session: Session, film: Film) -> int | None:
    """Return the job that draws a film, or one of the same bytes, again; None if there is none."""
    equal = select(Film.id).where(Film.sha256 == film.sha256)
    return session.scalar(select(JobDetail.job_id).where(JobDetail.parent.in_(equal)).limit(1))


def all_again(
    session: Session, actor: str, limits: Limits, among: Sequence[int] | None = None
) -> list[Job]:
    """Draw all rejected films again that can be, or those with these keys; return the jobs."""
    query = select(Film).where(is_in("rejected")).order_by(Film.id)
    if among is not None:
        query = query.where(Film.id.in_(among))
    return [
        draw_again(session, film, actor, limits)
        for film in session.scalars(query).all()
        if not why_not(session, film, limits)
    ]


def _first(session: Session, film: Film) -> int | None:
    """Return the first film of the same bytes, for which all of them stand in line."""
    query = select(Film.id).where(Film.sha256 == film.sha256).order_by(Film.id).limit(1)
    return session.scalar(query)
