"""A desk that is served and worked at, beside the test that looks at it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import uvicorn

from papers.rare_disease_controlnet.desk.app import build
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.worker import Engine, work


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve a desk on a port of its own; yield its address."""
    server = uvicorn.Server(uvicorn.Config(build(desk), port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.force_exit = True  # streams of progress would hold it up
        server.should_exit = True
        thread.join()


@contextmanager
def working(desk: Desk, engine: Engine, name: str = "worker") -> Iterator[None]:
    """Work at a desk's jobs for the length of the block."""
    stop = Event()
    thread = threading.Thread(
        target=work, args=(desk, engine, name, stop), kwargs={"pause": 0.1}, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
