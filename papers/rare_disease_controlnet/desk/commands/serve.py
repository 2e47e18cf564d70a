"""The desk itself: its pages, and beside them a process with an engine that draws."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import uvicorn

from common.errors import InputError
from papers.rare_disease_controlnet.desk.commands import people
from papers.rare_disease_controlnet.desk.commands.keeper import Keeper
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.known import STAGE, known
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings

_GRACE = 5  # seconds that answers on their way have when the desk ends
_BACKLOG = 128
_WHY = {
    errno.EADDRINUSE: "--port {port}: is taken, perhaps by another desk; give another, or 0",
    errno.EACCES: "--port {port}: may not be listened at; give one above 1023",
    errno.EADDRNOTAVAIL: "--host {host}: is no address of this machine; give one that is",
}


class _Ending:
    """That somebody wants the desk to end, noted whenever they say so: nothing is interrupted.

    An exception out of a signal would be lost where a library that is just being imported catches
    all of them.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.server: uvicorn.Server | None = None

    def __call__(self, *_: Any) -> None:
        self.wanted = True
        if self.server is not None:
            self.server.should_exit = True


def serve(settings: Settings, *, worker: bool = True, demo: bool = False) -> int:
    """Open the desk and show its pages until somebody ends it; return the exit status.

    Args:
        settings: of the desk.
        worker: whether an engine works beside the pages; others may work elsewhere.
        demo: whether there are films, people and an engine to try it with, made where missing.

    Raises:
        InputError: the desk cannot be opened, or not where it should listen.
    """
    with _listening(settings) as listening:  # who comes early waits until there are pages
        desk = open_desk(settings)
        if settings.engine is not None:
            known(desk)  # refuses what is no engine, before anything depends on it
        (settings.folder / STAGE).unlink(missing_ok=True)  # of a process that was killed
        address = people.address_of(settings, listening.getsockname()[1])
        if demo:
            from papers.rare_disease_controlnet.desk.demo import welcome

            welcome(desk, address)
        else:
            people.ask_for_admin(desk, address)
        ending = _Ending()
        signal.signal(signal.SIGTERM, ending)
        signal.signal(signal.SIGINT, ending)
        print(f"desk: {address}", flush=True)
        with Keeper(settings, demo) if worker else nullcontext():
            ending.server = _server(desk)
            if not ending.wanted:
                ending.server.run(sockets=[listening])
        if ending.wanted:
            print("desk: ended; jobs go on when it is started again", flush=True)
    return 0


def _server(desk: Desk) -> uvicorn.Server:
    from papers.rare_disease_controlnet.desk.app import build  # all features, which takes seconds
    from papers.rare_disease_controlnet.desk.pages import prepare

    prepare()
    return uvicorn.Server(
        uvicorn.Config(
            build(desk),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whom to believe is for the desk to say
            timeout_graceful_shutdown=_GRACE,
        )
    )


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Yield the socket of the desk; raises `InputError` where it cannot listen."""
    where = {"host": settings.host, "port": settings.port}
    try:
        family, *_, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        why = _WHY.get(error.errno or 0, "--host {host}: cannot be listened at ({reason})")
        raise InputError(why.format(reason=error.strerror, **where)) from None
    with listening:
        yield listening
