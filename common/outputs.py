"""Folders that users name for what is written: looked at before the work, and nobody's files lost.

The SHA-256 of all that was written into a folder is kept outside it. Only what is still as it was
written is written over.
"""

import contextlib
import errno
import functools
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from common import files, paths
from common.errors import InputError

_ROOM = 4 << 20  # bytes: less is left for no results


def check(out: Path, flag: str = "--out") -> None:
    """Raise `InputError` unless files can be written in `out`, which `flag` gave."""
    with _refusing(out, flag):
        if out.exists() and not out.is_dir():
            raise InputError(f"{flag} {out}: is a file; give a folder")
        check_room(out)


def check_targets(out: Path, targets: Iterable[Path], flag: str = "--out") -> None:
    """Raise `InputError` unless targets can be written in `out`, and no file is lost by it."""
    with _refusing(out, flag):
        longest, known = _longest(out), functools.cache(_known)
        for target in targets:
            if _length(target) > longest:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), target)
            if os.path.lexists(target) and not _is_one_of(target, known(target.parent)):
                raise InputError(
                    f"{flag} {target}: is there, and not as it was written here; move it, or give "
                    "another folder"
                )


def check_new(out: Path, targets: Iterable[Path]) -> None:
    """Raise `InputError` unless files can be written in `out`, or where a target is there."""
    check(out)
    if there := [target for target in targets if os.path.lexists(target)]:
        raise InputError(f"--out {out}: {there[0].name} is there already; give another folder")


@contextlib.contextmanager
def _refusing(out: Path, flag: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename or out)
        raise InputError(
            f"{flag} {where}: cannot be written ({error.strerror}); give another folder"
        ) from None


def check_room(folder: Path, size: int = _ROOM) -> None:
    """Raise an `OSError` that names `folder`, which may be made yet, unless `size` bytes fit in."""
    below = _existing(folder)
    try:
        if _length(folder) > _longest(folder):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with tempfile.TemporaryFile(dir=below) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a disk that reserves nothing
            raise OSError(error.errno, error.strerror, str(folder)) from None


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all, or raise `InputError` where that is not possible."""
    digests: dict[Path, set[str]] = defaultdict(set)
    for path, content in contents.items():
        digests[path.parent].add(sha256(content).hexdigest())
    for folder, written in digests.items():
        with contextlib.suppress(OSError):  # then another folder has to be given next time
            _note(_record(folder), written)
    for path, content in contents.items():
        try:
            files.write_atomic(path, content)
        except OSError as error:
            raise InputError(f"--out: {path} cannot be written ({error.strerror})") from None


def _is_one_of(path: Path, known: set[str]) -> bool:
    """Return whether a file is as it was written here."""
    return bool(known) and path.is_file() and files.sha256(path) in known


def _note(record: Path, digests: Iterable[str]) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a") as file:
        file.write("".join(f"{digest}\n" for digest in sorted(digests)))


def _known(folder: Path) -> set[str]:
    try:
        return set(_record(folder).read_text().split())
    except (OSError, ValueError):
        return set()


def _record(folder: Path) -> Path:
    return paths.written() / sha256(os.fsencode(folder.resolve())).hexdigest()[:32]


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there, be it a file or a link."""
    return next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))


def _longest(folder: Path) -> int:
    return os.pathconf(_existing(folder), "PC_NAME_MAX")


def _length(path: Path) -> int:
    return max((len(os.fsencode(part)) for part in path.parts), default=0)
