"""What would run if a page forgot to escape it, wherever people write: seen in Chromium."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, a_user  # isort: skip

import struct
import zlib

import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.tables import Upload
from tests.papers.rare_disease_controlnet.desk import browsers
from tests.papers.rare_disease_controlnet.desk.furnished import (
    PEOPLE,
    Texts,
    furnish,
    home_with_engine,
    pages,
)
from tests.papers.rare_disease_controlnet.desk.running import served
from tests.papers.rare_disease_controlnet.film_files import blocks

chromium = browsers.chromium
RUNS = "\"'></title></textarea><img src=x onerror=alert(1)><svg onload=alert(2)>"
SHORT = '"><img src=x onerror=alert(3)>'
LONG = RUNS + "<script>alert(4)</script>{{7*77777}}<iframe srcdoc='<script>alert(5)</script>'>"
TEXTS = Texts(
    prompt=LONG, comment=LONG, set_name=RUNS, instructions=LONG + "\njavascript:alert(6)",
    file_name=f"{SHORT}.png", experience=SHORT, label=SHORT, negative=LONG, reason=LONG,
)  # fmt: skip
INJECTED = (
    "document.querySelectorAll('[onerror], [onload], [src=\"x\"], iframe, main script').length"
)
SHOWN = {  # pages on which something of it must be seen, as text
    "/jobs/{job}", "/jobs/{failed}", "/jobs", "/sets", "/sets/{draft}", "/sets/{set_id}",
    "/sets/{closed}", "/sets/{closed}/report", "/reading", "/reading/{set_id}",
    "/reading/{closed}?place=1", "/sets/{closed}/report/mine",
    "/corpus/films/{film}", "/impact/{broken}", "/audit",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(home))
        home_with_engine(home)
        yield furnish(a_desk(home / "desk"), texts=TEXTS)


def test_nothing_that_people_write_runs(made, chromium):
    todo, wrong, seen = pages(made), [], set()
    with served(made.desk) as home:
        for name in dict.fromkeys(name for name, _ in todo):
            role = PEOPLE.get(name, "reviewer") if name else None
            with browsers.window(made.desk, chromium, home, name, role) as here:
                for path in (path for one, path in todo if one == name):
                    wrong += [(path, told) for told in ran(here, path)]
                    if "onerror=" in here.page.locator("body").inner_text():
                        seen.add(path)
    assert not wrong, "\n".join(map(str, wrong))
    missing = {path for path in SHOWN if path.format(**made.names) not in seen}
    assert not missing  # a page that shows nothing of it would prove nothing


def ran(here, path):
    """Return what ran on a page, or could have."""
    status = here.go(path)
    if "/jobs/new" in path:  # where a script shows what the desk would make of it
        here.page.wait_for_load_state("networkidle")
    if here.page.evaluate(INJECTED):
        here.wrong.append("an element was made of a text")
    if "544439" in here.page.content():
        here.wrong.append("a template was made of a text")
    told = [one for one in here.wrong if not (status in (403, 404) and f"{status} (" in one)]
    here.wrong.clear()
    return told


def test_a_name_that_came_in_by_other_ways_does_not_run_either(made, chromium):
    name = SHORT
    a_user(made.desk, name, "researcher")
    with made.desk.write() as session:
        record(session, name, LONG, LONG, {LONG: LONG})
    with served(made.desk) as home:
        with browsers.window(made.desk, chromium, home, name, "researcher") as here:
            assert [told for path in ("/account", "/jobs") for told in ran(here, path)] == []
            assert name in here.page.locator("header").inner_text()
        with browsers.window(made.desk, chromium, home, "ada", "admin") as here:
            assert [told for path in ("/people", "/audit") for told in ran(here, path)] == []
            assert "onerror=" in here.page.locator("main").inner_text()


def test_files_that_are_more_than_films_come_through_the_form_as_pixels(made, chromium):
    bomb = _png(30000, 30000)
    film = png.encoded(blocks("a film", 64, 64))
    polyglot = film + b"<script>alert(7)</script>"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(8)"/>'
    with (
        served(made.desk) as home,
        browsers.window(made.desk, chromium, home, "artemisia", "researcher") as here,
    ):
        here.go("/jobs/new")
        here.page.get_by_label("its edges (Canny)").check()
        for content, reason in ((bomb, "pixels"), (svg, "SVG"), (bytes(9 * 2**20), "too large")):
            _bring(here, f"{SHORT}.png", content)
            problem = here.page.locator("#problem")
            here.page.wait_for_function(
                "reason => document.getElementById('problem').textContent.includes(reason)",
                arg=reason,
            )
            assert problem.is_visible()
        _bring(here, f"{SHORT}polyglot.png", polyglot)
        here.page.locator("#maps").wait_for(state="visible")
        edges = here.page.locator("#edges")
        edges.evaluate("image => image.decode()")
        assert "/edges?" in edges.get_attribute("src")
        refused = [told for told in here.wrong if "422 (" not in told and "413 (" not in told]
        assert refused == []
    with made.desk.read() as session:
        newest = session.scalars(select(Upload).order_by(Upload.id.desc())).first()
    assert newest.name.endswith("polyglot.png")
    kept = made.desk.store.get(newest.sha256)
    assert b"script" not in kept
    assert png.decoded(kept, "kept").shape == (32, 32)


def _bring(here, name, content):
    here.page.locator("#problem").evaluate("place => { place.textContent = ''; }")
    film = {"name": name, "mimeType": "image/png", "buffer": content}
    here.page.set_input_files("#film", film)


def _png(width, height):
    """Return a small file that would become a large image."""
    rows = zlib.compress(bytes(2**20))
    pieces = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", rows))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in (*pieces, (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    return content
