"""Data sets, and what they become on the way to training: readings, examples, prepared data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from common.data.finder import Account

D = TypeVar("D")  # a study's config of data
T = TypeVar("T")  # what a data set is read into: subjects, patients, images

Example = Mapping[str, Any]  # arrays, numbers and strings by field; all examples have the same


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What was read of a data set; strings of all lists are "name: reason"."""

    items: list[T]  # subjects, patients, images, in the order that splits depend on
    bad: list[str] = field(default_factory=list)  # files and rows that should be whole and are not
    absent: list[str] = field(default_factory=list)  # what was never there: no file, no label
    ignored: list[str] = field(default_factory=list)  # what lies there and is none of the data


@dataclass(frozen=True)
class Dataset(Generic[D, T]):
    """A data set that a study can run on: what it is, where it comes from, and what reads it."""

    title: str  # its name in a sentence
    description: str  # what it is, in a line
    stand_in: bool  # True: not the data of the source
    read: Callable[[Any, D], Reading[T]]  # given the raw folder, None where none is needed
    raw: str | None = None  # what --raw must hold; None = comes with the project
    access: str = ""  # how to get the raw files
    files: Callable[[Path, D], list[Path]] | None = None  # the raw files that `read` looks at
    license: str = ""  # of the data, or of what a stand-in is made of; goes with trained networks
    private: bool = False  # people's own: no result of it is written into the project


class Later(Mapping[str, Example], Generic[T]):
    """Examples by key, each made when it is asked for, of what was read."""

    def __init__(self, members: Mapping[str, T], make: Callable[[T], Example]):
        self._members, self._make = members, make

    def __getitem__(self, key: str) -> Example:
        return self._make(self._members[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@dataclass(frozen=True)
class Examples:
    """All examples of a data set by split and key, with what there is to say of them."""

    splits: Mapping[str, Mapping[str, Example]]
    parts: Mapping[str, Mapping[str, Any]]  # of every split: subjects, range of ages and the like
    description: str  # of the data as read, in a line


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be loaded, and what there is to know about it."""

    dataset: str
    folder: Path
    content_hash: str  # SHA-256 over all examples in the order of their keys
    stand_in: bool  # not the data that the source used
    description: str
    sizes: Mapping[str, int]  # examples of every split
    parts: Mapping[str, Mapping[str, Any]]
    skipped: tuple[str, ...]  # bad files that were left out, "name: reason"
    absent: tuple[str, ...]  # what was never there, "name: reason"
    files: int = 0  # raw files that were read, bad ones too
    ignored: tuple[str, ...] = ()  # what lies beside them and is none of the data, "name: reason"

    @property
    def account(self) -> Account:
        """What became of all that lay in the raw folder."""
        return Account(self.files, self.skipped, self.ignored)

    def columns(self, split: str, *by: str) -> dict[str, Any]:
        """Return the fields of a split's examples in the order of some of them, each as one array.

        The arrays cannot be written to, and lie on disk where they are large; of strings there is
        a tuple.
        """
        from common.data import builder, columns

        return columns.read(builder.read(self.dataset, self.folder, split), by)
