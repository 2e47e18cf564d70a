"""The whole of it, by two people in two browsers, with the smallest engine there is.

A researcher asks for films and watches them come about; another has them read among real ones,
closes the set, takes the report and the corpus; a physician reads by keyboard. Made up are the
chest that films are simulated of, and the few words that the engine knows, which never learned.
"""

from tests.papers.rare_disease_controlnet.desk.made_up import a_user  # isort: skip

import csv
import io
import zipfile

import pytest
from PIL import Image

from common.pipeline import stages
from common.pipeline.plan import plan
from papers.rare_disease_controlnet import prompts, simulate
from papers.rare_disease_controlnet.desk.jobs.engine import StudyEngine
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet import phantom, small_run
from tests.papers.rare_disease_controlnet.desk import browsers
from tests.papers.rare_disease_controlnet.desk.running import served, working
from tests.papers.rare_disease_controlnet.small_engine import know_few_words

chromium = browsers.chromium
SYNTHETIC, REAL, BAD = 10, 10, 3  # films, and how many of them the physician calls artefacted
STREAM = "/events"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return the folder of a home with the smallest engine, and the films that it learns from."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(folder))
        patch.setattr(simulate, "anatomy", phantom.chest)
        know_few_words(patch)
        prepared = stages.prepare(plan(STUDY, "smoke", seeds=(0,), processes=1))
        patch.setattr(small_run, "DATA", prepared.content_hash)
        small_run.seed_folder(folder, small_run.engine())
        yield folder
    prompts.tokenizer.cache_clear()


@pytest.fixture
def films(tmp_path, home):
    """Return files of real films."""
    files = []
    for number in range(REAL + 1):
        one = simulate.film("normal", 500 + number, 64)
        files.append(tmp_path / f"real-{number}.png")
        Image.fromarray(one.image.reshape(64, 64)).save(files[-1])
    return files


def test_from_the_first_wish_to_the_corpus(home, films, tmp_path, chromium):
    desk = open_desk(Settings(tmp_path / "desk"))
    a_user(desk, "rosalind", "reviewer")
    with (
        served(desk) as where,
        working(desk, StudyEngine(desk)),
        browsers.window(desk, chromium, where, "artemisia", "researcher") as researcher,
        browsers.window(desk, chromium, where, "maker", "researcher") as maker,
        browsers.window(desk, chromium, where, "rosalind", "reviewer") as physician,
    ):
        asks_for_films(researcher, films[-1])
        sees_them_come_about(researcher)
        makes_a_set(maker, films[:-1])
        reads_by_keyboard(physician)
        closes_and_takes_the_report(maker)
        freezes_and_takes_the_corpus(maker)
        physician.go("/sets/1/report/mine")
        assert physician.page.get_by_text("Answer by answer").is_visible()
        for here in (researcher, maker, physician):
            assert here.wrong == []


def asks_for_films(here, film):
    """Configure a job that follows a film; its edges are seen before it is queued."""
    here.go("/jobs")
    here.page.get_by_role("link", name="Ask for films").first.click()
    here.page.get_by_label("its edges (Canny)").check()
    here.page.set_input_files("#film", film)
    here.page.locator("#maps").wait_for(state="visible")
    edges = here.page.locator("#edges")
    edges.evaluate("image => image.decode()")
    assert edges.evaluate("image => image.naturalWidth") > 1
    here.page.get_by_label("left", exact=True).check()
    for name, value in (("steps", "40"), ("count", str(SYNTHETIC))):
        here.page.locator(f"#{name}").fill(value)
    here.page.wait_for_function(
        "() => document.getElementById('shown-prompt').textContent.includes('left')"
    )
    here.button("Queue").click()
    here.page.wait_for_url("**/jobs/1")


def sees_them_come_about(here):
    """Watch previews in a tab, in another one, and after a reload, until all films are there."""
    seen, page = [], here.page
    page.on("request", lambda request: "/preview/" in request.url and seen.append(request.url))
    page.locator("#preview").wait_for(state="visible", timeout=120_000)
    tab = here.another()
    tab.go("/jobs/1")
    tab.page.locator("#preview").wait_for(state="visible", timeout=60_000)
    tab.page.close()
    page.bring_to_front()
    page.reload()
    page.locator("#films li").nth(1).wait_for(timeout=120_000)
    page.get_by_text("What came of it").wait_for(timeout=300_000)
    assert page.locator("#films li").count() == SYNTHETIC
    numbers = [int(address.rpartition("/")[2]) for address in seen]
    assert len(set(numbers)) >= SYNTHETIC // 2  # the engine is quick
    assert numbers == sorted(numbers)


def makes_a_set(here, files):
    """Make a set of the films and of real ones, name its reader, and open it."""
    here.go("/sets")
    here.page.get_by_role("link", name="New set").click()
    here.page.get_by_label("Name").fill("First reading")
    here.page.get_by_label("Instructions for the readers").fill("Look twice.")
    here.page.get_by_label("Films shown twice, %").fill("0")
    here.button("Make the set").click()
    here.page.locator("#synthetic-count").fill(str(SYNTHETIC))
    here.button("Add synthetic films").click()
    here.page.get_by_text(f"In the set: {SYNTHETIC}").wait_for()
    here.page.set_input_files("#real-films", files)
    here.button("Add real films").click()
    here.page.get_by_text(f"In the set: {SYNTHETIC + REAL}").wait_for()
    here.page.get_by_label("Add a reader").select_option("rosalind")
    here.page.get_by_label("Experience").fill("resident")
    here.button("Add reader").click()
    here.button("Open the set").click()
    here.page.get_by_role("heading", name="Close").wait_for()


def reads_by_keyboard(here):
    """Read all films; the tenth is undone and answered anew, the eleventh survives a reload."""
    here.go("/reading")
    here.page.get_by_role("link", name="Begin").click()
    here.page.wait_for_function("() => document.activeElement.textContent.includes('Begin')")
    here.press("Enter")
    for number in range(1, SYNTHETIC + REAL + 1):
        here.film(number)
        verdict = "x" if number % 7 == BAD else "a"
        here.answer(verdict, str(2 + number % 4), str(1 + number % 5))
        if number == 10:
            here.film(11)
            here.press("u")
            here.film(10)
            here.answer("x", "1", "5")
            here.film(11)
            here.press("x", "2", "c")
            with here.page.expect_response(lambda answer: answer.url.endswith("/draft")):
                here.page.keyboard.type("a rib ends in the lung")
            here.page.reload()
            here.film(11)
            assert here.page.locator("textarea").input_value().startswith("a rib")
    here.page.get_by_text(f"All {SYNTHETIC + REAL} films are read").wait_for()


def closes_and_takes_the_report(here):
    """Close the set; the report is a page, a PDF and a table with all readings."""
    here.go("/sets/1")
    assert here.page.get_by_text(f"{SYNTHETIC + REAL} of {SYNTHETIC + REAL}").is_visible()
    here.page.get_by_label("I am sure").check()
    here.button("Close the set").click()
    here.page.get_by_role("link", name="Report", exact=True).click()
    here.page.get_by_role("heading", name="What can be concluded").wait_for()
    for image in here.page.locator(".plot img").all():
        assert image.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    assert taken(here, here.page.get_by_role("link", name="PDF")).startswith(b"%PDF-1.")
    table = taken(here, here.page.get_by_role("link", name="CSV")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == SYNTHETIC + REAL
    assert "rosalind" not in table


def freezes_and_takes_the_corpus(here):
    """Freeze what was accepted, and take it with its lineage and verdicts."""
    here.go("/corpus/snapshots")
    here.page.get_by_label("Name").fill("first")
    here.page.get_by_role("button", name="Freeze").click()
    content = taken(here, here.page.get_by_role("button", name="Download ZIP"))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        kinds = {name.partition("/")[0] for name in file.namelist()}
        count = sum(name.startswith("images/") for name in file.namelist())
    assert {"images", "metadata"} <= kinds
    assert 0 < count < SYNTHETIC


def taken(here, control):
    """Return what a control downloads."""
    with here.page.expect_download() as download:
        control.click()
    return download.value.path().read_bytes()
