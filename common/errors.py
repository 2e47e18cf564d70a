"""Errors that the user can act on: printed as they are, without a traceback."""

import contextlib
import difflib
import errno
import os
import pwd
import re
from collections.abc import Iterable, Iterator
from pathlib import Path


class UserError(ValueError):
    """What the user can act on; the command line prints the message and exits with `status`."""

    status = 1


class InputError(UserError):
    """Bad input: one line that names the file, field or flag, its value, and what to do."""

    status = 2


def nearest(name: str, options: Iterable[str]) -> str:
    """Return the end of an error line: the option closest to `name`, or all of them.

    `"demmo", ["demo", "smoke"]` gives ``did you mean 'demo'?``; a name close to nothing gives
    ``choose one of demo, smoke``.
    """
    options = sorted(options)
    close = difflib.get_close_matches(name[:100], options, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"choose one of {', '.join(options)}" if options else "there is none to choose from"


_FREE, _ELSEWHERE = "free some space, or choose another disk", "choose another folder"
_ADVICE = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: "allow larger files (ulimit -f), or choose another disk",
    errno.EACCES: "choose a folder that you may use, or ask its owner",
    errno.EPERM: "choose a folder that you may use, or ask its owner",
    errno.EROFS: "choose a folder that can be written",
    errno.ENAMETOOLONG: "shorten the name",
    errno.EEXIST: f"a file is in the way; {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of this path is a file; {_ELSEWHERE}",
    errno.EISDIR: "a file was expected, and this is a folder",
    errno.ENOENT: "it is not there, or a link to nothing",
    errno.ELOOP: "its links lead in a circle",
    errno.EMFILE: "allow more open files (ulimit -n 1024)",
    errno.ENOLCK: f"its disk has no locks; {_ELSEWHERE}",
    errno.EIO: "the disk reports a fault",
    errno.ESTALE: "the disk was lost meanwhile; give the command again",
}
_OWN = {errno.EBADF, errno.EPIPE, errno.ECHILD, errno.ESRCH}  # faults of a program
_MOVED = "REPLICATIONS_HOME=DIR moves data and runs, --out DIR what is written"
_PATH = re.compile(r"(?<![\w/])/[^\s\"';:,]+")  # in what a library tells


def of_system(error: BaseException) -> InputError | None:
    """Return what the operating system refused, and what to do, where that is behind an error.

    Libraries wrap such an error in ones of their own, or only tell its words. None where the
    error is another one, which is a fault of the program.
    """
    chain = list(_behind(error))
    for one in chain:
        if isinstance(one, OSError) and one.errno is not None and one.errno not in _OWN:
            path = next((os.fsdecode(n) for n in (one.filename2, one.filename) if n), "")
            if path or one.errno in _ADVICE:
                return _refused(path, str(one.strerror), one.errno)
    for one in chain:
        for number in _ADVICE:
            if (words := os.strerror(number)) in str(one):
                named = _PATH.search(str(one))
                return _refused(named[0] if named else "", words, number)
    return None


def _refused(path: str, words: str, number: int) -> InputError:
    advice = _ADVICE.get(number, _ELSEWHERE)
    if path and number in (errno.EACCES, errno.EPERM):
        advice = f"{_owned(Path(path))}{advice}"
    return InputError(f"{path}: {words}; {advice} ({_MOVED})".removeprefix(": "))


def _owned(path: Path) -> str:
    """Return whose a path is, where it is somebody else's."""
    for one in (path, *path.parents):
        with contextlib.suppress(OSError):
            owner = one.stat().st_uid
            break
    else:
        return ""
    if owner == os.getuid():
        return ""
    what = "it" if one == path else one
    try:
        return f"{what} belongs to {pwd.getpwuid(owner).pw_name}: "
    except KeyError:
        return f"{what} belongs to user {owner}: "


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
