"""A researcher's hour in Chromium: ask for films, watch them come about in two tabs, ask again."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

import json

import numpy as np
import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.tables import Job
from tests.papers.rare_disease_controlnet.desk import browsers
from tests.papers.rare_disease_controlnet.desk.quick_worker import Quick
from tests.papers.rare_disease_controlnet.desk.running import served, working
from tests.papers.rare_disease_controlnet.desk.servers import wait_for
from tests.papers.rare_disease_controlnet.film_files import blocks
from tests.papers.rare_disease_controlnet.small_run import ADAPTED, seed_folder

chromium = browsers.chromium
expect = pytest.importorskip("playwright.sync_api", reason="browser: no playwright").expect
WAIT = 20_000  # ms


@pytest.fixture
def desk(tmp_path, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    seed_folder(home, {ADAPTED: {"nothing": np.zeros(1)}})
    monkeypatch.setenv("REPLICATIONS_HOME", str(home))
    return a_desk(tmp_path)


def chip(page, name: str, value: str):
    return page.locator(f"input[name={name}][value='{value}']")


def wait_for_picture(page, name: str) -> None:
    wait_for(lambda: page.evaluate(f"document.getElementById('{name}').naturalWidth") > 0, 20, name)


def test_films_are_asked_for_watched_in_two_tabs_and_asked_for_again(desk, chromium, tmp_path):
    film = tmp_path / "film.png"
    film.write_bytes(png.encoded(blocks("film", 80, 80)))
    with served(desk) as home, browsers.window(desk, chromium, home, "ann", "researcher") as here:
        page = here.page
        here.go("/jobs/new")
        chip(page, "label", "effusion").check(force=True)
        chip(page, "side", "left").check(force=True)
        expected = "frontal chest X-ray showing effusion on the left <effusion>"
        expect(page.locator("#prompt")).to_have_value(expected)
        page.locator("#prompt").fill("my own words")
        chip(page, "extent", "0.83").check(force=True)
        page.get_by_role("button", name="faithful").click()
        assert page.locator("#guidance").input_value() == "3"
        page.locator("input[type=range][data-for=steps]").fill("40")
        assert page.locator("#steps").input_value() == "40"
        page.locator("#steps").fill("200")
        page.get_by_text("steps = 200: expected from 10 to 100").wait_for()
        page.locator("#steps").fill("20")
        page.locator("#problem").wait_for(state="hidden")
        assert page.locator("#prompt").input_value() == "my own words"
        chip(page, "control", "canny").check(force=True)
        page.locator("#film").set_input_files(film)
        edges = page.locator("#edges[src*='/structures/u1/edges']")
        edges.wait_for()
        wait_for_picture(page, "edges")
        page.locator("#count").fill("3")
        page.locator("#queue-button").click()
        page.wait_for_url("**/jobs/1")
        another = here.another()
        another.go("/jobs/1")
        queue = here.another()
        queue.go("/jobs")
        with working(desk, Quick(pause=0.5)):
            for tab in (here.page, another.page):
                tab.bring_to_front()  # who is not looked at does not listen
                tab.locator("#preview[src*='/preview/']").wait_for(timeout=WAIT)
                wait_for_picture(tab, "preview")
            another.page.reload()
            another.page.locator("#preview[src*='/preview/']").wait_for(timeout=WAIT)
            another.page.get_by_text("What came of it").wait_for(timeout=WAIT)
        assert another.page.locator("#films img").count() == 3
        queue.page.bring_to_front()
        queue.page.get_by_text("3 of 3 drawn").wait_for(timeout=WAIT)
        another.page.get_by_role("button", name="Vary the seed").click()
        another.page.wait_for_url("**/jobs/2")
        another.button("Cancel job 2").click()
        another.button("Try again job 2").wait_for()
        assert here.wrong == []
    with desk.read() as session:
        first, second = (json.loads(spec) for spec in session.scalars(select(Job.spec)))
    assert (first["prompt"], first["extent"], first["control"]) == ("my own words", 0.83, "canny")
    assert first | {"seed": 0, "count": 0} == second | {"seed": 0, "count": 0}


def test_the_form_works_without_a_script(desk, chromium, tmp_path):
    film = tmp_path / "film.png"
    film.write_bytes(png.encoded(blocks("film", 80, 80)))
    with (
        served(desk) as home,
        browsers.window(
            desk, chromium, home, "ann", "researcher", java_script_enabled=False
        ) as here,
    ):
        page = here.page
        here.go("/jobs/new")
        chip(page, "control", "canny").check(force=True)
        page.locator("#film").set_input_files(film)
        here.button("Show what comes of it").click()
        page.locator("#edges[src*='/structures/u1/edges']").wait_for()
        here.button("Queue").click()
        page.get_by_text("It has not begun yet.").wait_for()
        assert here.wrong == []
    with desk.read() as session:
        assert json.loads(session.scalars(select(Job)).one().spec)["control"] == "canny"
