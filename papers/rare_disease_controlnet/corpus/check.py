"""Whether a corpus is whole: rows and files fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import lineage, snapshots
from papers.rare_disease_controlnet.corpus.corpus import Corpus
from papers.rare_disease_controlnet.corpus.tables import Film, Snapshot


def check(corpus: Corpus) -> list[str]:
    """Return a line for everything that is wrong; none where the corpus is whole.

    Found are films without their file, damaged files, files of no film, lineages that cannot be
    read or are of another film, structures and regions that are missing, and snapshots that hold
    other films than were frozen. A film that is being kept at this moment may count as a file of
    no film: files come before rows.
    """
    with corpus.read() as session:
        films = list(session.scalars(select(Film).order_by(Film.id)))
    files = set(corpus.store.names())  # after the rows, so that no file is too young
    found: list[str] = []
    needed = {film.sha256 for film in films}
    drawn = needed.copy()
    for film in films:
        where = f"film {film.number} of job {film.job_id}"
        try:
            made = lineage.loads(film.lineage, f"{where}, lineage")
        except InputError as error:
            found.append(str(error))
            continue
        if made.output != film.sha256:
            found.append(f"{where}, lineage: is of another film, {made.output}")
        for name in lineage.IMAGES:
            source = getattr(made.spec, name)
            if source and source not in files:
                found.append(f"{where}: cannot be drawn again, its {name} {source} is missing")
            needed |= {source} if source else set()
    found += _damaged(corpus, drawn | needed & files)
    found += _changed_snapshots(corpus)
    with corpus.read() as session:  # what was kept in the meantime has its row now
        needed |= set(session.scalars(select(Film.sha256)))
    return found + [f"{name}: a file of no film" for name in sorted(files - needed)]


def _damaged(corpus: Corpus, names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        try:
            corpus.store.get(name)
        except InputError as error:
            yield str(error)


def _changed_snapshots(corpus: Corpus) -> Iterator[str]:
    with corpus.read() as session:
        for name in session.scalars(select(Snapshot.name).order_by(Snapshot.id)).all():
            try:
                snapshots.films_of(session, name)
            except InputError as error:
                yield str(error)
