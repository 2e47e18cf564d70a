"""The reading room in Chromium: twenty films by keyboard alone, and what the viewer does."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

from collections import Counter

import pytest

from papers.rare_disease_controlnet.desk.reading.readings import readings
from tests.papers.rare_disease_controlnet.desk import made_up_sets as made
from tests.papers.rare_disease_controlnet.desk.reading_browsers import (
    chromium_started,
    served,
    window,
)

FILMS = 20
QUICK = 0.1  # seconds from Enter to the next film
# When a film is on the canvas, by the page's own clock, and when Enter was pressed last.
WATCH = """() => {
  const canvas = document.querySelector("canvas");
  window.pressed = 0;
  window.changes = [];
  addEventListener("keydown", (event) => {
    if (event.key === "Enter") window.pressed = performance.now();
  }, true);
  new MutationObserver(() => window.changes.push(performance.now() - window.pressed))
    .observe(canvas, { attributeFilter: ["data-shown"] });
}"""
MIDDLE = """() => {
  const canvas = document.querySelector("canvas");
  const at = [canvas.width / 2 + 1, canvas.height / 2 + 1, 1, 1];
  return canvas.getContext("2d").getImageData(...at).data[0];
}"""


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


@pytest.fixture(scope="module")
def chromium():
    with chromium_started() as browser:
        yield browser


@pytest.fixture
def room(desk, chromium):
    """Return the window of a reader at the first of twenty films."""
    one = made.opened(desk, ("rosalind",), FILMS // 2, FILMS // 2)
    with served(desk) as home, window(desk, chromium, home) as here:
        here.go(f"/reading/{one}")
        here.page.wait_for_function("() => document.activeElement.textContent.includes('Begin')")
        here.press("Enter")
        here.film(1)
        here.page.evaluate(WATCH)
        yield here
        assert here.wrong == []


def test_twenty_films_by_keyboard_alone(desk, room):
    for number in range(1, FILMS // 2 + 1):
        room.film(number)
        room.answer(score=str(1 + number % 5))
    room.film(FILMS // 2 + 1)
    changes = room.page.evaluate("window.changes")

    room.press("u")  # takes film 10 back; what was said is filled in
    room.film(FILMS // 2)
    checked = room.page.locator("input[name=score]:checked")
    assert checked.get_attribute("value") == str(1 + FILMS // 2 % 5)
    room.answer("x", "2", "5")
    room.film(FILMS // 2 + 1)

    room.press("x", "3", "c")
    room.page.keyboard.type("axial ribs? 5")  # letters and digits that are keys elsewhere
    with room.page.expect_response(lambda answer: answer.url.endswith("/draft")):
        pass
    room.page.reload()
    room.film(FILMS // 2 + 1)
    assert room.page.locator("textarea").input_value() == "axial ribs? 5"
    assert room.page.locator("input[value=artefacted]").is_checked()
    assert room.page.locator("input[name=score]:checked").get_attribute("value") == "3"
    room.press("c", "Control+Enter")
    room.page.locator("input[name=origin]").first.wait_for(state="attached")
    room.press("4", "Enter")

    for number in range(FILMS // 2 + 2, FILMS + 1):
        room.film(number)
        room.answer()
    room.page.get_by_text(f"All {FILMS} films are read").wait_for()

    with desk.read() as session:
        rows = readings(session, 1).rows
    assert len(rows) == FILMS
    assert [row.changes for row in rows] == [0] * 9 + [1] + [0] * 10
    assert (rows[9].quality, rows[9].score, rows[9].origin) == ("artefacted", 2, 5)
    assert (rows[10].comment, rows[10].origin) == ("axial ribs? 5", 4)
    assert all(row.seconds is not None and 0 < row.seconds < 600 for row in rows)
    assert min(changes) < 1000 * QUICK, changes
    films = Counter(url for url in room.asked if url.split("/")[-2] == "film")
    assert len(films) == FILMS
    assert max(films.values()) <= 4  # kept by the browser: the image, its pixels, and the reload


def test_arrows_lead_back_and_forth_and_never_ahead(room):
    room.answer()
    room.film(2)
    room.press("ArrowLeft")
    room.film(1)
    assert room.page.get_by_text("rather real").is_visible()
    room.press("ArrowRight")
    room.film(2)
    room.press("ArrowRight")
    room.page.wait_for_timeout(200)
    room.film(2)


def test_the_viewer_does_what_keys_and_mouse_say(room):
    def middle():
        return room.page.evaluate(MIDDLE)

    def told():
        return room.page.locator(".level").text_content()

    plain, start = middle(), told()
    assert start.startswith("W 255")
    room.press("i")
    assert abs(middle() - (255 - plain)) <= 1
    room.press("i", "Shift+2")
    assert told().startswith("W 130  L 85")
    room.press("Shift+4")
    assert told().startswith("W 90  L 128")
    room.press("+", "+", "h", "v", "r", "m")
    assert told() != start
    room.press("m", "Space")
    assert (middle(), told()) == (plain, start)
    canvas = room.page.locator("canvas")
    box = canvas.bounding_box()
    room.page.mouse.move(box["x"] + 200, box["y"] + 200)
    room.page.mouse.down()
    room.page.mouse.move(box["x"] + 150, box["y"] + 240)
    room.page.mouse.up()
    assert told().startswith("W 205  L 168")
    room.page.mouse.wheel(0, -300)
    assert told().split()[-2] != start.split()[-2]
    canvas.dblclick()
    assert told() == start


def test_keys_can_be_turned_off_and_pause_in_the_list(room):
    room.press("?", "a")
    dialog = room.page.locator("dialog")
    assert dialog.is_visible()
    room.press("Escape")
    assert not dialog.is_visible()
    room.page.get_by_role("button", name="Keys on").click()
    room.page.locator("h1").focus()
    room.press("a", "3")
    assert room.page.locator("input:checked").count() == 0
    room.page.get_by_role("button", name="Keys off").click()
    room.page.locator("h1").focus()
    room.press("a", "3")
    assert room.page.locator("input:checked").count() == 2


def test_what_is_missing_is_asked_for_and_what_is_refused_is_said(desk, room, chromium):
    room.press("a", "Enter")
    assert room.page.locator("input[name=score]").first.evaluate("one => !one.validity.valid")
    with window(desk, chromium, room.home) as other:
        other.go("/reading/1?place=0")
        other.film(1)
        other.answer()
        other.film(2)
    room.press("5", "Enter")
    alert = room.page.locator(".panel [role=alert]")
    alert.wait_for(state="visible")
    assert "is answered already" in alert.text_content()
    room.wrong.clear()  # Chromium reports the refusal, 422, too
    room.page.reload()
    room.film(1)
    assert room.page.get_by_text("Undo this answer").is_visible()


def test_without_script_the_form_does_it_too(desk, chromium):
    one = made.opened(desk, ("rosalind",), 1, 1)
    with (
        served(desk) as home,
        window(desk, chromium, home, java_script_enabled=False) as here,
    ):
        here.go(f"/reading/{one}?place=0")
        assert here.page.locator(".stage img").is_visible()
        here.page.locator("input[value=artefacted]").check()
        here.page.get_by_label("poor").check()
        here.page.get_by_role("button", name="Submit").click()
        here.page.get_by_label("surely synthetic").check()
        here.page.get_by_role("button", name="Submit and next").click()
        here.page.get_by_role("heading", name="Film 2").wait_for()
    with desk.read() as session:
        (row,) = readings(session, one).rows
    assert (row.quality, row.score, row.origin) == ("artefacted", 2, 5)
    assert row.seconds is not None


def test_real_films_are_sent_one_by_one(desk, chromium, tmp_path):
    from tests.papers.rare_disease_controlnet.film_files import write

    one = made.filled(desk, 0, 1)
    good = [write(tmp_path / "sent" / f"{name}.png") for name in "abc"]
    bad = tmp_path / "sent" / "d.png"
    bad.write_text("<svg/>")
    with served(desk) as home, window(desk, chromium, home, "maker", "researcher") as here:
        here.go(f"/sets/{one}")
        here.page.locator("input[type=file]").set_input_files([*good, bad])
        here.page.get_by_role("button", name="Add real films").click()
        here.page.get_by_text("3 of 4 added").wait_for()
        assert "d.png" in here.page.locator(".refused").text_content()
        here.page.reload()
        assert here.page.get_by_text("In the set: 4").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_fault_that_axe_finds(desk, chromium, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe: not installed")
    one = made.opened(desk, ("rosalind",), 2, 2)
    draft = made.filled(desk, 1, 1, name="second")
    with served(desk) as home:
        pages = {
            ("rosalind", "reviewer"): ("/reading", f"/reading/{one}", f"/reading/{one}?place=0"),
            ("maker", "researcher"): ("/sets", "/sets/new", f"/sets/{one}", f"/sets/{draft}"),
        }
        for (name, role), paths in pages.items():
            with window(desk, chromium, home, name, role, color_scheme=scheme) as here:
                for path in paths:
                    here.go(path)
                    here.page.wait_for_load_state("networkidle")
                    found = axe.Axe().run(here.page)
                    assert found.violations_count == 0, (path, found.generate_report())
