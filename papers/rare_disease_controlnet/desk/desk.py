"""A desk that is open: its settings and its corpus, as every route and command uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from papers.rare_disease_controlnet.corpus.corpus import Corpus
from papers.rare_disease_controlnet.corpus.store import Store
from papers.rare_disease_controlnet.desk.settings import Settings


@dataclass(frozen=True)
class Desk:
    """An open desk."""

    settings: Settings
    corpus: Corpus

    @property
    def store(self) -> Store:
        """Return where films are kept."""
        return self.corpus.store

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that nobody waits for, and that keeps no change."""
        with self.corpus.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are kept, all or none; be brief, writers wait in line."""
        with self.corpus.write() as session:
            yield session


def desk_of(request: HTTPConnection) -> Desk:
    """Return the desk that a request is for; a dependency of routes."""
    desk: Desk = request.app.state.desk
    return desk
