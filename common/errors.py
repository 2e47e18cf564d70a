"""Errors that the user can act on: printed as they are, without a traceback."""

import difflib
from collections.abc import Iterable


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
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"choose one of {', '.join(options)}" if options else "there is none to choose from"
