"""The examples of a prepared split as one array for each field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.data.loader import Source
from common.data.shelf import IN_MEMORY, Rows, Shelf


def read(source: Source, by: Sequence[str]) -> dict[str, Any]:
    """Return each field of all examples, in the order of the fields `by`.

    What is more than fits well into memory is set aside on disk, and read twice where it does not
    lie in this order; no array can be written to. Strings become a tuple.
    """
    first = source[0]
    size = len(source) * sum(np.asarray(value).nbytes for value in first.values())
    places = range(len(source))
    if size <= IN_MEMORY:
        rows = sorted(_rows(source, places), key=lambda row: _key(row, by))
        return {name: _stacked([row[name] for row in rows]) for name in first}
    found, keys = _set_aside(source, places, by)
    order = sorted(places, key=keys.__getitem__)
    return found if order == list(places) else _set_aside(source, order, by)[0]


def _set_aside(
    source: Source, places: Sequence[int], by: Sequence[str]
) -> tuple[dict[str, Any], list[tuple]]:
    """Return the fields of examples in the order of `places`, on disk, and what orders them."""
    shelf, first = Shelf(), source[0]
    arrays: dict[str, Rows] = {}
    texts: dict[str, list[bytes]] = {}
    for name, value in first.items():
        if isinstance(value, bytes):
            texts[name] = []
        else:
            plain = np.asarray(value)
            arrays[name] = shelf.rows(len(places), plain.shape, plain.dtype)
    keys = []
    for row in _rows(source, places):
        keys.append(_key(row, by))
        for name, rows in arrays.items():
            rows.append(np.asarray(row[name]))
        for name, values in texts.items():
            values.append(row[name])
    found = {name: rows.array() for name, rows in arrays.items()}
    return found | {name: _stacked(values) for name, values in texts.items()}, keys


def _rows(source: Source, places: Iterable[int]) -> Iterator[Mapping[str, Any]]:
    for place in places:
        yield source[place]


def _key(row: Mapping[str, Any], by: Sequence[str]) -> tuple:
    return tuple(row[name] for name in by)


def _stacked(values: list[Any]) -> Any:
    """Return values of one field as an array, or as a tuple of strings."""
    if isinstance(values[0], bytes):
        return tuple(value.decode() for value in values)
    array = np.stack(values)
    array.flags.writeable = False
    return array
