"""What is printed: no terminal or log makes it fail, and nothing in it controls one."""

import errno
import io
import os
import signal
import sys

from common.text import shortened, visible

_HUNG_UP = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1  # as a shell has it

_LONGEST = 2000  # characters of a line that says why a command ends


def prepare() -> None:
    """Have every stream take all texts: what it cannot show becomes an escape.

    One that is closed leads nowhere, and to no file that is opened later under its number. To be
    called first of all.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if _is_closed(number):
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """Print what a command was asked for; line breaks and tabs in it stay."""
    print(visible(text, "\n\t"), flush=True)


def note(line: str) -> None:
    """Print a line to the standard error output, for people who watch."""
    print(visible(line), file=sys.stderr, flush=True)


def refuse(reason: object) -> None:
    """Print why a command ends; indented lines of it stay lines of their own."""
    lines = [visible(shortened(line, _LONGEST)) for line in str(reason).split("\n  ")]
    print("error:", "\n  ".join(lines), file=sys.stderr, flush=True)


def hang_up() -> int:
    """Have later output lead nowhere, since nobody reads; return the status that shells expect."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return _HUNG_UP


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError as error:
        return error.errno == errno.EBADF
    return False
