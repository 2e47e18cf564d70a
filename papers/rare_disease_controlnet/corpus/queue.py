"""Jobs, taken by one worker at a time: the rows themselves are the queue.

A worker holds a job for the time of a lease, which every sign of life renews. When it runs out,
another may take the job, and the first one, should it wake, changes nothing any more: whatever it
says of the job goes by its claim, the worker, the number of the attempt and when it was taken.
Leases are by the workers' clocks, which must agree to within less than a lease.

Those who ask take turns: the next job is of whoever has the fewest running, of these of whoever
waits longest since the last one began. A priority says which comes first among one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.tables import Job, State, now

LEASE = timedelta(minutes=2)
ATTEMPTS = 3


class LostClaim(Exception):
    """The job is no longer this worker's: another took it, or somebody stopped it."""


@dataclass(frozen=True)
class Claim:
    """The right to work at a job, until another has it."""

    job: int
    attempt: int
    worker: str
    spec: dict[str, Any]
    since: datetime
    lease: timedelta = LEASE  # for which every sign of life holds it


def enqueue(
    session: Session,
    spec: Mapping[str, Any],
    *,
    asked_by: str,
    priority: int = 0,
    at: datetime | None = None,
) -> Job:
    """Return a new job, in the queue after its owner's others of its priority.

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


def is_waiting(session: Session, *, at: datetime | None = None) -> bool:
    """Return whether a job could be taken; it costs less than trying, and nobody waits for it."""
    return bool(session.scalar(select(exists().where(_free(at or now())))))


def claim(
    session: Session,
    worker: str,
    *,
    lease: timedelta = LEASE,
    attempts: int = ATTEMPTS,
    at: datetime | None = None,
) -> Claim | None:
    """Take the next job, also one whose worker has given no sign of life; None if there is none.

    Of two at the same time none waits for the other on PostgreSQL; SQLite lets one write only, and
    so has no word for it. What has been taken `attempts` times becomes a failure.

    Args:
        session: one that writes.
        worker: whose the job is then; no two have one name.
        lease: how long, without a sign of life.
        attempts: after which a job whose workers fall silent counts as what silences them.
        at: the time, if it is not now.
    """
    at = at or now()
    one = aliased(Job)
    running = and_(one.state == "running", one.lease >= at)
    turns = (
        select(
            one.asked_by,
            func.count().filter(running).label("running"),
            func.max(one.started).label("last"),
            func.min(one.id).label("first"),
        )
        .group_by(one.asked_by)
        .subquery()
    )
    query = (
        select(Job)
        .join(turns, turns.c.asked_by == Job.asked_by)
        .where(_free(at))
        .order_by(turns.c.running, turns.c.last.nulls_first(), turns.c.first)
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Job)
        .execution_options(populate_existing=True)
    )
    while job := session.scalar(query):
        if job.attempt < attempts:
            job.state, job.worker, job.attempt = "running", worker, job.attempt + 1
            job.lease, job.started = at + lease, at
            session.flush()
            return Claim(job.id, job.attempt, worker, json.loads(job.spec), at, lease)
        job.state, job.lease, job.finished = "failed", None, at
        job.reason = f"given up after {attempts} attempts: {job.worker} fell silent"
        session.flush()
    return None


def renew(
    session: Session, claim: Claim, *, lease: timedelta | None = None, at: datetime | None = None
) -> None:
    """Hold a job for longer; raises `LostClaim` where it is no longer the worker's."""
    _change(session, claim, lease=(at or now()) + (lease or claim.lease))


def finish(session: Session, claim: Claim, *, at: datetime | None = None) -> None:
    """Say that a job is done; raises `LostClaim` where it is no longer the worker's."""
    _change(session, claim, state="done", lease=None, finished=at or now())


def fail(session: Session, claim: Claim, reason: str, *, at: datetime | None = None) -> None:
    """Say why a job cannot be done; raises `LostClaim` where it is no longer the worker's."""
    reason = reason.replace("\0", "�")  # PostgreSQL keeps none
    _change(session, claim, state="failed", lease=None, finished=at or now(), reason=reason)


def hand_back(session: Session, claim: Claim) -> None:
    """Let another take a job at once, as if it had not been taken; raises `LostClaim` as others."""
    _change(session, claim, state="queued", lease=None, attempt=claim.attempt - 1)


def cancel(session: Session, job: int, *, at: datetime | None = None) -> None:
    """Take a job out of the queue, or away from its worker, who learns it by `LostClaim`.

    Raises:
        InputError: there is no such job, or it has ended.
    """
    values = {"state": "cancelled", "lease": None, "finished": at or now()}
    _move(session, job, ("queued", "paused", "running"), "cancel", values)


def pause(session: Session, job: int) -> None:
    """Hold a job back, also one that is running: what it has kept stays.

    Raises:
        InputError: there is no such job, or it waits for nothing.
    """
    _move(session, job, ("queued", "running"), "pause", {"state": "paused", "lease": None})


def resume(session: Session, job: int) -> None:
    """Let a paused job go on; raises `InputError` where it is none."""
    _move(session, job, ("paused",), "resume", {"state": "queued", "attempt": 0})


def retry(session: Session, job: int) -> None:
    """Let a job that has failed or was cancelled go on where it was; raises `InputError` as others.

    All its attempts are before it again.
    """
    values = {"state": "queued", "attempt": 0, "reason": None, "finished": None, "priority": 0}
    _move(session, job, ("failed", "cancelled"), "retry", values)


def waiting_of(session: Session, asked_by: str) -> list[int]:
    """Return somebody's own queue, in its order."""
    own = select(Job.id).where(Job.state == "queued", Job.asked_by == asked_by)
    return list(session.scalars(own.order_by(Job.priority.desc(), Job.id)))


def reorder(session: Session, order: Sequence[int]) -> None:
    """Let somebody's waiting jobs be taken in this order, before those that are asked for later.

    What has been taken in the meantime is left as it is.
    """
    for place, job in enumerate(reversed(order)):
        waiting = and_(Job.id == job, Job.state == "queued")
        session.execute(update(Job).where(waiting).values(priority=place + 1))


def _free(at: datetime) -> ColumnElement[bool]:
    return or_(Job.state == "queued", and_(Job.state == "running", Job.lease < at))


def _move(
    session: Session, job: int, before: Sequence[State], action: str, values: Mapping[str, Any]
) -> None:
    """Change the state of a job that is in one of those `before`."""
    there = and_(Job.id == job, Job.state.in_(before))
    if session.scalar(update(Job).where(there).values(values).returning(Job.id)) is None:
        found = session.scalar(select(Job.state).where(Job.id == job))
        late = found not in (None, "queued", "paused")
        reason = f"is {found}, {'too late' if late else 'no need'} to {action} it"
        raise InputError(f"job {job}: {reason if found else 'there is no such job'}")


def _change(session: Session, claim: Claim, **values: Any) -> None:
    own = and_(
        Job.id == claim.job,
        Job.state == "running",
        Job.worker == claim.worker,
        Job.attempt == claim.attempt,
        Job.started == claim.since,
    )
    if session.scalar(update(Job).where(own).values(values).returning(Job.id)) is None:
        raise LostClaim(f"job {claim.job}: no longer of {claim.worker}, attempt {claim.attempt}")
