"""What the review desk has in it when it is timed: people, films, jobs, and a set that is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from common.pipeline.plan import plan
from common.pipeline.trained import save_index, save_network
from common.study.protocol import Unit
from common.training.loop import checkpoints_of
from papers.rare_disease_controlnet.corpus import png, queue
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.lineage import Code, Engine, Lineage, Platform, Spec
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.reading import opening, sets
from papers.rare_disease_controlnet.desk.settings import Limits, Settings
from papers.rare_disease_controlnet.desk.tables import Role, User, UserSession
from papers.rare_disease_controlnet.networks import adaptation
from papers.rare_disease_controlnet.study import STUDY

SIDE = 256  # pixels of a film
LABELS = ("pneumothorax", "effusion", "normal")
STEPS = 30
FREE = Limits(queued_jobs=10**6, jobs_an_hour=10**6)
SPEC: dict[str, Any] = {  # of films that nothing drew
    "side": "", "extent": None, "negative": "", "guidance": 7.5, "steps": STEPS,
    "sampler": "unipc", "control": "none", "strength": 0.0, "canny_low": 100.0,
    "canny_high": 200.0, "structure": None, "region": None, "size": SIDE, "batch_size": 1,
}  # fmt: skip
PLATFORM: dict[str, Any] = {
    "system": "", "processor": "", "cores": 1, "threads": 1, "backend": "cpu", "device": "cpu",
    "devices": 1, "driver": None, "cudnn": None, "python": "", "jax": "", "jaxlib": "",
    "xla_flags": "", "matmul_precision": "",
}  # fmt: skip
_LEASE = timedelta(hours=1)


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    name: str
    cookie: str
    form_token: str


@dataclass(frozen=True)
class Content:
    """Who visits a desk, and what they look at."""

    readers: tuple[Person, ...]
    researchers: tuple[Person, ...]
    admin: Person
    set_id: int
    films: tuple[int, ...]
    jobs: tuple[int, ...]


def settings_of(folder: Path) -> Settings:
    """Return the desk in a folder, whose people may ask for as much as they like."""
    return Settings(folder, limits=FREE)


def fill(folder: Path, readers: int, researchers: int, jobs: int, films: int) -> Content:
    """Return a desk's content: so many people, and done jobs of so many films each.

    Half of the films of the set are real ones; each of its readers has a hundred to read, or all.
    """
    desk = open_desk(settings_of(folder))
    people = {
        role: [_user(desk, f"{role}-{number}", role) for number in range(count)]
        for role, count in (("reviewer", readers), ("researcher", researchers), ("admin", 1))
    }
    maker = people["admin"][0]
    drawn = [_drawn(desk, people["researcher"], number, films) for number in range(jobs)]
    with desk.write() as session:
        made = sets.create(session, maker, "timed", "Judge each film.", 1, 0.1).id
        sets.add_synthetic(session, maker.name, made, 50)
    real = [sets.Real(image(10**6 + number), LABELS[-1], "real.png") for number in range(50)]
    sets.add_real(desk, maker, made, real)
    with desk.write() as session:
        for reader in people["reviewer"]:
            sets.add_reader(session, maker.name, made, reader.id, "resident")
    opening.open_set(desk, maker.name, made)
    known = {role: tuple(_entered(desk, one) for one in some) for role, some in people.items()}
    return Content(
        known["reviewer"],
        known["researcher"],
        known["admin"][0],
        made,
        tuple(film for _, some in drawn for film in some),
        tuple(job for job, _ in drawn),
    )


def asked(number: int, films: int) -> Asked:
    """Return a wish for films."""
    label = LABELS[number % len(LABELS)]
    return Asked(label, f"frontal chest X-ray: {label}", steps=STEPS, seed=number, count=films)


def image(number: int) -> np.ndarray:
    """Return a film, another one for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (SIDE // 8, SIDE // 8), np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def lineage(label: str, seed: int, content: bytes) -> Lineage:
    """Return a lineage for a film; nothing made it."""
    spec = Spec(
        label=label,
        prompt=f"frontal chest X-ray: {label}",
        seed=seed,
        **SPEC,
    )
    engine, code = Engine("none", "0" * 64, ()), Code("0" * 64, None)
    return Lineage(spec, engine, code, Platform(**PLATFORM), output=digest(content))


def _user(desk: Desk, name: str, role: Role) -> User:
    with desk.write() as session:
        user = User(name=name, role=role, password="-")
        session.add(user)
        session.flush()
        return user


def _entered(desk: Desk, user: User) -> Person:
    with desk.write() as session:
        cookie = sessions.begin(session, user)
        form_token = session.get_one(UserSession, digest(cookie)).form_token
    return Person(user.name, cookie, form_token)


def _drawn(desk: Desk, owners: Sequence[User], number: int, films: int) -> tuple[int, list[int]]:
    """Return a job that is done, and its films."""
    wish = asked(number, films)
    with desk.write() as session:
        job = ask(session, wish, owners[number % len(owners)], FREE).id
    with desk.write() as session:
        claimed = queue.claim(session, "filling", lease=_LEASE)
    assert claimed is not None
    keys = []
    for film in range(films):
        content = png.encoded(image(1000 * number + film))
        made = lineage(wish.label, number + film, content)
        keys.append(keep(desk.corpus, claimed, film, content, made))
    with desk.write() as session:
        queue.finish(session, claimed)
    return job, keys


def write_engine() -> None:
    """Write into ``REPLICATIONS_HOME`` what pages look at of a trained engine, without weights."""
    run = plan(STUDY, "smoke", seeds=(0,), processes=1)
    name = adaptation(run.config.arms.main)
    unit = Unit(run, 0, name, "0" * 64).of(name)
    parts = {"train": {"findings": dict.fromkeys(run.config.data.findings, 1)}}
    checkpoints_of(unit.folder).save(1, {"nothing": np.zeros(1)}, {}, {})
    save_network(unit, parts)
    save_index(run, 0, [unit], parts)
