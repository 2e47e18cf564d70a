"""What open tabs are told of jobs: looked up once for all that watch the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs import listing
from papers.rare_disease_controlnet.desk.jobs.listing import Seen

POLL = 0.25  # seconds between looks at a job's row
_WHOLE = 2.0  # seconds after which all of it is looked at: its place in the queue may be another
_Jobs = dict[tuple[Engine, int], "Watched"]
_watched: WeakKeyDictionary[asyncio.AbstractEventLoop, _Jobs] = WeakKeyDictionary()


@dataclass
class Watched:
    """A job that is watched, as it was when somebody looked last."""

    desk: Desk
    job: int
    seen: Seen
    mark: tuple[object, ...] = ()
    looked: float = -inf  # at its row
    whole: float = -inf  # at all of it
    watchers: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def now(self, look: Callable[[], Seen]) -> Seen:
        """Return the job as it is now, or was less than `POLL` ago; `look` sees all of it."""
        async with self.turn:
            if monotonic() - self.looked >= POLL:
                mark = await run_in_threadpool(self._mark)
                if mark != self.mark or monotonic() - self.whole >= _WHOLE:
                    self.seen = await run_in_threadpool(look)
                    self.mark, self.whole = mark, monotonic()
                self.looked = monotonic()
            return self.seen

    def _mark(self) -> tuple[object, ...]:
        with self.desk.read() as session:
            return listing.mark(session, self.job)


@contextmanager
def watched(desk: Desk, seen: Seen) -> Iterator[Watched]:
    """Yield a job that somebody has just seen, shared with all who watch it already."""
    jobs = _watched.setdefault(asyncio.get_running_loop(), {})
    key = desk.corpus.engine, seen.job.id
    one = jobs.setdefault(key, Watched(desk, seen.job.id, seen))
    one.watchers += 1
    try:
        yield one
    finally:
        one.watchers -= 1
        if not one.watchers:
            del jobs[key]
