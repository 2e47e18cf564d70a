"""What a worker tells of a job while it draws, each word a sign of life: step, preview, stage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import numpy as np
from jaxtyping import UInt8
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.queue import Claim, LostClaim, renew
from papers.rare_disease_controlnet.corpus.tables import Job, now
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.tables import JobDetail, Preview

Gray = UInt8[np.ndarray, "height width"]
PATIENCE = timedelta(minutes=30)  # for a word of the engine, be it loading or compiling
_TENTH = timedelta(seconds=0.1)


def tell(session: Session, claim: Claim, **values: Any) -> None:
    """Say how far a job is, by the names of `JobDetail`; raises `LostClaim` where it is lost."""
    renew(session, claim)
    own = JobDetail.job_id == claim.job
    session.execute(update(JobDetail).where(own).values(values | {"updated": now()}))


def show(
    session: Session, claim: Claim, film: int, step: int, content: bytes, stage: str = ""
) -> None:
    """Say at which step a film is, and show its estimate in place of the one before."""
    tell(session, claim, step=step, stage=stage)
    preview = session.get(Preview, claim.job)
    created = session.scalar(select(Job.created).where(Job.id == claim.job))
    number = _number(created or now(), preview.number if preview else 0)
    if preview is None:
        preview = Preview(job_id=claim.job)
        session.add(preview)
    preview.number, preview.film, preview.step, preview.content = number, film, step, content


def rest(session: Session, job: int) -> None:
    """Show nothing of a job any more that is not being drawn."""
    session.execute(delete(Preview).where(Preview.job_id == job))
    own = JobDetail.job_id == job
    session.execute(update(JobDetail).where(own).values(step=0, stage="", updated=now()))


def _number(created: datetime, before: int) -> int:
    """Return a number above those of all previews that the job ever had, deleted ones too."""
    return max(before + 1, (now() - created) // _TENTH)


@dataclass
class Pulse:
    """Whether a job is still held, and when the engine gave its last word."""

    lost: bool = False
    heard: float = field(default_factory=monotonic)

    def beat(self) -> None:
        """Note a word of the engine; raises `LostClaim` where the job was lost meanwhile."""
        if self.lost:
            raise LostClaim("the job was lost while the engine was silent")
        self.heard = monotonic()


@contextmanager
def held(desk: Desk, claim: Claim, patience: timedelta = PATIENCE) -> Iterator[Pulse]:
    """Hold a job while the engine says nothing, as when it loads, for as long as the `patience`.

    A database that is away for less than the lease does no harm.
    """
    pulse, ended = Pulse(), threading.Event()

    def hold() -> None:
        while not ended.wait(claim.lease.total_seconds() / 3):
            if monotonic() - pulse.heard > patience.total_seconds():
                return
            try:
                with desk.write() as session:
                    renew(session, claim)
            except LostClaim:
                pulse.lost = not ended.is_set()
                return
            except InputError:
                continue

    thread = threading.Thread(target=hold, name=f"holding job {claim.job}", daemon=True)
    thread.start()
    try:
        yield pulse
    finally:
        ended.set()
        thread.join()
