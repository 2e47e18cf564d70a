"""Errors that the user can act on: printed as they are, without a traceback."""

import difflib
import errno
import os
from collections.abc import Iterable, Iterator


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


_ADVICE = {
    errno.ENOSPC: "free some space, or choose another disk",
    errno.EDQUOT: "free some space, or choose another disk",
    errno.EACCES: "choose a folder that you may use, or ask its owner",
    errno.EPERM: "choose a folder that you may use, or ask its owner",
    errno.EROFS: "choose a folder that can be written",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ENOTDIR: "a part of this path is a file; choose another folder",
    errno.EISDIR: "a file was expected, and this is a folder",
    errno.ENOENT: "it is not there, or a link to nothing",
    errno.ELOOP: "its links lead in a circle",
    errno.EMFILE: "allow more open files (ulimit -n 1024)",
    errno.EIO: "the disk reports a fault",
}
_MOVED = "REPLICATIONS_HOME=DIR moves data and runs, --out DIR what is written"


def of_system(error: BaseException) -> InputError | None:
    """Return what the operating system refused, and what to do, where that is behind an error.

    Libraries wrap such an error in ones of their own, or only tell its words. None where the
    error is another one, which is a fault of the program.
    """
    chain = list(_behind(error))
    for one in chain:
        if isinstance(one, OSError) and one.errno in _ADVICE:
            path = next((str(name) for name in (one.filename2, one.filename) if name), "")
            what = f"{path}: {one.strerror}" if path else str(one.strerror)
            return InputError(f"{what}; {_ADVICE[one.errno]} ({_MOVED})")
    for one in chain:
        for number, advice in _ADVICE.items():
            if os.strerror(number) in str(one):
                words = " ".join(str(one).split())
                return InputError(f"{words[:300]}; {advice} ({_MOVED})")
    return None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
