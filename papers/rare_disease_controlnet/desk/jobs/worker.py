"""The worker: takes jobs in turn, draws what they ask for, and shows how it is getting on.

It may be killed at any moment: a film counts when its row is there, its file being there before,
and whoever takes the job again draws those only that are missing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Protocol, runtime_checkable

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from common import terminal
from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png, queue
from papers.rare_disease_controlnet.corpus.corpus import keep, kept
from papers.rare_disease_controlnet.corpus.lineage import Lineage
from papers.rare_disease_controlnet.corpus.queue import LEASE, Claim, LostClaim
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs import pace
from papers.rare_disease_controlnet.desk.jobs.progress import Gray, Pulse, held, rest, show, tell
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, of_spec

Watch = Callable[[int, Gray], None]  # steps done and the estimate; stops the drawing by raising
ATTEMPTS = 5  # of a job: workers are ended for reasons of their own, too
_AGAIN = 0.2  # seconds until a database that is away is tried again
_LONGEST = 300  # characters of an error that nobody foresaw


@dataclass(frozen=True)
class Drawn:
    """A film, what makes it again, and what kind of work it was on which device."""

    content: bytes  # a PNG file
    lineage: Lineage
    work: str
    device: str


@runtime_checkable
class Engine(Protocol):
    """What draws; `engine.StudyEngine` is one."""

    def is_ready(self) -> bool:
        """Return whether there is anything to draw with."""

    def draw(self, asked: Asked, number: int, watch: Watch) -> Drawn:
        """Return the film of this number, from 0; `watch` is called on the way."""

    def compare(self, films: Sequence[str]) -> None:
        """Compare films, by their SHA-256, with those that the engine learned from."""

    def rest(self, worker: str, stopped: Callable[[], bool]) -> bool:
        """Do what may be done while no film is asked for; return whether anything was."""


class _Stopped(Exception):
    """The worker is to end, its job being another's to go on with."""


def work(
    desk: Desk,
    engine: Engine,
    name: str,
    stop: Event,
    *,
    lease: timedelta = LEASE,
    pause: float = 1.0,
) -> None:
    """Work at jobs until `stop` is set, which ends a job at its next step and hands it back.

    Args:
        desk: whose jobs.
        engine: that draws.
        name: of the worker; no two that live have one name.
        stop: set by somebody else, such as a signal.
        lease: for how long a job is held without a sign of life.
        pause: seconds to wait when there is nothing to do.
    """
    while not stop.is_set():
        try:
            busy = _turn(desk, engine, name, stop, lease)
        except (InputError, InterfaceError) as error:  # the database or the engine is not there
            terminal.note(f"worker {name}: {error}")
            busy = False
        if not busy:
            stop.wait(pause)


def _turn(desk: Desk, engine: Engine, name: str, stop: Event, lease: timedelta) -> bool:
    """Do the next job, if there is one; return whether anything was done."""
    with desk.read() as session:
        waiting = queue.is_waiting(session)
    if not waiting:
        return engine.rest(name, stop.is_set)
    if not engine.is_ready():
        return False
    with desk.write() as session:
        claimed = queue.claim(session, name, lease=lease, attempts=ATTEMPTS)
    if claimed:
        _Job(desk, engine, claimed, stop).do()
    return claimed is not None


@dataclass(frozen=True)
class _Job:
    """A job that is being worked at."""

    desk: Desk
    engine: Engine
    claim: Claim
    stop: Event

    def do(self) -> None:
        """Draw what is missing, or say why it cannot be drawn.

        Raises:
            InputError: the database is away. Nothing can be said then: whoever finds the job's
                lease to be over goes on with it.
        """
        try:
            with held(self.desk, self.claim) as pulse:
                self._draw(pulse)
        except LostClaim:
            return  # it has another worker, or was stopped by somebody, who has said so
        except _Stopped:
            with suppress(LostClaim):
                self._end(lambda session: queue.hand_back(session, self.claim))
        except Exception as error:
            if is_away(error):
                raise
            if not isinstance(error, InputError):
                traceback.print_exc()
            reason = in_plain_words(error)
            with suppress(LostClaim):
                self._end(lambda session: queue.fail(session, self.claim, reason))

    def _draw(self, pulse: Pulse) -> None:
        asked = of_spec(self.claim.spec)
        with self.desk.read() as session:
            films = kept(session, self.claim.job)
        for number in range(asked.count):
            if number not in films:
                which = f"film {number + 1} of {asked.count}"
                self._tell(drawn=len(films), step=0, stage=f"getting ready for {which}")
                films[number] = self._film(asked, number, which, pulse)
        self._tell(drawn=len(films), step=0, stage="comparing with training films")
        try:
            self.engine.compare(list(films.values()))
        except Exception:  # which takes nothing from the films: they count as not compared
            traceback.print_exc()
        self._end(lambda session: queue.finish(session, self.claim))

    def _film(self, asked: Asked, number: int, which: str, pulse: Pulse) -> str:
        """Draw a film and keep it; return its SHA-256."""
        begun, seen = monotonic(), list[tuple[int, float]]()

        def watch(step: int, estimate: Gray) -> None:
            pulse.beat()
            if self.stop.is_set():
                raise _Stopped
            seen.append((step, monotonic()))
            content = png.encoded(estimate)
            try:
                with self.desk.write() as session:
                    show(session, self.claim, number, step, content, f"drawing {which}")
            except (InputError, InterfaceError) as error:
                if not is_away(error):  # else it is drawn on: the database may come back
                    raise

        if self.stop.is_set():
            raise _Stopped
        drawn = self.engine.draw(asked, number, watch)
        pulse.beat()
        speed = pace.measured(begun, monotonic(), seen)
        self._patiently(
            lambda: keep(self.desk.corpus, self.claim, number, drawn.content, drawn.lineage)
        )
        if speed:
            self._write(lambda session: pace.note(session, drawn.work, drawn.device, speed))
        return drawn.lineage.output

    def _tell(self, **values: str | int) -> None:
        self._write(lambda session: tell(session, self.claim, **values))

    def _end(self, last: Callable[[Session], None]) -> None:
        """Say how the job ended; raises `LostClaim` where it is another's by now."""

        def end(session: Session) -> None:
            last(session)
            rest(session, self.claim.job)

        self._write(end)

    def _write(self, change: Callable[[Session], None]) -> None:
        def write() -> None:
            with self.desk.write() as session:
                change(session)

        self._patiently(write)

    def _patiently(self, action: Callable[[], object]) -> None:
        """Do something again until the database is there, for as long as the lease lasts."""
        until = monotonic() + self.claim.lease.total_seconds()
        while True:
            try:
                action()
                return
            except (InputError, InterfaceError) as error:
                if not is_away(error) or monotonic() > until or self.stop.wait(_AGAIN):
                    raise


def is_away(error: Exception) -> bool:
    """Return whether an error is that of a database that cannot be reached, or not written to."""
    return isinstance(error, InterfaceError) or isinstance(error.__cause__, OperationalError)


def in_plain_words(error: Exception) -> str:
    """Return why a job failed, as its owner is told."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return (
            "the engine ran out of memory; try again when less runs on the worker's machine, or "
            "have a machine with more"
        )
    line = str(error).strip().partition("\n")[0][:_LONGEST]
    return (
        f"the engine failed unexpectedly ({type(error).__name__}: {line}); try again, and if it "
        "fails again, tell those who run the desk"
    )
