"""The database of a corpus: SQLite in a file, or PostgreSQL by its address.

SQLite keeps a write-ahead log, so that nobody who reads waits; who writes begins by taking the
right to (BEGIN IMMEDIATE) and is brief, so that writers wait for each other and never fail. Those
of one process stand in line: SQLite itself would let them sleep and try again. Its file lies on a
disk of the machine; several machines share a PostgreSQL. No statement is prepared on the server,
and nothing is kept in a session of it: a pooler may stand in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, ProgrammingError

from common.errors import InputError

READING = {"reading": True}  # the option of an engine whose transactions write nothing
_PATIENCE = 30  # seconds to wait for another writer
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
_DRIVERS = {"sqlite": {"timeout": _PATIENCE}, "postgresql": {"prepare_threshold": None}}
_POOLS: dict[str, dict[str, Any]] = {
    "sqlite": {"pool_size": 40},  # an open file each: as many as the web has threads
    "postgresql": {"pool_pre_ping": True},
}
_lines: WeakKeyDictionary[Engine, threading.Lock] = WeakKeyDictionary()  # of SQLite's writers
_ADVICE = {
    "locked": "another program holds it; end that one or try again",
    "full": "free some space; what was there before is whole",
    "no space": "free some space; what was there before is whole",
    "not a database": "give another file or restore this one",
    "malformed": "restore it from a copy",
    "unable to open": "give a folder that exists and can be written to",
    "readonly": "make it writable",
    "only ever added": "decide anew instead",
    "unique": "somebody else was first; look again",
    "connect": "start the server, or give another address",
}


def connect(url: str) -> Engine:
    """Return the database at ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/NAME``.

    Raises:
        InputError: an address that cannot be read, or of another kind of database. The line names
            no more of it than its kind: there may be a password in it.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise InputError(
            "--database: not an address; write sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from None
    kind = address.get_backend_name()
    if kind not in _DRIVERS:
        raise InputError(f"--database {kind}: not supported, choose sqlite or postgresql")
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(address, connect_args=_DRIVERS[kind], **_POOLS[kind])
    except ModuleNotFoundError as error:
        raise InputError(f"--database {kind}: needs the package {error.name}; install it") from None
    if kind == "sqlite":
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        _lines[engine] = threading.Lock()
    return engine


@contextmanager
def turn(engine: Engine) -> Iterator[None]:
    """Wait until no other thread of this process writes, where the database has one at a time.

    Raises:
        InputError: it takes too long, as where a thread that writes begins to write again.
    """
    line = _lines.get(engine)
    if line is None:
        yield
        return
    if not line.acquire(timeout=_PATIENCE):
        raise InputError(f"{engine.url.render_as_string()}: is busy; {_ADVICE['locked']}")
    try:
        yield
    finally:
        line.release()


@contextmanager
def one_line(engine: Engine) -> Iterator[None]:
    """Turn what a database refuses, or why it cannot be used, into an `InputError`.

    An error in the project's own SQL stays what it is.
    """
    try:
        yield
    except (ProgrammingError, InterfaceError):
        raise
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        found = [advice for words, advice in _ADVICE.items() if words in reason.lower()]
        advice = f"; {found[0]}" if found else ""
        raise InputError(f"{engine.url.render_as_string()}: {reason}{advice}") from error


def _set_up(connection: Any, _: Any) -> None:
    """Make SQLite's driver leave transactions alone, and set what holds for a connection."""
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
