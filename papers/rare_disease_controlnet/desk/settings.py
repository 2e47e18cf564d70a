"""How a desk is set up: where it keeps things, where it listens, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from common import paths
from common.errors import InputError

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """What one user, and one request, may ask for."""

    queued_jobs: int = 20  # of one user at the same time
    jobs_an_hour: int = 200  # of one user
    films: int = 64  # of one job
    upload: int = 8 * 2**20  # bytes of an uploaded film
    side: int = 4096  # pixels of an uploaded film
    body: int = 9 * 2**20  # bytes of a request
    idle: timedelta = timedelta(minutes=30)  # after which a session ends
    session: timedelta = timedelta(hours=12)  # after which it ends in any case
    generations: int = 3  # how often a rejected film is generated again, at most


@dataclass(frozen=True)
class Settings:
    """A desk, as `python -m papers.rare_disease_controlnet.desk` is told.

    Args:
        folder: of the corpus and of what is kept beside it.
        database: the address of another database than SQLite's in the folder.
        storage: ``s3://bucket/prefix`` instead of the folder's films.
        host: the address to listen at; another than the machine's own needs `tls_proxy`.
        port: to listen at; 0 for any that is free.
        tls_proxy: whether a proxy with TLS stands before it, whose X-Forwarded-For is believed.
        engine: the checkpoint that draws; None: that of the run that was trained last.
        limits: what may be asked for.
    """

    folder: Path = field(default_factory=lambda: paths.home() / "desk")
    database: str | None = None
    storage: str | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    tls_proxy: bool = False
    engine: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.host not in LOCAL and not self.tls_proxy:
            raise InputError(
                f"--host {self.host}: others could read along; put a proxy with TLS before the "
                "desk and say --behind-tls-proxy, or leave it out"
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port {self.port}: expected from 0 to 65535")
