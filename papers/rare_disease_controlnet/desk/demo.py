"""A desk to try: people, an engine, films, and a set that waits for its readers.

What is missing is made, at every start: the engine by the study's own pipeline, smaller than the
study's demo, unless one is trained here already; synthetic films by a job in the queue like any
other; real ones from the data that the engine learned from, films that it was not shown. People get
in by links that work once.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import select

from common.errors import InputError, UserError
from common.files import write_atomic
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.tables import Job
from papers.rare_disease_controlnet.desk.accounts.people import invite
from papers.rare_disease_controlnet.desk.commands.people import ADMIN, linked
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.asking import OPEN, ask
from papers.rare_disease_controlnet.desk.jobs.known import STAGE, Known, known
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, suggested
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.reading import sets
from papers.rare_disease_controlnet.desk.reading.held_out import HeldOut, held_out
from papers.rare_disease_controlnet.desk.reading.opening import open_set
from papers.rare_disease_controlnet.desk.reading.sets import Real
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import ReadingSet, Upload, User
from papers.rare_disease_controlnet.film import Side
from papers.rare_disease_controlnet.prompts import NORMAL

RESEARCHER, READERS = "researcher", ("reader-1", "reader-2")
PEOPLE = {ADMIN: "admin", RESEARCHER: "researcher"} | dict.fromkeys(READERS, "reviewer")
SET = "Demo: real or synthetic?"
INSTRUCTIONS = (
    "Small simulated films and what a small engine draws after them. Say of each whether it could "
    "be a legitimate film, how good it is, and then whether you think that it is real."
)
FILMS = {True: 6, False: 4}  # with the rare finding, and normal: so many real and synthetic ones
SEED = 14
_FIRST = 10_001  # number of a simulated film that no engine learned from
_LOOK = 1.0  # seconds between two looks at the queue


def welcome(desk: Desk, address: str) -> None:
    """Add the people who are missing, and print by which links they get in."""
    print("demo: a link works once; then its password counts", flush=True)
    for name, role in PEOPLE.items():
        with desk.write() as session:
            user = session.scalar(select(User).where(User.name == name))
            if user is not None and user.password is not None:
                continue
            link = linked(address, invite(session, name, role))
        print(f"demo: {name} ({role}): {link}", flush=True)


def prepare(settings: Settings) -> None:
    """See to it that there is an engine, and that it is asked for films; in the engine's process.

    The set is made as soon as they are drawn, while the process goes on.

    Raises:
        UserError: the engine cannot be trained; the pages show why.
    """
    desk = open_desk(settings)
    if known(desk) is None:
        from papers.rare_disease_controlnet.desk.demo_engine import train  # JAX, and all of it

        with told(desk) as tell:
            train(tell)
    engine = known(desk)
    assert engine is not None
    jobs = asked(desk, engine)
    threading.Thread(target=_open_when_drawn, args=(desk, engine, jobs), daemon=True).start()


@contextmanager
def told(desk: Desk) -> Iterator[Callable[[str], None]]:
    """Yield what shows words on the desk's pages, until the block ends; a failure stays there."""
    file = desk.settings.folder / STAGE

    def tell(words: str) -> None:
        write_atomic(file, words)

    try:
        yield tell
    except UserError as error:
        tell(f"the demo's engine cannot be trained: {error}")
        raise
    file.unlink(missing_ok=True)


def asked(desk: Desk, engine: Known) -> list[int]:
    """Return the demo's jobs, asked for where they are missing."""
    with desk.read() as session:
        owner = session.scalar(select(User).where(User.name == RESEARCHER))
    if owner is None:
        raise InputError(f"name {RESEARCHER}: nobody is called so; start the demo anew")
    structure = _structure(desk, engine, owner)
    jobs = []
    for rare, count in FILMS.items():
        wish = _wish(engine, rare, count, structure)
        own = Job.spec_sha256 == digest(canonical(wish.spec(), "spec"))
        with desk.write() as session:
            job = session.scalar(select(Job.id).where(own, Job.asked_by == RESEARCHER).limit(1))
            jobs.append(job or ask(session, wish, owner, desk.settings.limits).id)
    return jobs


def _wish(engine: Known, rare: bool, count: int, structure: str | None) -> Asked:
    label, options = (engine.labels[0] if rare else NORMAL), engine.options
    side: Side = "left" if rare else ""
    return Asked(
        label,
        suggested(label, side, 0.6 if rare else None, engine.config.engine.label),
        side=side,
        extent=0.6 if rare else None,
        negative=options.negative,
        guidance=options.guidance,
        steps=options.steps,
        sampler=options.sampler,
        seed=SEED if rare else SEED + 1000,
        count=count,
        control="canny" if structure and rare and "canny" in engine.controls else "none",
        canny_low=options.canny_low,
        canny_high=options.canny_high,
        structure=structure if rare and "canny" in engine.controls else None,
    )


def _structure(desk: Desk, engine: Known, owner: User) -> str | None:
    """Return a normal film for the engine to follow, kept as one that the researcher brought."""
    films = real_films(desk, engine, NORMAL, 1 + FILMS[False])[FILMS[False] :]
    if not films:
        return None
    content = png.encoded(films[0].image)
    sha256 = desk.store.put(content)
    height, width = films[0].image.shape
    with desk.write() as session:
        own = select(Upload.id).where(Upload.sha256 == sha256, Upload.owner == owner.id)
        if session.scalar(own) is None:
            session.add(
                Upload(sha256=sha256, owner=owner.id, name="normal.png", width=width, height=height)
            )
    return sha256


def real_films(desk: Desk, engine: Known, label: str, count: int) -> list[Real]:
    """Return films that the engine was not shown: of its own data, else simulated ones, if any."""
    there: HeldOut | None = held_out(desk.settings)
    if there is not None and there.counts.get(label, 0) >= count:
        return there.drawn(label, count, (SEED,))
    from papers.rare_disease_controlnet import simulate

    if label not in simulate.KINDS:
        return []
    size, numbers = engine.config.data.size, range(_FIRST, _FIRST + count)
    films = (simulate.film(label, number, size) for number in numbers)
    return [Real(film.image, label, f"{film.name}.png") for film in films]


def make_set(desk: Desk, engine: Known, jobs: Sequence[int]) -> bool:
    """Make the demo's set of the films that were drawn, and open it, unless it is there.

    Returns whether it is there then: without real films there is none.
    """
    labels = {engine.labels[0]: FILMS[True], NORMAL: FILMS[False]}
    with desk.read() as session:
        old = session.scalar(select(ReadingSet).where(ReadingSet.name == SET))
        admin = session.scalar(select(User).where(User.name == ADMIN))
        readers = session.scalars(select(User.id).where(User.name.in_(READERS))).all()
    if old is not None and old.opened:
        return True
    drawn = [real_films(desk, engine, label, count) for label, count in labels.items()]
    real = [film for films in drawn for film in films]
    if not real or admin is None:
        return False
    with desk.write() as session:
        if old is not None:  # left by a process that was stopped in the middle
            sets.discard(session, ADMIN, old.id)
        made = sets.create(session, admin, SET, INSTRUCTIONS, SEED, 0.1).id
        for job in jobs:
            sets.add_synthetic(session, ADMIN, made, max(FILMS.values()), job=job)
    sets.add_real(desk, admin, made, real)
    with desk.write() as session:
        for number, reader in enumerate(readers):
            sets.add_reader(session, ADMIN, made, reader, ("resident", "specialist")[number % 2])
    open_set(desk, ADMIN, made)
    return True


def _open_when_drawn(desk: Desk, engine: Known, jobs: Sequence[int]) -> None:
    while True:
        try:
            with desk.read() as session:
                states = session.scalars(select(Job.state).where(Job.id.in_(jobs))).all()
            if not set(states) & set(OPEN):
                if set(states) == {"done"} and make_set(desk, engine, jobs):
                    print(f"demo: the set {SET!r} waits for its readers", flush=True)
                return
        except InputError as error:  # the database is busy: later again
            print(f"demo: {error}", file=sys.stderr, flush=True)
        time.sleep(_LOOK)
