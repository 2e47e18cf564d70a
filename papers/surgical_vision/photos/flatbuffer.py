"""FlatBuffers read without a schema compiler: tables, whose fields are looked up by position.

A table begins with the distance back to its vtable, which holds the vtable's and the table's bytes
and then of every field the distance from the table's start, 0 where the field has its default.
Numbers are little-endian. Malformed files raise `struct.error` or `ValueError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True)
class Table:
    """A table at a place in a buffer."""

    buffer: bytes
    start: int

    @classmethod
    def root(cls, buffer: bytes) -> Table:
        """Return the table that a buffer is about."""
        return cls(buffer, _number(buffer, "<I", 0))

    def number(self, field: int, code: str, default: int = 0) -> int:
        """Return a number, by `struct`'s code of its type, or the default."""
        place = self._place(field)
        return default if place is None else _number(self.buffer, f"<{code}", place)

    def table(self, field: int) -> Table | None:
        """Return the table that a field points to; None without one."""
        place = self._place(field)
        return None if place is None else Table(self.buffer, self._follow(place))

    def tables(self, field: int) -> Iterator[Table]:
        """Yield the tables of a field that is a vector of them."""
        start, count = self._vector(field)
        for place in range(start, start + 4 * count, 4):
            yield Table(self.buffer, self._follow(place))

    def numbers(self, field: int, dtype: str) -> Shaped[np.ndarray, " count"]:
        """Return the numbers of a field that is a vector of them, by NumPy's name of their type."""
        start, count = self._vector(field)
        return np.frombuffer(self.buffer, np.dtype(dtype).newbyteorder("<"), count, start)

    def _vector(self, field: int) -> tuple[int, int]:
        """Return where a vector's items begin, and their number."""
        place = self._place(field)
        if place is None:
            return 0, 0
        start = self._follow(place)
        return start + 4, _number(self.buffer, "<I", start)

    def _place(self, field: int) -> int | None:
        vtable = self.start - _number(self.buffer, "<i", self.start)
        entry = 4 + 2 * field
        if entry >= _number(self.buffer, "<H", vtable):
            return None
        distance = _number(self.buffer, "<H", vtable + entry)
        return self.start + distance if distance else None

    def _follow(self, place: int) -> int:
        return place + _number(self.buffer, "<I", place)


def _number(buffer: bytes, code: str, place: int) -> int:
    if place < 0:  # struct would count it from the end
        raise ValueError("an offset before the file's start")
    return struct.unpack_from(code, buffer, place)[0]
