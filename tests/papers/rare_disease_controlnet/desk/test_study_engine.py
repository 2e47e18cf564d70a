"""The study's own engine, as small as it gets, behind the worker: previews, films, lineages."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from sqlalchemy import select

from common import xla
from common.errors import InputError
from common.pipeline.process import prepare_process
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.lineage import loads
from papers.rare_disease_controlnet.corpus.tables import Film, Job
from papers.rare_disease_controlnet.desk.jobs.asking import ask
from papers.rare_disease_controlnet.desk.jobs.engine import StudyEngine
from papers.rare_disease_controlnet.desk.jobs.known import known
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import work
from papers.rare_disease_controlnet.desk.settings import Limits
from papers.rare_disease_controlnet.desk.tables import JobDetail, Pace, Preview
from papers.rare_disease_controlnet.regenerate import regenerate
from tests.papers.rare_disease_controlnet.film_files import blocks
from tests.papers.rare_disease_controlnet.small_engine import CONFIG, SIZE, few_words  # noqa: F401
from tests.papers.rare_disease_controlnet.small_run import engine, seed_folder

RARE = CONFIG.data.rare


@pytest.fixture
def desk(tmp_path, tmp_path_factory, monkeypatch, few_words):  # noqa: F811
    home = tmp_path_factory.getbasetemp() / "desk_engine"
    monkeypatch.setenv("REPLICATIONS_HOME", str(home))
    monkeypatch.setenv(xla.THREADS, str(xla.cores()))
    monkeypatch.setenv("XLA_FLAGS", "")
    prepare_process()  # as every command does
    if not (home / "runs").exists():
        seed_folder(home, engine())
    return a_desk(tmp_path)


def test_films_of_the_engine_are_previewed_kept_and_drawn_again_to_the_byte(desk, tmp_path):
    structure = desk.store.put(png.encoded(blocks("ann", 2 * SIZE, 2 * SIZE)))
    ann = a_user(desk, "ann", "researcher")
    wish = Asked(
        RARE, "frontal chest X-ray showing pneumothorax on the left", "left", 0.5,
        guidance=3.0, steps=12, sampler="ddim", seed=11, count=2, control="canny", strength=0.7,
        canny_low=40, canny_high=90, structure=structure,
    )  # fmt: skip
    with desk.write() as session:
        ask(session, wish, ann, Limits())
        ask(session, replace(wish, control="none", structure=None, seed=50, count=1), ann, Limits())
    seen = []

    class Seen(StudyEngine):
        def draw(self, asked, number, watch):
            def look(step, estimate):
                watch(step, estimate)
                with desk.read() as session:
                    (row,) = session.scalars(select(Preview)).all()
                seen.append((row.film, row.step, png.decoded(row.content, "preview")))

            return super().draw(asked, number, look)

    stop, drawing = Event(), Seen(desk)
    drawing.rest = lambda name, stopped: bool(stop.set())
    work(desk, drawing, "worker", stop, pause=0.01)
    with desk.read() as session:
        jobs, films = session.scalars(select(Job)).all(), session.scalars(select(Film)).all()
        paces = {one.work for one in session.scalars(select(Pace))}
    assert [(one.state, one.reason) for one in jobs] == [("done", None)] * 2
    assert [one[:2] for one in seen] == [(n, s) for n in (0, 1, 0) for s in range(1, 13)]
    assert {one[2].shape for one in seen} == {(SIZE, SIZE)}
    assert len({one[2].tobytes() for one in seen}) == len(seen)  # each step another estimate
    assert paces == {
        known(desk).work(one) for one in (wish, replace(wish, control="none", structure=None))
    }
    assert [one.seed for one in films] == [11, 12, 50]
    assert len({one.sha256 for one in films}) == 3
    for film in films[1:]:
        spec = loads(film.lineage, "film").spec
        assert (spec.prompt, spec.steps, spec.batch_size) == (wish.prompt, 12, 1)
        assert spec.control == ("canny" if film.job_id == jobs[0].id else "none")
        file = tmp_path / f"{film.id}.json"
        file.write_text(film.lineage)
        again = regenerate(file)
        assert (again.now, again.differences) == (film.sha256, ()), again.note


def test_what_the_engine_cannot_draw_fails_with_its_reason(desk):
    ann = a_user(desk, "ann", "researcher")
    with desk.write() as session:
        ask(session, Asked("nodule", "a nodule"), ann, Limits())
        ask(session, Asked(RARE, "film", control="canny", structure="0" * 64), ann, Limits())
    stop, drawing = Event(), StudyEngine(desk)
    drawing.rest = lambda name, stopped: bool(stop.set())
    work(desk, drawing, "worker", stop, pause=0.01)
    with desk.read() as session:
        reasons = [one.reason for one in session.scalars(select(Job).order_by(Job.id))]
        assert {one.drawn for one in session.scalars(select(JobDetail))} == {0}
    assert reasons[0].startswith("label nodule: not learned, ")
    assert "no such file; restore it or draw it again" in reasons[1]


def test_an_engine_that_is_trained_anew_is_loaded_anew(desk):
    drawing = StudyEngine(desk)
    first = drawing._loaded(known(desk))
    assert drawing._loaded(known(desk)) is first
    other = known(desk)
    folder = other.trained.folders["adaptation_4"]
    (folder / "touched").write_text("trained anew")
    assert drawing._loaded(known(desk)) is not first


def test_without_a_trained_run_there_is_no_engine(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "nothing"))
    drawing = StudyEngine(desk)
    assert not drawing.is_ready()
    with pytest.raises(InputError, match="engine: none is trained here"):
        drawing.draw(Asked(RARE, "film"), 0, lambda step, image: np.zeros(1))
