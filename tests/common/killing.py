"""Processes that are killed at each thing that they do to a file, one after the other."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")


def kills(work: Callable[[], object], folder: Path) -> Iterator[int]:
    """Do `work` in a process that is killed at its first act below `folder`, the second, …

    Yields the number after each kill; ends when the work was done before that.
    """
    number = 0
    while True:
        number += 1
        child = os.fork()
        if not child:
            _kill_at(number, str(folder))
            try:
                work()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        yield number


def _kill_at(number: int, folder: str) -> None:
    left = [number]

    def hook(event: str, arguments: tuple) -> None:
        if event not in EVENTS or not str(arguments[0]).startswith(folder):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
