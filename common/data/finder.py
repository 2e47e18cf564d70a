"""What lies in a folder and below: every entry is a file to be had, ignored, or bad, and why.

Linked folders are entered like others, but no folder twice: neither circles nor a second way to
the same files count. Of what systems and programs put beside files nothing counts.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from common.data.raw import existing
from common.errors import InputError

SYSTEM = frozenset(
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found",
     "$recycle.bin", "system volume information"]
)  # fmt: skip
HIDDEN, OF_SYSTEM, READ = "hidden", "of the system", "linked, and read anyway"
SPECIAL, OTHER, MADE = "not regular", "of another kind", "made by predict"
DRAWN = "drawn on a scan"
SECOND, MISNAMED, ROWS = "there a second time", "not named as published", "without files"
OUTSIDE, COPIED = "outside of the folders that are read", "copied"
IMAGES = (".bmp", ".gif", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".nii", ".nii.gz", ".png",
          ".tif", ".tiff", ".webp", ".dcm", ".dicom")  # fmt: skip
COPY = re.compile(r"(?P<name>.+?)( \([0-9]+\)| - Copy( \([0-9]+\))?| copy( [0-9]+)?)")


Entry = TypeVar("Entry")


@dataclass
class Seen:
    """All entries of a folder and below; strings of `ignored` and `bad` are "name: reason".

    A link that leads to no file is one of the files: whoever wants it finds it bad.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    entered: list[Path] = field(default_factory=list)  # all folders below

    def name(self, path: Path) -> str:
        """Return how an entry is named to people: its path below the folder."""
        return str(path).removeprefix(os.path.join(self.root, ""))

    def folders(self, folder: Path) -> list[Path]:
        """Return the folders that lie in a folder, by name."""
        return sorted(path for path in self.entered if path.parent == folder)

    def only(self, paths: Iterable[Path], name: str) -> Path | None:
        """Return which of the paths has this name, in any case; None if none.

        Raises `InputError` where several have.
        """
        found = [path for path in paths if path.name.lower() == name.lower()]
        if len(found) > 1:
            raise InputError(
                f"--raw {self.root}: both {self.name(found[0])} and {self.name(found[1])} are "
                "there; keep one"
            )
        return found[0] if found else None

    def beside(self, folder: Path) -> list[Path]:
        """Return the files that lie in a folder itself."""
        return [path for path in self.files if path.parent == folder]

    def below(self, folder: Path) -> list[Path]:
        """Return the files that lie in a folder or deeper."""
        start = os.path.join(folder, "")
        return [path for path in self.files if str(path).startswith(start)]

    def others(
        self, taken: Iterable[Path], reason: Callable[[Path], str] = lambda _: OTHER
    ) -> list[str]:
        """Return all that is ignored, where these files are read or bad; `reason` says why."""
        used = set(taken)
        rest = [f"{self.name(path)}: {reason(path)}" for path in self.files if path not in used]
        return [*self.ignored, *rest]


def look(folder: Path, flag: str = "--raw") -> Seen:
    """Return what lies in a folder and below.

    A folder that cannot be entered is bad. Raises `InputError` where `folder`, which `flag` gave,
    is none.
    """
    root = existing(folder, flag)
    seen = Seen(root)
    known = {os.path.realpath(root)}
    inside, links = [(str(root), os.path.realpath(root))], list[str]()
    while inside or links:
        if not inside:  # links come last, so that a folder is met as itself and not by a link
            link = links.pop(0)
            real = os.path.realpath(link)
            if real in known or os.path.realpath(root).startswith(os.path.join(real, "")):
                seen.ignored.append(f"{_below(link, seen)}: {READ}")
                continue
            known.add(real)
            inside.append((link, real))
        _enter(*inside.pop(), seen, known, inside, links)
    return seen


def _enter(
    folder: str,
    real: str,
    seen: Seen,
    known: set[str],
    inside: list[tuple[str, str]],
    links: list[str],
) -> None:
    """Sort the entries of one folder; `real` is its path without links."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        seen.bad.append(f"{_below(folder, seen) or '.'}: cannot be entered ({error.strerror})")
        return
    if folder != str(seen.root):
        seen.entered.append(Path(folder))
    for entry in found:
        if reason := _left_alone(entry.name):
            seen.ignored.append(f"{_below(entry.path, seen)}: {reason}")
        elif _is_folder(entry):
            if entry.is_symlink():
                links.append(entry.path)
            elif os.path.join(real, entry.name) not in known:
                known.add(os.path.join(real, entry.name))
                inside.append((entry.path, os.path.join(real, entry.name)))
            else:
                seen.ignored.append(f"{_below(entry.path, seen)}: {READ}")
        elif entry.is_symlink() or entry.is_file():
            seen.files.append(Path(entry.path))
        else:
            seen.ignored.append(f"{_below(entry.path, seen)}: {SPECIAL}")


def _left_alone(name: str) -> str:
    if name.lower() in SYSTEM:
        return OF_SYSTEM
    return HIDDEN if name.startswith(".") else ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where nobody may look
        return False


def _below(path: str, seen: Seen) -> str:
    return path.removeprefix(os.path.join(seen.root, ""))


@dataclass(frozen=True)
class Listing(Generic[Entry]):
    """What a data set's folder holds; strings of `bad` and `ignored` are "name: reason"."""

    entries: list[Entry]
    files: list[Path]  # all that are read
    bad: list[str]
    ignored: list[str]


@dataclass(frozen=True)
class Account:
    """What became of all that lay in a folder; strings are "name: reason"."""

    read: int  # files, bad ones too
    bad: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        reasons = Counter(line.rpartition(": ")[2] for line in self.ignored)
        parts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        files = f"{self.read} file{'s' * (self.read != 1)} read, {len(self.bad)} bad"
        return f"{files}, {len(self.ignored)} ignored" + (f" ({parts})" if parts else "")


def numeric(path: Path) -> list[list[str | int]]:
    """Return what sorts paths part by part, numbers in them by value: slice_2, slice_10."""
    parts = [re.split(r"([0-9]+)", part) for part in path.parts]
    return [[int(one) if i % 2 else one for i, one in enumerate(part)] for part in parts]


def size(path: Path) -> int:
    """Return how many bytes a file has, -1 where that cannot be known."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def suffix(path: Path, suffixes: Collection[str]) -> str:
    """Return which of the suffixes a file's name ends with, in lower case; empty if none."""
    name = path.name.lower()
    return max((end for end in suffixes if name.endswith(end)), key=len, default="")
