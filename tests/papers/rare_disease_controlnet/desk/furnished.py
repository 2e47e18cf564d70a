"""A desk with something on every page: jobs, sets, films, snapshots and retrainings in all states.

Everything comes about by the functions that routes call; `pages` says which address shows what.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy import select, update

from papers.rare_disease_controlnet.corpus import png, queue
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import keep
from papers.rare_disease_controlnet.corpus.tables import Film
from papers.rare_disease_controlnet.desk.accounts import people
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs import asking, pace
from papers.rare_disease_controlnet.desk.jobs.known import known
from papers.rare_disease_controlnet.desk.jobs.progress import show, tell
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, suggested
from papers.rare_disease_controlnet.desk.jobs.structures import bring
from papers.rare_disease_controlnet.desk.reading import answers, drafts, opening, room, sets
from papers.rare_disease_controlnet.desk.release import gate, results
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import Likeness, Retraining, Role, User
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, SPEC
from tests.papers.rare_disease_controlnet.desk.made_up import a_user
from tests.papers.rare_disease_controlnet.small_engine import CONFIG
from tests.papers.rare_disease_controlnet.small_run import ADAPTED, seed_folder

Picture = Callable[[str, int], np.ndarray]  # a film of a label, another one for each number
DEMO = Path(results.__file__).parents[2] / "results" / "demo"
RARE, NORMAL = CONFIG.data.rare, "normal"
PEOPLE: dict[str, Role] = {
    "ada": "admin", "artemisia": "researcher", "maker": "researcher", "rosalind": "reviewer",
    "wilhelm": "reviewer", "marie": "reviewer",
}  # fmt: skip
READERS = {"rosalind": "chest radiologist", "wilhelm": "resident", "marie": "radiologist"}
COMMENTS = ("", "", "", "vessels end too early at the left hilum", "", "second rib is doubled")
STAGE = "3 of 9: train upper, seed 1"
FREE = Limits(queued_jobs=10**6, jobs_an_hour=10**6)


@dataclass(frozen=True)
class Texts:
    """What people write, wherever they can."""

    prompt: str = ""
    comment: str = ""
    set_name: str = "Pneumothorax, first reading"
    instructions: str = (
        "Judge each film as if it came from your own emergency room.\nTake your time."
    )
    file_name: str = "bedside-film.png"
    experience: str = ""
    label: str = NORMAL  # of real films
    negative: str = "blurry, low quality"
    reason: str = "the engine ran out of memory; try again when less runs on the worker's machine"


def noise(_: str, number: int) -> np.ndarray:
    """Return a small film of noise."""
    return np.random.default_rng(number).integers(0, 256, (32, 32), np.uint8)


@dataclass
class Furnished:
    """The desk and where its things are: what stands in braces in the routes' addresses."""

    desk: Desk
    picture: Picture
    texts: Texts
    names: dict[str, int | str]
    people: dict[str, User]

    def user(self, name: str) -> User:
        """Return somebody who works here."""
        return self.people[name]


def furnish(desk: Desk, picture: Picture = noise, texts: Texts | None = None) -> Furnished:
    """Fill a desk whose engine is known."""
    working = {name: a_user(desk, name, role) for name, role in PEOPLE.items()}
    made = Furnished(desk, picture, texts or Texts(), {}, working)
    with desk.write() as session:
        session.execute(update(User).values(password="-"))  # which no password fits
        made.names["token"] = people.invite(session, "florence", "reviewer", actor="ada")
    _brought(made)
    done = [_drawn(made, 10, 100 * number, RARE if number else NORMAL) for number in range(4)]
    made.names["job"] = done[0]
    _closed(made, done[1])
    _open(made, done[2])
    _draft(made, done[3])
    _released(made)
    _waiting(made)
    return made


def _brought(made: Furnished) -> None:
    size = known(made.desk).config.data.size  # type: ignore[union-attr]
    for number in range(2):
        content = png.encoded(made.picture(NORMAL, 900 + number))
        name = made.texts.file_name
        made.names["key"] = bring(made.desk, made.user("artemisia"), content, name, size)
    with made.desk.write() as session:
        work = known(made.desk).work(_asked(made, 1, 0, RARE))  # type: ignore[union-attr]
        pace.note(session, work, "cpu", pace.Speed(1.5, 0.21))


def _asked(made: Furnished, count: int, seed: int, label: str, **values: object) -> Asked:
    side = "" if label == NORMAL else "left"
    prompt = made.texts.prompt or suggested(label, side)
    known_by = {"steps": 30, "seed": seed, "count": count, "side": side}
    return Asked(label, prompt, negative=made.texts.negative, **known_by | values)  # type: ignore[arg-type]


def _ask(made: Furnished, count: int, seed: int, label: str = RARE, **values: object) -> int:
    wish = _asked(made, count, seed, label, **values)
    with made.desk.write() as session:
        return asking.ask(session, wish, made.user("artemisia"), FREE).id


def _claimed(made: Furnished) -> queue.Claim:
    with made.desk.write() as session:
        claimed = queue.claim(session, "worker")
    assert claimed is not None
    return claimed


def _drawn(made: Furnished, count: int, first: int, label: str) -> int:
    """Return a job whose films are drawn."""
    job = _ask(made, count, first, label)
    claimed = _claimed(made)
    for number in range(count):
        _keep(made, claimed, number, label, first + number)
    with made.desk.write() as session:
        queue.finish(session, claimed)
    return job


def _keep(made: Furnished, claimed: queue.Claim, number: int, label: str, seed: int) -> None:
    content = png.encoded(made.picture(label, seed))
    side, extent = ("", None) if label == NORMAL else ("left", 0.25)
    prompt = made.texts.prompt or suggested(label, side)
    spec = replace(
        SPEC, label=label, side=side, extent=extent, prompt=prompt, seed=seed, control="none",
        negative=made.texts.negative, guidance=6.0 + seed % 4, size=png.shape(content, "film")[0],
    )  # fmt: skip
    lineage = replace(LINEAGE, spec=spec, output=digest(content))
    keep(made.desk.corpus, claimed, number, content, lineage)


def _set(made: Furnished, job: int, name: str, real: int, readers: Sequence[str]) -> int:
    """Return a set that could be opened."""
    maker = made.user("maker")
    with made.desk.write() as session:
        one = sets.create(session, maker, name, made.texts.instructions, 5, 0.1).id
        sets.add_synthetic(session, maker.name, one, 10, job=job)
    films = [
        sets.Real(made.picture(NORMAL, real + number), made.texts.label, made.texts.file_name)
        for number in range(10)
    ]
    sets.add_real(made.desk, maker, one, films)
    with made.desk.write() as session:
        for reader in readers:
            experience = made.texts.experience or READERS[reader]
            sets.add_reader(session, "maker", one, made.user(reader).id, experience)
    return one


def _closed(made: Furnished, job: int) -> None:
    one = _set(made, job, made.texts.set_name, 2000, tuple(READERS))
    opening.open_set(made.desk, "maker", one)
    for reader in READERS:
        _read(made, one, reader)
    with made.desk.write() as session:
        films = session.scalars(select(Film).where(Film.job_id == job)).all()
        nearest = made.desk.store.put(png.encoded(made.picture(RARE, 4000)))
        for number, film in enumerate(films[:-1]):  # the last one is not compared yet
            near = {"distance": 4.2 if number == 3 else 27.5 + number, "threshold": 11.0}
            session.add(Likeness(sha256=film.sha256, nearest=nearest, **near))
    with made.desk.write() as session:
        opening.close_set(session, "maker", one, FREE)
    made.names |= {"closed": one, "film": films[0].id, "near": films[3].id}
    with made.desk.read() as session:
        rejected = select(Film.id).where(gate.is_in("rejected"), Film.job_id == job).limit(1)
        made.names["rejected"] = session.scalar(rejected) or films[0].id


def _open(made: Furnished, job: int) -> None:
    one = _set(made, job, f"{made.texts.set_name}, second", 2500, ("rosalind", "wilhelm", "marie"))
    opening.open_set(made.desk, "maker", one)
    _read(made, one, "rosalind", 7)
    _read(made, one, "marie")
    person = made.user("rosalind")
    with made.desk.write() as session:
        course = room.course(session, person.id, one)
        assert course is not None
        shown = answers.showing(session, person.id, course.places[7].token)
        assert shown is not None
        text = made.texts.comment or "the left apex: a fold of skin?"
        filled = {"quality": "artefacted", "score": "2", "artefacts": ["blur or noise"]}
        drafts.keep(session, shown.presentation.id, filled | {"comment": text})
        made.names |= {"set_id": one, "film_token": course.places[7].token}


def _draft(made: Furnished, job: int) -> None:
    one = _set(made, job, f"{made.texts.set_name}, third", 3000, ("marie",))
    made.names["draft"] = one
    with made.desk.read() as session:
        made.names["item"] = sets.items_of(session, one)[0].id


def _read(made: Furnished, one: int, reader: str, films: int | None = None) -> None:
    """Answer the first films of a set as somebody who sees a little; None: all of them."""
    person, chance = made.user(reader), random.Random(reader)
    with made.desk.write() as session:
        course = room.course(session, person.id, one)
        assert course is not None
        for place in course.places[:films]:
            shown = answers.showing(session, person.id, place.token)
            assert shown is not None
            score = min(5, max(1, round(chance.gauss(3.4, 1))))
            bad = score < 3
            text = made.texts.comment or (chance.choice(COMMENTS) if bad else "")
            said = answers.Verdict(
                "artefacted" if bad else "legitimate", score, ("bones",) if bad else (), text
            )
            key = f"{reader}-{one}-{shown.presentation.place:06d}-key"
            answers.judge(session, person, shown, key, said, chance.uniform(4, 20))
            judged = answers.showing(session, person.id, place.token)
            assert judged is not None
            guess = min(5, max(1, round(chance.gauss(3.4 if bad else 2.7, 1.2))))
            answers.guess(session, person, judged, key + "-2", guess)


def _released(made: Furnished) -> None:
    """Freeze a snapshot, and train with it: done, running, failed."""
    with made.desk.write() as session:
        frozen = gate.freeze(session, "autumn 2026", "artemisia").id
        found = json.dumps(results.summary(DEMO, 0))
        user = made.user("artemisia").id
        rows = [
            Retraining(snapshot_id=frozen, asked_by=user, state="done", metrics=found),
            Retraining(
                snapshot_id=frozen,
                asked_by=user,
                state="running",
                stage="3 of 9: train upper, seed 1",
            ),
            Retraining(snapshot_id=frozen, asked_by=user, state="failed", reason=made.texts.reason),
        ]
        session.add_all(rows)
        session.flush()
        made.names |= {"snapshot": frozen, "retraining_id": rows[0].id, "training": rows[1].id,
                       "broken": rows[2].id}  # fmt: skip


def _waiting(made: Furnished) -> None:
    """Have a job in every other state; those that draw rejected films again wait too."""
    with made.desk.write() as session:
        again = queue.waiting_of(session, "artemisia")
        for job in again:
            queue.pause(session, job)
    failed = _ask(made, 4, 500)
    claimed = _claimed(made)
    with made.desk.write() as session:
        queue.fail(session, claimed, made.texts.reason)
    cancelled = _ask(made, 2, 510)
    with made.desk.write() as session:
        asking.act(session, made.user("artemisia"), cancelled, "cancel", FREE)
    running = _ask(made, 4, 520)
    claimed = _claimed(made)
    _keep(made, claimed, 0, RARE, 520)
    content = png.encoded(made.picture(RARE, 521))
    with made.desk.write() as session:
        tell(session, claimed, drawn=1)
        show(session, claimed, 1, 18, content, "drawing film 2 of 4")
    queued = [_ask(made, 8, 530 + 10 * number) for number in range(2)]
    with made.desk.write() as session:
        for job in again[1:]:
            queue.resume(session, job)
    made.names |= {"failed": failed, "cancelled": cancelled, "running": running,
                   "queued": queued[0], "paused": again[0]}  # fmt: skip


# Who looks at what; in braces: names of `Furnished`.
PAGES: dict[str, tuple[str, ...]] = {
    "": ("/login", "/set-up/{token}", "/set-up/none"),
    "rosalind": (
        "/reading", "/reading/{set_id}?place=7", "/reading/{set_id}?place=3",
        "/reading/{closed}", "/reading/{closed}?place=1", "/sets/{closed}/report/mine", "/account",
        "/jobs",
    ),
    "wilhelm": ("/reading/{set_id}", "/reading/{set_id}?place=0"),
    "marie": ("/reading/{set_id}",),
    "florence": ("/reading",),
    "artemisia": (
        "/jobs", "/jobs/new", "/jobs/new?like={job}", "/jobs/{job}", "/jobs/{running}",
        "/jobs/{queued}", "/jobs/{paused}", "/jobs/{failed}", "/jobs/{cancelled}", "/sets",
        "/sets/new", "/sets/{draft}", "/sets/{set_id}", "/sets/{closed}", "/sets/{closed}/report",
        "/sets/{closed}/report?names=true", "/corpus", "/corpus?state=rejected",
        "/corpus?state=held", "/corpus?state=undecided&label=pneumothorax", "/corpus/films/{film}",
        "/corpus/films/{near}", "/corpus/films/{rejected}", "/corpus/snapshots", "/impact",
        "/impact/{retraining_id}", "/impact/{training}", "/impact/{broken}", "/nowhere",
    ),
    "ada": ("/people", "/audit", "/audit?actor=maker", "/corpus/films/{film}"),
}  # fmt: skip


def pages(made: Furnished) -> list[tuple[str, str]]:
    """Return who looks at which address."""
    return [(name, path.format(**made.names)) for name, paths in PAGES.items() for path in paths]


def home_with_engine(home: Path) -> None:
    """Write what the web looks at of a trained engine into a home."""
    seed_folder(home, {ADAPTED: {"nothing": np.zeros(1)}})
