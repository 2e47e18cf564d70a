"""Jobs, taken by one worker at a time: the rows themselves are the queue.

A worker holds a job for the time of a lease, which every sign of life renews. When it runs out,
another may take the job, and the first one, should it wake, changes nothing any more: whatever it
says of the job goes by its claim, the worker and the number of the attempt. Leases are by the
workers' clocks, which must agree to within less than a lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.tables import Job, now

LEASE = timedelta(minutes=2)
ATTEMPTS = 3  # after which a job counts as failed


class LostClaim(Exception):
    """The job is no longer this worker's: another took it, or it was cancelled."""


@dataclass(frozen=True)
class Claim:
    """The right to work at a job, until another has it."""

    job: int
    attempt: int
    worker: str
    spec: dict[str, Any]


def enqueue(
    session: Session,
    spec: Mapping[str, Any],
    *,
    asked_by: str,
    priority: int = 0,
    at: datetime | None = None,
) -> Job:
    """Return a new job, in the queue after those of its priority; the greatest comes first.

    Raises:
        InputError: a spec that JSON cannot hold.
    """
    text = canonical(spec, "spec")
    job = Job(
        spec=text,
        spec_sha256=digest(text),
        asked_by=asked_by,
        priority=priority,
        created=at or now(),
    )
    session.add(job)
    session.flush()
    return job


def claim(
    session: Session, worker: str, *, lease: timedelta = LEASE, at: datetime | None = None
) -> Claim | None:
    """Take the next job, also one whose worker has given no sign of life; None if there is none.

    Of two at the same time none waits for the other on PostgreSQL; SQLite lets one write only, and
    so has no word for it. What has been taken `ATTEMPTS` times becomes a failure.

    Args:
        session: one that writes.
        worker: whose the job is then; no two have one name.
        lease: how long, without a sign of life.
        at: the time, if it is not now.
    """
    at = at or now()
    abandoned = and_(Job.state == "running", Job.lease < at)
    query = (
        select(Job)
        .where(or_(Job.state == "queued", abandoned))
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    while job := session.scalar(query):
        if job.attempt < ATTEMPTS:
            job.state, job.worker, job.attempt = "running", worker, job.attempt + 1
            job.lease, job.started = at + lease, at
            session.flush()
            return Claim(job.id, job.attempt, worker, json.loads(job.spec))
        job.state, job.lease, job.finished = "failed", None, at
        job.reason = f"given up after {ATTEMPTS} attempts: {job.worker} fell silent"
        session.flush()
    return None


def renew(
    session: Session, claim: Claim, *, lease: timedelta = LEASE, at: datetime | None = None
) -> None:
    """Hold a job for longer; raises `LostClaim` where it is no longer the worker's."""
    _change(session, claim, lease=(at or now()) + lease)


def finish(session: Session, claim: Claim, *, at: datetime | None = None) -> None:
    """Say that a job is done; raises `LostClaim` where it is no longer the worker's."""
    _change(session, claim, state="done", lease=None, finished=at or now())


def fail(session: Session, claim: Claim, reason: str, *, at: datetime | None = None) -> None:
    """Say why a job cannot be done; raises `LostClaim` where it is no longer the worker's."""
    reason = reason.replace("\0", "�")  # PostgreSQL keeps none
    _change(session, claim, state="failed", lease=None, finished=at or now(), reason=reason)


def cancel(session: Session, job: int, *, at: datetime | None = None) -> None:
    """Take a job out of the queue, or away from its worker, who learns it by `LostClaim`.

    Raises:
        InputError: there is no such job, or it has ended.
    """
    open_ = and_(Job.id == job, Job.state.in_(("queued", "running")))
    values = {"state": "cancelled", "lease": None, "finished": at or now()}
    if session.scalar(update(Job).where(open_).values(values).returning(Job.id)) is None:
        there = session.get(Job, job)
        reason = f"is {there.state}, too late to cancel it" if there else "there is no such job"
        raise InputError(f"job {job}: {reason}")


def _change(session: Session, claim: Claim, **values: Any) -> None:
    own = and_(
        Job.id == claim.job,
        Job.state == "running",
        Job.worker == claim.worker,
        Job.attempt == claim.attempt,
    )
    if session.scalar(update(Job).where(own).values(values).returning(Job.id)) is None:
        raise LostClaim(f"job {claim.job}: no longer of {claim.worker}, attempt {claim.attempt}")
