"""Films of sets: drawn from the corpus, brought, or kept for tests by the data set."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from common import paths
from common.data import builder, folders
from papers.rare_disease_controlnet.corpus import decisions, png
from papers.rare_disease_controlnet.desk.reading import sets
from papers.rare_disease_controlnet.desk.reading.held_out import STUDY, held_out
from papers.rare_disease_controlnet.desk.tables import (
    SetItem,
)
from tests.papers.rare_disease_controlnet import small_run
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.film_files import blocks


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def rows(desk, table):
    with desk.read() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def file(name="chest.png", side=40):
    content = io.BytesIO()
    Image.fromarray(blocks(name, side, side)).save(content, "PNG")
    return name, content.getvalue()


def test_of_several_files_those_that_are_films_are_added(desk):
    one = made.filled(desk, 1, 1)
    here = browser(desk, "maker", "researcher")
    files = [("films", file("a.png")), ("films", ("b.png", b"<svg onload=alert(1)>"))]
    answer = here.post(f"/sets/{one}/real", {"label": "normal"}, files=files)
    assert answer.status_code == 422
    assert "1 films added" in answer.text
    assert "b.png" in answer.text
    assert len([item for item in rows(desk, SetItem) if item.kind == "real"]) == 2
    again = here.post(f"/sets/{one}/real", {"label": "normal"}, files=files[:1])
    assert again.status_code == 303
    assert len(rows(desk, SetItem)) == 3  # the same film is there once


def test_rejected_films_are_not_offered(desk):
    first, second = made.drawn(desk, 2)
    with desk.write() as session:
        decisions.decide(session, first, reviewer="automatic", kind="reading", verdict="rejected")
    one = made.filled(desk, 1, 0 + 1)
    with desk.read() as session:
        assert first not in {film.id for film in sets.candidates(session, one)}
    assert rows(desk, SetItem)[0].film_id != first
    assert second


def test_test_films_of_the_engines_data_are_added(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    findings = ("nodule", "effusion")
    films = {
        str(number): {
            "name": f"film-{number}",
            "image": made.image(number, 32)[..., None],
            "labels": np.array([number % 4 == 1, number % 4 == 2], np.uint8),
        }
        for number in range(12)
    }
    folder = paths.data() / STUDY / "data-1"
    part = {"normal": 6, "findings": {"nodule": 3, "effusion": 3}}
    record = {"dataset": "simulated", "content_hash": small_run.DATA, "parts": {"test": part}}

    def make(draft):
        builder.write("simulated", draft, {"test": films})
        return record

    folders.prepare_once(folder, {}, make)
    engine = small_run.seed_folder(tmp_path, small_run.classifiers("real_4"))
    desk = a_desk(tmp_path / "desk")
    assert held_out(desk.settings) is None  # no engine here
    desk = replace(desk, settings=replace(desk.settings, engine=engine))
    found = held_out(desk.settings)
    assert found
    assert found.findings == findings
    one = made.filled(desk, 0, 1)
    here = browser(desk, "maker", "researcher")
    assert "nodule (3)" in here.get(f"/sets/{one}").text
    form = {"label": "nodule", "count": "2"}
    assert here.post(f"/sets/{one}/tests", form).status_code == 303
    assert here.post(f"/sets/{one}/tests", form | {"label": "fracture"}).status_code == 422
    real = [item for item in rows(desk, SetItem) if item.kind == "real"]
    assert [item.label for item in real] == ["nodule", "nodule"]
    kept = {desk.store.get(item.source) for item in real}
    assert kept < {png.encoded(made.image(number, 32)) for number in (1, 5, 9)}


def test_films_of_a_set_are_reached_by_that_set_alone(desk):
    one = made.filled(desk)
    item = rows(desk, SetItem)[0].id
    here = browser(desk, "maker", "researcher")
    assert here.get(f"/sets/{one}/films/{item}").headers["content-type"] == "image/png"
    assert here.get(f"/sets/{one + 1}/films/{item}").status_code == 404
    assert here.get(f"/sets/{one}/films/{item + 100}").status_code == 404
    assert here.get(f"/sets/{10**30}").status_code == 422
