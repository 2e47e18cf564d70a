"""The sides of `experiments.benchmarks.gpu`: programs that are asked, and given up after a time."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any


class FailedError(Exception):
    """A side could not do what it was asked; the message is the reason."""


class Clock:
    """The seconds that are left of a number of them."""

    def __init__(self, seconds: float):
        self.begin = time.monotonic()
        self.seconds = seconds

    def used(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.begin

    def left(self, kept: float = 0.0) -> float:
        """Return the seconds left, without those kept for something else."""
        return self.seconds - self.used() - kept


class Side:
    """A program that answers as `gpu_answering.serve` says; started when asked, and once more after
    it has ended or was given up, so that a row's fault is this row's alone.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]):
        self.name, self.command, self.environment = name, list(command), dict(environment)
        self.process: subprocess.Popen | None = None
        self.lines: queue.Queue[str] = queue.Queue()

    def begin(self, action: str, *arguments: Any) -> None:
        """Send a question; `end` waits for its answer."""
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, text=True, env=self.environment
            )
            self.lines = queue.Queue()
            reading = (self.process, self.lines)
            threading.Thread(target=_read, args=reading, daemon=True).start()
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended: `end` says so
            print(json.dumps([action, *arguments]), file=self.process.stdin, flush=True)

    def end(self, seconds: float) -> dict[str, Any]:
        """Return the answer; raises `FailedError` with the reason where there is none in time."""
        try:
            line = self.lines.get(timeout=max(seconds, 0.1))
        except queue.Empty:
            self.close()
            raise FailedError(f"{self.name}: no answer within {seconds:.0f} s") from None
        if not line:
            self.close()
            raise FailedError(f"{self.name} ended: its last words are in standard error")
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def ask(self, seconds: float, action: str, *arguments: Any) -> dict[str, Any]:
        """Return the answer to a question; raises `FailedError` as `end`."""
        self.begin(action, *arguments)
        return self.end(seconds)

    def close(self) -> None:
        """End the program."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _read(process: subprocess.Popen, lines: queue.Queue) -> None:
    """Pass the answers on, and at the end an empty one."""
    assert process.stdout
    for line in process.stdout:
        lines.put(line)
    lines.put("")
