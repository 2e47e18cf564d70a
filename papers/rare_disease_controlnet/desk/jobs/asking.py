"""Asking for films within one's limits, and what people do with jobs: each is logged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from fastapi import HTTPException
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import queue
from papers.rare_disease_controlnet.corpus.tables import Job, now
from papers.rare_disease_controlnet.desk.accounts.sessions import Visitor
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.jobs.progress import rest
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import AuditEntry, JobDetail, User

Person = User | Visitor
Action = Literal["cancel", "pause", "resume", "retry", "first", "up", "down"]
OPEN = ("queued", "paused", "running")
_STATES: dict[str, Callable[[Session, int], None]] = {
    "cancel": queue.cancel,
    "pause": queue.pause,
    "resume": queue.resume,
    "retry": queue.retry,
}
_DONE = {"cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "retried"}
_HOUR = timedelta(hours=1)
_CHANGES = 5  # of jobs in an hour, times the jobs that may be asked for


def ask(
    session: Session,
    asked: Asked,
    owner: Person,
    limits: Limits,
    *,
    parent: int | None = None,
    generation: int = 0,
    at: datetime | None = None,
) -> Job:
    """Return a new job of a user's.

    Args:
        session: one that writes.
        asked: what to draw.
        owner: whose the job is.
        limits: of one user. A job that draws a rejected film again counts against none but that of
            the films.
        parent: the film that it draws again.
        generation: how often that was.
        at: the time, if it is not now.

    Raises:
        InputError: more than the limits admit.
    """
    at = at or now()
    if asked.count > limits.films:
        raise InputError(f"count {asked.count}: expected from 1 to {limits.films} films a job")
    if parent is None:
        _check_limits(session, owner, limits, at)
    job = queue.enqueue(session, asked.spec(), asked_by=owner.name, at=at)
    session.add(
        JobDetail(
            job_id=job.id,
            owner=owner.id,
            films=asked.count,
            steps=asked.steps,
            parent=parent,
            generation=generation,
            updated=at,
        )
    )
    session.flush()
    told = {"label": asked.label, "films": asked.count}
    again = {} if parent is None else {"parent": parent, "generation": generation}
    record(session, owner.name, "job asked", f"job {job.id}", told | again, at=at)
    return job


def act(
    session: Session,
    visitor: Person,
    job: int,
    action: Action,
    limits: Limits,
    *,
    at: datetime | None = None,
) -> None:
    """Do with a job what its owner or an admin wants.

    Raises:
        HTTPException: 404 for no such job, 403 for somebody else's, 429 for too much of it.
        InputError: the job's state does not admit it.
    """
    at = at or now()
    detail = session.get(JobDetail, job)
    if detail is None:
        raise HTTPException(404, f"job {job}: there is no such job")
    if not may_change(visitor, detail):
        raise HTTPException(403, f"job {job}: is somebody else's")
    if action not in _STATES:
        _reorder(session, job, action)
        return
    _lock(session, visitor)
    changes = select(func.count()).where(
        AuditEntry.actor == visitor.name,
        AuditEntry.action.startswith("job "),
        AuditEntry.at > at - _HOUR,
    )
    if (session.scalar(changes) or 0) >= _CHANGES * limits.jobs_an_hour:
        raise HTTPException(429, "too many changes of jobs in this hour; wait some minutes")
    if action == "retry":
        _check_open(session, detail.owner, limits)
    _STATES[action](session, job)
    rest(session, job)
    record(session, visitor.name, f"job {_DONE[action]}", f"job {job}", at=at)


def may_change(visitor: Person, detail: JobDetail) -> bool:
    """Return whether a job is a visitor's to change."""
    return visitor.role == "admin" or detail.owner == visitor.id


def _reorder(session: Session, job: int, action: str) -> None:
    """Move a job to the front of its owner's own queue, or by one place."""
    owner = session.scalar(select(Job.asked_by).where(Job.id == job))
    order = queue.waiting_of(session, owner or "")
    if job not in order:
        raise InputError(f"job {job}: does not wait, so that it has no place to be changed")
    place = order.index(job)
    order.remove(job)
    order.insert({"first": 0, "up": max(0, place - 1), "down": place + 1}[action], job)
    queue.reorder(session, order)


def _check_limits(session: Session, owner: Person, limits: Limits, at: datetime) -> None:
    _lock(session, owner)
    _check_open(session, owner.id, limits)
    recent = select(func.count()).select_from(Job).join(JobDetail, JobDetail.job_id == Job.id)
    recent = recent.where(JobDetail.owner == owner.id, Job.created > at - _HOUR)
    if (session.scalar(recent) or 0) >= limits.jobs_an_hour:
        raise InputError(
            f"jobs: {limits.jobs_an_hour} in this hour already, the most that one may ask for; "
            "wait, or ask for several films in one job"
        )


def _check_open(session: Session, owner: int, limits: Limits) -> None:
    own = select(func.count()).select_from(Job).join(JobDetail, JobDetail.job_id == Job.id)
    own = own.where(JobDetail.owner == owner, JobDetail.parent.is_(None), Job.state.in_(OPEN))
    if (session.scalar(own) or 0) >= limits.queued_jobs:
        raise InputError(
            f"jobs: {limits.queued_jobs} of yours are waiting already, the most that one may have; "
            "cancel one, or wait until one is done"
        )


def _lock(session: Session, person: Person) -> None:
    """Let one request of a user's be counted at a time."""
    session.execute(select(User.id).where(User.id == person.id).with_for_update())
