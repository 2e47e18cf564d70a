"""Retraining: rows that wait for a worker, as jobs do, and the process that does the work.

A worker that has no film to draw takes a row, starts the process and gives signs of life for it
until it ends. Should a film be asked for meanwhile, the process is ended and the row waits on: what
was trained until then is kept, and the next start goes on after it. The same holds when the process
or its worker is killed, which at most `ATTEMPTS` attempts may be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from subprocess import TimeoutExpired
from typing import Any

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet import reviewed
from papers.rare_disease_controlnet.corpus import queue
from papers.rare_disease_controlnet.corpus.queue import ATTEMPTS, LEASE, LostClaim
from papers.rare_disease_controlnet.corpus.tables import Snapshot, now
from papers.rare_disease_controlnet.desk.audit import log
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.known import known
from papers.rare_disease_controlnet.desk.jobs.worker import is_away
from papers.rare_disease_controlnet.desk.release import gate, likeness
from papers.rare_disease_controlnet.desk.release.process import Process, running
from papers.rare_disease_controlnet.desk.tables import Retraining, User

PULSE = 1.0  # seconds between signs of life
_MODULE = "papers.rare_disease_controlnet.desk.release.training"
_LONGEST = 500  # characters of a reason
_OPEN = ("waiting", "running")


@dataclass(frozen=True)
class Claim:
    """The right to work at a retraining, until another has it."""

    id: int
    attempt: int
    worker: str
    snapshot: int


Command = Callable[[Desk, Claim], Sequence[str]]


def ask(session: Session, snapshot: Snapshot, user: User) -> Retraining:
    """Return a new retraining with the films of a snapshot.

    Raises:
        InputError: one waits or runs already, or the gate does not let all films out.
    """
    query = select(Retraining.id).where(
        Retraining.snapshot_id == snapshot.id, Retraining.state.in_(_OPEN)
    )
    if session.scalar(query.limit(1)) is not None:
        raise InputError(f"snapshot {snapshot.name!r}: a training with it waits or runs already")
    gate.check(session, snapshot.id)
    row = Retraining(snapshot_id=snapshot.id, asked_by=user.id)
    session.add(row)
    session.flush()
    log.record(session, user.name, "retraining asked", subject(row.id), {"snapshot": snapshot.id})
    return row


def stop(session: Session, retraining: int, actor: str) -> None:
    """Take a retraining away from its worker, who learns it at the next sign of life."""
    open_ = and_(Retraining.id == retraining, Retraining.state.in_(_OPEN))
    values = {"state": "failed", "reason": f"stopped by {actor}", "lease": None, "finished": now()}
    query = update(Retraining).where(open_).values(values).returning(Retraining.id)
    if session.scalar(query) is None:
        raise InputError(f"retraining {retraining}: has ended, so there is nothing to stop")
    log.record(session, actor, "retraining stopped", subject(retraining))


def subject(retraining: int) -> str:
    """Return what the log calls a retraining."""
    return f"retraining {retraining}"


def command_of(desk: Desk, claim: Claim) -> Sequence[str]:
    """Return the command that trains; the films are kept for it first.

    Raises:
        InputError: there is no engine, or the snapshot is not whole.
    """
    engine = known(desk)
    if engine is None:
        raise InputError("no engine is trained here, whose data classifiers would learn from")
    with desk.read() as session:
        gate.check(session, claim.snapshot)
        name = session.get_one(Snapshot, claim.snapshot).name
    content = reviewed.keep(desk.corpus, name)
    return [sys.executable, "-m", _MODULE, str(engine.trained.source), content]


def work_once(
    desk: Desk,
    worker: str,
    *,
    stopped: Callable[[], bool] = lambda: False,
    command: Command = command_of,
    lease: timedelta = LEASE,
    pulse: float = PULSE,
) -> bool:
    """Compare films that were not compared, or do one retraining; return whether there was any.

    Args:
        desk: the desk.
        worker: its name; no two have one.
        stopped: whether the worker is to end.
        command: what to run for a retraining.
        lease: for how long it is the worker's without a sign of life.
        pulse: seconds between signs of life.
    """
    if likeness.work_once(desk):
        return True
    with desk.read() as session:
        if not session.scalar(select(exists().where(_free(now())))):
            return False
    with desk.write() as session:
        claimed = claim(session, worker, lease=lease)
    if claimed is None:
        return False
    try:
        with running(command(desk, claimed)) as process:
            _watch(desk, claimed, process, stopped, lease, pulse)
    except LostClaim:
        pass  # whoever has it, or stopped it, has said so
    except InputError as error:
        if is_away(error):  # the database, so that nothing can be said
            raise
        _say(desk, claimed, _failed(str(error)))
    return True


def claim(
    session: Session, worker: str, *, lease: timedelta = LEASE, at: datetime | None = None
) -> Claim | None:
    """Take the next retraining, also one whose worker fell silent; None if there is none."""
    at = at or now()
    query = (
        select(Retraining)
        .where(_free(at))
        .order_by(Retraining.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while row := session.scalar(query):
        if row.attempt < ATTEMPTS:
            row.state, row.worker, row.attempt = "running", worker, row.attempt + 1
            row.lease = at + lease
            session.flush()
            return Claim(row.id, row.attempt, worker, row.snapshot_id)
        row.state, row.lease, row.finished = "failed", None, at
        row.reason = f"given up after {ATTEMPTS} attempts: {row.stage or 'its worker fell silent'}"
        session.flush()
    return None


def _watch(
    desk: Desk,
    claim: Claim,
    process: Process,
    stopped: Callable[[], bool],
    lease: timedelta,
    pulse: float,
) -> None:
    """Give signs of life until the process ends, and say how; or until there is other work."""
    asked = 0  # looks in a row at which a film waited: once may be another worker's to come
    while True:
        try:
            process.popen.wait(pulse)
        except TimeoutExpired:
            with desk.write() as session:
                _change(session, claim, lease=now() + lease, stage=process.stage)
                asked = asked + 1 if queue.is_waiting(session) else 0
            if asked > 1 or stopped():
                _say(desk, claim, _paused(claim, "films are drawn first"))
                return
            continue
        break
    process.heard()
    _say(desk, claim, _end(process))


def _end(process: Process) -> dict[str, Any]:
    """Return what is to be kept of a process that has ended."""
    status = process.popen.returncode
    if status == 0:
        try:
            metrics = json.loads("".join(process.result))
        except ValueError:
            return _failed("the training said nothing that can be read; try again")
        return {"state": "done", "metrics": json.dumps(metrics), "stage": "", "finished": now()}
    if status < 0:  # killed: for want of memory, or by somebody
        return {"state": "waiting", "stage": f"was killed by signal {-status}, begins again"}
    said = process.last[-1] if process.last else f"status {status}"
    return _failed(said.removeprefix("error: "))


def _failed(reason: str) -> dict[str, Any]:
    reason = reason.replace("\0", " ")[:_LONGEST]
    return {"state": "failed", "reason": reason, "finished": now()}


def _paused(claim: Claim, why: str) -> dict[str, Any]:
    return {"state": "waiting", "stage": why, "attempt": claim.attempt - 1}


def _say(desk: Desk, claim: Claim, values: dict[str, Any]) -> None:
    """Keep how it ended, and log what ended for good; nothing where it is another's by now."""
    try:
        with desk.write() as session:
            _change(session, claim, lease=None, **values)
            if values["state"] in ("done", "failed"):
                action = f"retraining {values['state']}"
                log.record(session, claim.worker, action, subject(claim.id))
    except LostClaim:
        pass


def _change(session: Session, claim: Claim, **values: Any) -> None:
    own = and_(
        Retraining.id == claim.id,
        Retraining.state == "running",
        Retraining.worker == claim.worker,
        Retraining.attempt == claim.attempt,
    )
    query = update(Retraining).where(own).values(values).returning(Retraining.id)
    if session.scalar(query) is None:
        raise LostClaim(f"{subject(claim.id)}: no longer of {claim.worker}")


def _free(at: datetime) -> Any:
    abandoned = and_(Retraining.state == "running", Retraining.lease < at)
    return or_(Retraining.state == "waiting", abandoned)
