"""One process at a time in a folder, on one machine or on several that share a file system."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".lock-holder"


@contextlib.contextmanager
def folder_lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of `folder` for the length of a ``with`` block; yield whether it is held.

    With `wait` the block begins when the lock is free; without, False is yielded where another
    process holds it. The operating system drops the lock with its process, so that one left by a
    killed process is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield True
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> str:
    """Return who holds the lock of `folder`, in words."""
    try:
        return (folder / HOLDER).read_text()
    except OSError:
        return "another process"
