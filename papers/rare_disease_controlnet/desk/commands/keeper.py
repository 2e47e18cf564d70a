"""The process with the engine: its work, and that there is always one beside the pages."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from common import terminal
from common.errors import UserError
from common.pipeline.process import prepare_process
from papers.rare_disease_controlnet.desk.settings import Settings

NICE = 15  # of the engine beside the pages: whoever waits for a page comes first
_GRACE = 20.0  # seconds that the engine has to end with its step
_STEADY = 60.0  # seconds after which a process counts as one that works
_LONGEST = 60.0  # seconds between two starts
_LOOK = 0.2  # seconds between two looks
_FIRST = 1.0  # seconds before the first further start


def work(settings: Settings) -> int:
    """Work at the desk's jobs until this process is told to end; return its exit status."""
    from papers.rare_disease_controlnet.desk.jobs.engine import StudyEngine
    from papers.rare_disease_controlnet.desk.jobs.worker import work as work_at
    from papers.rare_disease_controlnet.desk.opening import open_desk

    stop = threading.Event()

    def end(*_: Any) -> None:
        if stop.is_set():  # the second time: at once; the job goes back when its lease is over
            os._exit(130)
        stop.set()

    desk = open_desk(settings)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, end)
    own = name()
    print(f"engine: {own} waits for jobs", flush=True)
    work_at(desk, StudyEngine(desk), own, stop)
    return 0


def name() -> str:
    """Return what this worker is called: no two that live have one name."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


def pause_after(before: float, lived: float) -> float:
    """Return how many seconds to wait until the next start: ever longer, unless one has stayed.

    Args:
        before: how long the last wait was; 0 for none.
        lived: how many seconds the process ran.
    """
    if not before or lived > _STEADY:
        return _FIRST
    return min(2 * before, _LONGEST)


class Keeper:
    """Keeps a process with an engine running for the length of a ``with`` block.

    One that ends by itself is started again, after pauses that grow while it does not stay.
    """

    def __init__(self, settings: Settings, demo: bool = False):
        self._arguments = (settings, demo)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _keep(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        pause = 0.0
        while not self._stop.is_set():
            process = spawn.Process(target=_beside, args=self._arguments)
            begun = time.monotonic()
            process.start()
            while process.is_alive() and not self._stop.is_set():
                process.join(_LOOK)
            if self._stop.is_set():
                _end(process)
                return
            pause = pause_after(pause, time.monotonic() - begun)
            print(
                f"desk: the engine's process ended (exit code {process.exitcode}); another is "
                f"started in {pause:g} s",
                file=sys.stderr,
                flush=True,
            )
            self._stop.wait(pause)


def _end(process: Any) -> None:
    process.terminate()
    process.join(_GRACE)
    if process.is_alive():
        process.kill()
        process.join()


def _beside(settings: Settings, demo: bool) -> None:
    """Be the process with the engine: it ends with the one that shows the pages."""
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    os.nice(NICE)
    prepare_process()
    with suppress(KeyboardInterrupt):
        try:
            if demo:
                from papers.rare_disease_controlnet.desk.demo import prepare

                prepare(settings)
            work(settings)
        except UserError as error:
            terminal.refuse(error)
            sys.exit(error.status)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
