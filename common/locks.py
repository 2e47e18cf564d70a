"""One process at a time in a folder, on one machine or on several that share a file system."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
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
        with contextlib.suppress(PermissionError):  # of another user who was killed
            (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield True
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def passing_lock(folder: Path) -> Iterator[None]:
    """Wait for a lock of `folder`, which must be there, and hold it; it leaves no file behind."""
    lock = FileLock(folder / LOCK)
    with lock:
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)  # those who wait for it make another


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is gone afterwards, as is what killed processes left.

    Nothing but such folders may lie in `parent`.
    """
    with contextlib.ExitStack() as held:
        with folder_lock(parent):
            for left in (path for path in parent.iterdir() if path.is_dir()):
                with (
                    contextlib.suppress(PermissionError),  # of another user
                    folder_lock(left, wait=False) as free,
                ):
                    if free:
                        shutil.rmtree(left)
            folder = Path(tempfile.mkdtemp(dir=parent))
            held.enter_context(folder_lock(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def holder(folder: Path) -> str:
    """Return who holds the lock of `folder`, in words."""
    try:
        return (folder / HOLDER).read_text()
    except OSError:
        return "another process"
