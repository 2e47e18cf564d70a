"""The demo: people, an engine that is trained here, its films, and a set that can be read."""

from tests.papers.rare_disease_controlnet.desk.made_up import PAGE, a_desk, browser  # isort: skip

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.errors import InputError
from common.pipeline import stages, units
from common.pipeline.plan import plan
from papers.rare_disease_controlnet import prompts, simulate
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk import demo
from papers.rare_disease_controlnet.desk.accounts import passwords, people
from papers.rare_disease_controlnet.desk.demo_engine import share, train, words
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.engine import StudyEngine
from papers.rare_disease_controlnet.desk.jobs.known import STAGE, known, stage
from papers.rare_disease_controlnet.desk.jobs.worker import work
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.reading import sets
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.tables import (
    Presentation,
    Reader,
    ReadingSet,
    SetItem,
    User,
)
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet import phantom
from tests.papers.rare_disease_controlnet.desk.servers import wait_for
from tests.papers.rare_disease_controlnet.small_engine import know_few_words

TINY = ("engine.channels=[8]", "engine.autoencoder_channels=[8,8]", "engine.hint_channels=[8,8]")
COUNT = sum(demo.FILMS.values())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the folder of a home where the smallest engine was trained, and what was told of it.

    On a made-up chest, and with a few words in place of CLIP's.
    """
    folder = tmp_path_factory.mktemp("demo")
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(folder))
        patch.setattr(simulate, "anatomy", phantom.chest)
        know_few_words(patch)
        train(told.append, "smoke", TINY)
        yield folder, told
    prompts.tokenizer.cache_clear()


@pytest.fixture
def desk(home, tmp_path) -> Desk:
    return open_desk(Settings(tmp_path / "desk"))


def links(said: str) -> dict[str, str]:
    """Return the path of everybody's link."""
    found = re.findall(r"demo: ([\w-]+) \(\w+\): http://desk(/set-up/[\w-]+)\n", said)
    return dict(found)


def drawn(desk: Desk) -> None:
    """Draw all that is asked for, as the engine's process does."""
    stop = threading.Event()
    worker = threading.Thread(
        target=work, args=(desk, StudyEngine(desk), "worker", stop), kwargs={"pause": 0.05}
    )
    worker.start()
    try:
        wait_for(lambda: states(desk) == ["done"] * 2, 120, "the demo's films")
    finally:
        stop.set()
        worker.join()


def states(desk: Desk) -> list[str]:
    with desk.read() as session:
        return list(session.scalars(select(Job.state).order_by(Job.id)))


def opened(desk: Desk) -> bool:
    with desk.read() as session:
        return session.scalar(select(ReadingSet.opened)) is not None


def test_people_get_in_by_links_that_work_once(desk, capsys):
    demo.welcome(desk, "http://desk")
    first = links(capsys.readouterr().out)
    assert set(first) == set(demo.PEOPLE)
    demo.welcome(desk, "http://desk")
    second = links(capsys.readouterr().out)
    assert set(second) == set(first)
    nobody = browser(desk)
    assert "was used already" in nobody.get(first["admin"]).text
    assert nobody.get(second["admin"]).status_code == 200
    with desk.write() as session:
        user = session.scalar(select(User).where(User.name == "admin"))
        people.set_password(session, user, passwords.hashed("a password of the test's own"))
    demo.welcome(desk, "http://desk")
    assert set(links(capsys.readouterr().out)) == set(demo.PEOPLE) - {"admin"}


def test_an_engine_that_is_trained_tells_how_far_it_is(home):
    _, told = home
    assert told[0].endswith("simulating the films that it learns from")
    parts = [re.search(r"part (\d) of 4 \(([\w ]+)\), step (\d+) of 2", line) for line in told[1:]]
    assert all(parts), told
    assert {part[2] for part in parts} <= {
        "autoencoder", "denoiser", "adaptation 4", "controlnet"
    }  # fmt: skip
    assert re.search(r"about \d+ min are left", told[-1])


def test_it_is_the_parts_that_draw_and_no_others(home, desk):
    engine = known(desk)
    assert set(engine.trained.folders) == {
        "autoencoder", "denoiser", "adaptation_4", "controlnet"
    }  # fmt: skip
    assert all((folder / units.DONE).exists() for folder in engine.trained.folders.values())
    began = time.monotonic()
    train(lambda _: None, "smoke", TINY)  # is there already
    assert time.monotonic() - began < 10


def test_the_time_left_is_of_the_work_that_was_done(home, desk):
    run = plan(STUDY, "smoke", settings=TINY, seeds=(0,))
    done = units.trainings(run, stages.prepare(run), "adaptation_4")
    assert share(done) == 1.0
    assert "about 1 min are left" in words(done, 0.0, 60.0)
    new = plan(STUDY, "smoke", settings=[*TINY, "engine.steps=100"], seeds=(0,))
    some = units.trainings(new, stages.prepare(new), "adaptation_4")
    assert 0.0 < share(some) < 0.05
    assert "part 2 of 3 (denoiser), step 0 of 100; about 8 min are left" in words(some, 0.0, 1.0)
    (some[1].folder / "train.jsonl").parent.mkdir(parents=True, exist_ok=True)
    (some[1].folder / "train.jsonl").write_text('{"step": 50, "loss": 1}\n')
    assert 0.4 < share(some) < 0.6
    assert "step 50 of 100; about 10 min are left" in words(some, 0.0, 600.0)


def test_a_demo_is_whole_and_can_be_read_and_nothing_is_made_twice(home, desk, capsys):
    demo.welcome(desk, "http://desk")
    demo.prepare(desk.settings)
    assert states(desk) == ["queued"] * 2
    researcher = browser(desk, demo.RESEARCHER, "researcher")
    demo.prepare(desk.settings)  # started again before anything was drawn
    assert states(desk) == ["queued"] * 2
    drawn(desk)
    wait_for(lambda: opened(desk), 30, "the demo's set")
    wait_for(lambda: "waits for its readers" in capsys.readouterr().out, 10, "word of it")
    with desk.read() as session:
        items = session.scalars(select(SetItem)).all()
        assert session.query(Film).count() == COUNT
        assert session.query(Reader).count() == 2
        shown = session.query(Presentation).count()
    kinds = [(item.kind, item.label) for item in items]
    for kind in ("real", "synthetic"):
        assert kinds.count((kind, "pneumothorax")) == demo.FILMS[True]
        assert kinds.count((kind, "normal")) == demo.FILMS[False]
    assert shown >= 2 * 2 * COUNT
    assert check_but_for_sets(desk) == []
    demo.prepare(desk.settings)
    time.sleep(2 * demo._LOOK)
    with desk.read() as session:
        assert session.query(ReadingSet).count() == 1
        assert session.query(Job).count() == 2
    reader = browser(desk, demo.READERS[0], "reviewer")
    assert demo.SET in reader.get("/reading").text.replace("&#39;", "'")
    assert researcher.get("/jobs").status_code == 200


def check_but_for_sets(desk: Desk) -> list[str]:
    """Return what is wrong with the corpus; files of sets and uploads are no films of it."""
    return [line for line in check(desk.corpus) if not line.endswith("a file of no film")]


def test_a_set_that_was_left_in_the_middle_is_made_anew(home, desk):
    demo.welcome(desk, "http://desk")
    engine = known(desk)
    jobs = demo.asked(desk, engine)
    drawn(desk)
    with desk.write() as session:
        admin = session.scalar(select(User).where(User.name == "admin"))
        sets.create(session, admin, demo.SET, "", 1, 0.0)
    assert demo.make_set(desk, engine, jobs)
    assert demo.make_set(desk, engine, jobs)
    assert opened(desk)
    with desk.read() as session:
        assert session.scalars(select(ReadingSet.seed)).all() == [demo.SEED]


def test_what_an_engine_is_at_is_shown_on_the_pages_and_why_there_is_none(tmp_path):
    desk = a_desk(tmp_path)
    with demo.told(desk) as tell:
        tell("the demo's engine is being trained: part 1 of 4")
        assert stage(desk).endswith("part 1 of 4")
    assert not Path(tmp_path, STAGE).exists()

    def failing() -> None:
        with demo.told(desk) as tell:
            tell("…")
            raise InputError("chest-ct: no network; try again")

    with pytest.raises(InputError):
        failing()
    assert stage(desk) == "the demo's engine cannot be trained: chest-ct: no network; try again"


def test_the_queue_says_that_the_engine_is_being_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    desk = a_desk(tmp_path)
    with demo.told(desk) as tell:
        tell("the demo's engine is being trained: part 1 of 4 (autoencoder), step 50 of 600")
        shown = browser(desk, role="researcher").get("/jobs", headers=PAGE)
    assert shown.status_code == 200
    assert "part 1 of 4 (autoencoder), step 50 of 600" in shown.text
