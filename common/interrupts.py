"""Ctrl-C and SIGTERM end a command at once, whatever it is at, with one line and no traceback.

Python hands a signal to the main thread when that comes to its next instruction: after a network
is compiled, in minutes, or in the midst of a callback that loses it. Here the signals are held back
from all threads but one that waits for them. It ends the process as a kill would, which leaves
nothing half done: what is written is there whole or not at all, and locks go with their process.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

_ENDINGS: list[Callable[[], object]] = []
_WORDS = {
    signal.SIGINT: "interrupted; the same command resumes from the last checkpoint",
    signal.SIGTERM: "terminated; the same command resumes from the last checkpoint",
}


def end_at_once(*, silent: bool = False) -> None:
    """Have this process end with 130 or 143 when it is told to end, and say so unless `silent`.

    Signals that are ignored, as in the background of a script, stay so. To be called before any
    thread is started, as threads hold back what their parent does.
    """
    signals = _heeded()
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for one in signals:  # where a library lets them through to the main thread
        signal.signal(one, lambda number, _: _end(number, silent))
    wait: Callable[[], None] = lambda: _end(signal.sigwait(signals), silent)  # noqa: E731
    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back from what is started in the block, until it calls `end_at_once`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _heeded())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_too(end: Callable[[], object]) -> None:
    """Have a process that was started here, which `end` ends at once, end with this one."""
    _ENDINGS.append(end)


def _heeded() -> list[signal.Signals]:
    return [one for one in _WORDS if signal.getsignal(one) is not signal.SIG_IGN]


def _end(number: int, silent: bool) -> NoReturn:
    for end in _ENDINGS:
        end()
    if not silent:
        with contextlib.suppress(OSError):  # nobody reads
            os.write(2, f"{_WORDS[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)
