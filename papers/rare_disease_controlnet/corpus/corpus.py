"""A corpus of synthetic films: its database and its files, opened, added to and checked.

corpus = open_corpus(folder)
with corpus.write() as session:
    enqueue(session, {"label": "nodule", …}, asked_by="demo")
with corpus.write() as session:
    claimed = claim(session, "worker 1")
keep(corpus, claimed, 0, content, lineage)  # and further films
with corpus.write() as session:
    finish(session, claimed)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.database import READING, connect, one_line, turn
from papers.rare_disease_controlnet.corpus.lineage import Lineage
from papers.rare_disease_controlnet.corpus.queue import Claim, renew
from papers.rare_disease_controlnet.corpus.store import Folder, Store
from papers.rare_disease_controlnet.corpus.tables import Base, Film

DATABASE, FILMS = "corpus.db", "films"  # in the folder of a corpus


@dataclass(frozen=True)
class Corpus:
    """An open corpus; `write` and `read` give sessions, rows stay usable after them."""

    engine: Engine
    store: Store

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are kept, all or none, when the block ends.

        Raises:
            InputError: the database cannot be used, or refuses the changes.
        """
        with (
            turn(self.engine),
            one_line(self.engine),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that nobody waits for, and that keeps no change.

        Raises:
            InputError: the database cannot be used.
        """
        engine = self.engine.execution_options(**READING)
        with one_line(self.engine), Session(engine, expire_on_commit=False) as session:
            yield session


def open_corpus(folder: Path, database: str | None = None) -> Corpus:
    """Return the corpus in a folder, made where it is not there.

    Args:
        folder: of the films, and of SQLite's file.
        database: the address of another database; see `connect`.

    Raises:
        InputError: folder or database cannot be used.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give the folder of a corpus")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    engine = connect(database or f"sqlite:///{folder.absolute() / DATABASE}")
    with one_line(engine):
        Base.metadata.create_all(engine)
    return Corpus(engine, Folder(folder / FILMS))


def keep(corpus: Corpus, claim: Claim, number: int, content: bytes, lineage: Lineage) -> int:
    """Keep a film that was drawn for a job, its file before its row; return the row's key.

    The worker holds its job for longer by that. A film that is there already is left as it is.

    Args:
        corpus: that it goes to.
        claim: of the job.
        number: of the film in the job, from 0.
        content: of the PNG file.
        lineage: what makes it again.

    Raises:
        InputError: the content is no film or not what the lineage says, the job has another film
            of this number, or there is no room.
        LostClaim: the job is no longer the worker's.
    """
    height, width = png.shape(content, f"film {number} of job {claim.job}")
    sha256 = corpus.store.put(content)
    if sha256 != lineage.output:
        raise InputError(
            f"film {number} of job {claim.job}: its SHA-256 is {sha256}, the lineage says "
            f"{lineage.output}; write the lineage of this very file"
        )
    with corpus.write() as session:
        renew(session, claim)
        same = select(Film).where(Film.job_id == claim.job, Film.number == number)
        film = session.scalar(same)
        if film is None:
            film = Film(
                sha256=sha256,
                job_id=claim.job,
                number=number,
                label=lineage.spec.label,
                seed=lineage.spec.seed,
                lineage=lineage.dumps(),
                width=width,
                height=height,
            )
            session.add(film)
            session.flush()
        if film.sha256 != sha256:
            raise InputError(
                f"film {number} of job {claim.job}: is there with another SHA-256, "
                f"{film.sha256}, not {sha256}; go on with the number after the last"
            )
        return film.id


def kept(session: Session, job: int) -> dict[int, str]:
    """Return the files of a job's films by number, which who takes the job again need not draw."""
    query = select(Film.number, Film.sha256).where(Film.job_id == job).order_by(Film.number)
    return {row.number: row.sha256 for row in session.execute(query)}
