"""Who may use which route: every one is in a table, and what is not is refused."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from papers.rare_disease_controlnet.desk.app import build


def routes_of(app) -> list[APIRoute]:
    """Return all routes, of included routers too, however deep."""
    found = []
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        found += routes_of(inner) if inner else [route]
    return [route for route in found if isinstance(route, APIRoute)]


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def test_every_route_is_in_the_table_and_nothing_else_is(desk):
    app = build(desk)
    routes = {(method, one.path) for one in routes_of(app) for method in one.methods}
    assert routes == set(app.state.access)


def test_a_route_without_a_row_is_refused_to_all(desk):
    router = APIRouter()

    @router.get("/forgotten")
    def forgotten() -> str:
        return "seen"

    here = browser(desk, role="admin")
    here.client.app.include_router(router, dependencies=[])
    assert here.get("/forgotten").status_code == 403


def test_the_start_leads_everybody_to_their_work(desk):
    assert browser(desk).get("/").headers["location"] == "/login?next=/"
    assert browser(desk, role="reviewer").get("/").headers["location"] == "/reading"
    assert browser(desk, role="researcher").get("/").headers["location"] == "/jobs"
