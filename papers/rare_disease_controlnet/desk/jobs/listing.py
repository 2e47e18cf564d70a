"""What pages say of jobs: place in the queue, how far, how much longer, what may be done."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.tables import Film, Job, now
from papers.rare_disease_controlnet.desk.jobs import pace
from papers.rare_disease_controlnet.desk.jobs.asking import OPEN, Person, may_change
from papers.rare_disease_controlnet.desk.jobs.known import Known
from papers.rare_disease_controlnet.desk.jobs.pace import Speed
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, of_spec
from papers.rare_disease_controlnet.desk.tables import JobDetail, Preview

ENDED = 24  # jobs that are shown after they have ended
_QUIET = timedelta(minutes=1)  # after which a queue that nobody works at is remarked on
_ACTIONS = {
    "queued": ("pause", "cancel"),
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
    "failed": ("retry",),
    "cancelled": ("retry",),
    "done": (),
}
_BADGES = {"running": "", "done": "good", "failed": "bad", "paused": "warn"}


@dataclass(frozen=True)
class Seen:
    """A job as it is shown."""

    job: Job
    detail: JobDetail
    asked: Asked | None  # None: the spec cannot be read
    place: int | None  # in the queue, from 1
    left: str  # how much longer, in words; empty where nobody knows
    preview: int | None  # the number of the newest
    films: tuple[int, ...]  # the keys of those that are kept, in order
    actions: tuple[str, ...]  # what the visitor may do

    @property
    def badge(self) -> str:
        """Return the kind of badge of the state."""
        return _BADGES.get(self.job.state, "quiet")

    @property
    def is_open(self) -> bool:
        """Return whether it has not ended."""
        return self.job.state in OPEN

    @property
    def done(self) -> int:
        """Return how many steps of all films are done."""
        return self.detail.drawn * self.detail.steps + self.detail.step

    @property
    def all(self) -> int:
        """Return how many steps all films have."""
        return self.detail.films * self.detail.steps


def seen(
    session: Session, visitor: Person, engine: Known | None, jobs: Sequence[int] | None = None
) -> list[Seen]:
    """Return these jobs, or all that have not ended and the last that have, in their order."""
    query = select(Job, JobDetail).join(JobDetail, JobDetail.job_id == Job.id)
    if jobs is not None:
        rows = session.execute(query.where(Job.id.in_(jobs))).all()
    else:
        late = Job.finished.desc().nulls_last()
        ended = query.where(Job.state.not_in(OPEN)).order_by(late, Job.id.desc()).limit(ENDED)
        rows = [
            *session.execute(query.where(Job.state.in_(OPEN)).order_by(Job.id)),
            *session.execute(ended),
        ]
    keys = [job.id for job, _ in rows]
    order = upcoming(session)
    places = {job: place for place, job in enumerate(order, 1)}
    films: dict[int, list[int]] = {}
    kept = select(Film.job_id, Film.id).where(Film.job_id.in_(keys)).order_by(Film.number)
    for owner, film in session.execute(kept):
        films.setdefault(owner, []).append(film)
    newest = select(Preview.job_id, Preview.number).where(Preview.job_id.in_(keys))
    previews = dict(session.execute(newest).all())
    waits = _waits(session, engine, order)
    found = [
        Seen(
            job,
            detail,
            _asked(job.spec),
            places.get(job.id),
            pace.in_words(waits[job.id]) if job.id in waits else "",
            previews.get(job.id) if job.state == "running" else None,
            tuple(films.get(job.id, ())),
            _actions(visitor, job, detail),
        )
        for job, detail in rows
    ]
    rank = {"running": 0, "queued": 1, "paused": 2}
    return sorted(found, key=lambda one: (rank.get(one.job.state, 3), one.place or 0))


def mark(session: Session, job: int) -> tuple[object, ...]:
    """Return what changes whenever a job gets on: cheaper to look at than the whole of it."""
    query = select(Job.state, JobDetail.updated, Preview.number)
    query = query.join(JobDetail, JobDetail.job_id == Job.id)
    query = query.outerjoin(Preview, Preview.job_id == Job.id).where(Job.id == job)
    return tuple(session.execute(query).one())


def upcoming(session: Session) -> list[int]:
    """Return the waiting jobs in the order in which they will probably be taken."""
    waiting: dict[str, list[int]] = {}
    own = select(Job.asked_by, Job.id).where(Job.state == "queued")
    for name, job in session.execute(own.order_by(Job.priority.desc(), Job.id)):
        waiting.setdefault(name, []).append(job)
    if not waiting:
        return []
    running = select(Job.asked_by).where(Job.state == "running", Job.lease >= now())
    busy = list(session.scalars(running.order_by(Job.started)))
    turns = select(Job.asked_by, func.max(Job.started), func.min(Job.id))
    turns = turns.where(Job.asked_by.in_(waiting)).group_by(Job.asked_by)
    last = {name: (begun, first) for name, begun, first in session.execute(turns)}
    return in_turns(waiting, busy, last)


def in_turns(
    waiting: Mapping[str, Sequence[int]],
    busy: Sequence[str],
    last: Mapping[str, tuple[datetime | None, int]],
) -> list[int]:
    """Return jobs in the order in which `queue.claim` takes them, if all take the same time.

    Args:
        waiting: everybody's jobs, in their own order.
        busy: whose jobs are running, the oldest first.
        last: when one's last job began, if any has, and the key of one's first.
    """
    queues = {name: deque(jobs) for name, jobs in waiting.items()}
    turn = {
        name: (1, begun.timestamp(), first) if begun else (0, 0.0, first)
        for name, (begun, first) in last.items()
    }
    running, order = deque(busy), list[int]()
    while queues:
        if running:
            running.popleft()  # whose end makes room for the next
        name = min(queues, key=lambda one: (running.count(one), turn[one]))
        order.append(queues[name].popleft())
        running.append(name)
        turn[name] = (2, float(len(order)), 0)
        if not queues[name]:
            del queues[name]
    return order


def is_quiet(shown: Sequence[Seen], at: datetime) -> bool:
    """Return whether jobs have been waiting for a while and nobody works at any."""
    if any(one.job.state == "running" and (one.job.lease or at) >= at for one in shown):
        return False
    waiting = [one.job for one in shown if one.job.state == "queued"]
    ended = [one.job.finished for one in shown if one.job.finished]
    return bool(waiting) and all(
        moment < at - _QUIET for moment in (*(job.created for job in waiting), *ended)
    )


def _waits(session: Session, engine: Known | None, order: Sequence[int]) -> dict[int, float]:
    """Return the seconds until each job is done that runs or waits, where they are known."""
    if engine is None:
        return {}
    query = select(Job, JobDetail).join(JobDetail, JobDetail.job_id == Job.id)
    active = session.execute(query.where(Job.state.in_(("running", "queued"))))
    left: dict[int, float] = {}
    running, speeds = list[int](), dict[str, Speed | None]()
    for job, detail in active:
        if job.state == "running":
            running.append(job.id)
        if (asked := _asked(job.spec)) is None:
            continue
        work = engine.work(asked)
        if work not in speeds:
            speeds[work] = pace.speed_of(session, work)
        if speed := speeds[work]:
            left[job.id] = speed.left(detail.films, detail.drawn, detail.steps, detail.step)
    waits = {key: left[key] for key in running if key in left}
    if len(waits) < len(running):
        return waits  # nobody knows when those that wait can begin
    before = sum(waits.values())
    for key in order:
        if key not in left:
            break  # and nobody knows of those behind it
        before += left[key]
        waits[key] = before / max(1, len(running))
    return waits


def _actions(visitor: Person, job: Job, detail: JobDetail) -> tuple[str, ...]:
    return _ACTIONS[job.state] if may_change(visitor, detail) else ()


@lru_cache(maxsize=1024)  # most pages show the same jobs
def _asked(spec: str) -> Asked | None:
    try:
        return of_spec(json.loads(spec))
    except InputError:
        return None
