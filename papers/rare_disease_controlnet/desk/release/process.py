"""The process that trains, as its worker sees it: what it says, and that it ends."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from common.provenance import ROOT
from papers.rare_disease_controlnet.desk.release.training import PENDING

_GRACE = 10.0  # seconds that it has to end by itself
_LONGEST = 500  # characters of a line


@dataclass
class Process:
    """The process that trains, and what it has said until now."""

    popen: subprocess.Popen[str]
    pending: int = 0
    begun: int = 0
    last: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    result: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """Return what it is at, such as "3 of 12: train classifier_selected_24, seed 1"."""
        line = self.last[-1] if self.last else "starting"
        return f"{min(self.begun, self.pending)} of {self.pending}: {line}" if self.begun else line

    def hear(self) -> None:
        """Listen to both outputs until they are closed."""
        listeners = {self._line: self.popen.stderr, self.result.append: self.popen.stdout}
        for use, pipe in listeners.items():
            assert pipe is not None
            thread = threading.Thread(target=_each, args=(pipe, use), daemon=True)
            thread.start()
            self.threads.append(thread)

    def heard(self) -> None:
        """Wait until all is heard that it has said."""
        for thread in self.threads:
            thread.join(_GRACE)

    def _line(self, line: str) -> None:
        line = line.strip()
        if line.startswith(PENDING):
            self.pending = int(line.removeprefix(PENDING))
        elif line:
            self.begun += line.startswith(("train ", "evaluate "))
            self.last.append(line[:_LONGEST])


@contextmanager
def running(command: Sequence[str]) -> Iterator[Process]:
    """Yield a process that is ended with the block; it ends by itself when this one is killed."""
    popen = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # what ends the worker by a key need not end it in the middle
        # the worker's own engine has most of a GPU's memory
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )
    process = Process(popen)
    process.hear()
    try:
        yield process
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(_GRACE)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
        process.heard()
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            if pipe is not None:
                pipe.close()


def _each(pipe: Iterable[str], use: Callable[[str], None]) -> None:
    for line in pipe:
        use(line)
