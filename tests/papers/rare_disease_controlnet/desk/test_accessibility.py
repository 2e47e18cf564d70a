"""Every page in Chromium: no fault that axe finds, no error, nothing that the policy stops."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip


import pytest
from fastapi.responses import HTMLResponse
from fastapi.routing import iter_route_contexts

from tests.papers.rare_disease_controlnet.desk import browsers
from tests.papers.rare_disease_controlnet.desk.furnished import (
    PEOPLE,
    furnish,
    home_with_engine,
    pages,
)
from tests.papers.rare_disease_controlnet.desk.running import served

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe: not installed")
chromium = browsers.chromium
WIDTHS = {1280: 800, 390: 844}
REFUSED = ("/set-up/none", "/nowhere", "/jobs")  # of which Chromium writes the status down
NO_PAGES = {"/", "/corpus/films/{film}/image", "/set-up/{token}"}  # lead on, or are no HTML


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(home))
        home_with_engine(home)
        yield furnish(a_desk(home / "desk"))


def test_no_page_is_forgotten(made):
    app = browser(made.desk).client.app
    shown = [path.partition("?")[0] for _, path in pages(made)]
    forgotten = [
        context.path
        for context in iter_route_contexts(app.routes)
        if "GET" in (context.methods or ())
        and context.endpoint.__annotations__.get("return") in ("HTMLResponse", HTMLResponse)
        and not any(context.path_regex.match(path) for path in shown)
    ]
    assert forgotten == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_fault(made, chromium, scheme):
    todo, wrong = pages(made), []
    with served(made.desk) as home:
        for name in dict.fromkeys(name for name, _ in todo):
            role = PEOPLE.get(name, "reviewer") if name else None
            with browsers.window(
                made.desk, chromium, home, name, role, color_scheme=scheme
            ) as here:
                for path in (path for one, path in todo if one == name):
                    wrong += [(name, path, fault) for fault in faults(here, path)]
    assert not wrong, "\n".join(map(" ".join, wrong))


def faults(here, path):
    """Return what is wrong with a page, at a desk's width and a phone's."""
    status = here.go(path)
    found = []
    for width, height in WIDTHS.items():
        here.page.set_viewport_size({"width": width, "height": height})
        result = axe.Axe().run(here.page)
        found += [
            f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in result.response["violations"]
        ]
        if here.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"is wider than {width} pixels")
    told = [one for one in here.wrong if not (status in (403, 404) and f"{status} (" in one)]
    here.wrong.clear()
    return found + told
