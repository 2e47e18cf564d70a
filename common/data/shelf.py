"""Arrays that are set aside on disk where they are many, so that memory stays flat as data grows.

They lie in a file without a name, which goes with the process, and are mapped: one is used like any
other array, but for writing, and the system takes its pages back where memory is short. What is
small stays in memory.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from common import paths

IN_MEMORY = 64 << 20  # bytes that stay there, of a shelf or of an array
_REGION = 1 << 30  # bytes that are mapped at once; a process may have some ten thousand mappings
_SMALL = 1024  # bytes of an array that always stays
_BLOCK = 256  # rows that are worked on at once
_EVERY = 8  # items after which pages are given back

T = TypeVar("T")


class Shelf:
    """A place for arrays on disk, in a folder or in that of the program's own files."""

    def __init__(self, folder: Path | None = None):
        folder = folder or paths.home()
        self._file = tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None)  # noqa: SIM115
        self._regions: list[mmap.mmap] = []
        self._start = self._next = self._end = 0  # of the last region, in the file
        self._held = 0

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Return an array that holds the same, on disk unless there is little of it so far."""
        if array.nbytes < _SMALL or self._held + array.nbytes <= IN_MEMORY:
            self._held += array.nbytes
            return array
        rows = self.rows(1, array.shape, array.dtype)
        rows.append(array)
        return rows.array()[0]

    def rows(self, count: int, shape: tuple[int, ...], dtype: np.dtype) -> Rows:
        """Return room for so many rows of one shape and type."""
        size = count * math.prod(shape) * dtype.itemsize
        place = -(-self._next // 64) * 64
        if not self._regions or place + size > self._end:
            self._start = place = -(-self._end // mmap.ALLOCATIONGRANULARITY) * (
                mmap.ALLOCATIONGRANULARITY
            )
            self._end = place + max(size, _REGION)
            os.ftruncate(self._file.fileno(), self._end)  # a hole: room is taken as it is written
            self._regions.append(
                mmap.mmap(
                    self._file.fileno(),
                    self._end - place,
                    prot=mmap.PROT_READ,
                    flags=mmap.MAP_SHARED,
                    offset=place,
                )
            )
        self._next = place + size
        offset = place - self._start
        items = np.frombuffer(self._regions[-1], dtype, size // dtype.itemsize, offset)
        return Rows(self, self._file.fileno(), place, items.reshape(count, *shape))

    def release(self) -> None:
        """Give back the memory of the pages that were looked at; they are read again if needed."""
        for region in self._regions:
            if hasattr(mmap, "MADV_DONTNEED"):
                region.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Room for the rows of an array, which are given one after another."""

    def __init__(self, shelf: Shelf, file: int, place: int, whole: np.ndarray):
        self._shelf = shelf  # which closes the file when nobody has it any more
        self._file, self._place, self._whole = file, place, whole

    def append(self, rows: np.ndarray) -> None:
        """Write the next row, or several."""
        plain = np.ascontiguousarray(rows, self._whole.dtype)
        rest = memoryview(plain.reshape(-1).view(np.uint8).data)
        while rest:
            written = os.pwrite(self._file, rest, self._place)
            self._place, rest = self._place + written, rest[written:]

    def array(self) -> np.ndarray:
        """Return all rows as an array, which cannot be written to."""
        return self._whole


_SHELF: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def shelf(folder: Path) -> Iterator[Shelf]:
    """Have `kept` set arrays aside in a folder, and yield where they are."""
    made = Shelf(folder)
    before = _SHELF.set(made)
    try:
        yield made
    finally:
        _SHELF.reset(before)


def kept(item: T) -> T:
    """Return an item of a data set whose arrays are set aside, while one is prepared.

    That is within `shelf`; elsewhere the item is returned as it is.
    """
    made = _SHELF.get()
    return item if made is None else _kept(item, made)


def passing(items: Iterable[T]) -> Iterator[T]:
    """Yield items whose arrays may be set aside, and give back the memory of those that passed."""
    made = _SHELF.get()
    for number, item in enumerate(items, 1):
        yield item
        if made and number % _EVERY == 0:
            made.release()


def by_blocks(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Return ``function(*arrays)``, where each row of it depends on that row of the arrays alone.

    Where that is more than fits well into memory it is worked out a block of rows at a time.
    """
    count = len(arrays[0])
    blocks = (
        function(*(array[start : start + _BLOCK] for array in arrays))
        for start in range(0, max(count, 1), _BLOCK)
    )
    first = next(blocks)
    if count <= _BLOCK:
        return first
    if first.nbytes // len(first) * count <= IN_MEMORY:
        return np.concatenate([first, *blocks])
    rows = Shelf().rows(count, first.shape[1:], first.dtype)
    for block in itertools.chain([first], blocks):
        rows.append(block)
    return rows.array()


def taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return ``array[rows]`` for positions `rows`."""
    return by_blocks(lambda some: array[some], rows)


def joined(*arrays: np.ndarray) -> np.ndarray:
    """Return arrays one after another."""
    if sum(array.nbytes for array in arrays) <= IN_MEMORY:
        return np.concatenate(arrays)
    rows = Shelf().rows(sum(map(len, arrays)), arrays[0].shape[1:], arrays[0].dtype)
    for array in arrays:
        for start in range(0, len(array), _BLOCK):
            rows.append(array[start : start + _BLOCK])
    return rows.array()


def _kept(item: Any, made: Shelf) -> Any:
    if isinstance(item, np.ndarray):
        return made.keep(item)
    if is_dataclass(item) and not isinstance(item, type):
        values = {field.name: getattr(item, field.name) for field in fields(item)}
        own = {name: _kept(value, made) for name, value in values.items()}
        return replace(item, **own) if any(own[n] is not values[n] for n in own) else item
    return item
