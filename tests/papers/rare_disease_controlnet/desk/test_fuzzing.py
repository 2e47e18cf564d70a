"""Requests made up from the application's own description: none is a fault of the desk."""

from tests.papers.rare_disease_controlnet.desk.made_up import HOME, a_desk, browser  # isort: skip

import itertools
import random
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from papers.rare_disease_controlnet.desk.access import TOKEN_HEADER
from papers.rare_disease_controlnet.desk.app import HEADERS
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from tests.papers.rare_disease_controlnet.desk.furnished import PEOPLE, furnish, home_with_engine

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis: not installed")
REQUESTS = {"": 3, "rosalind": 8, "artemisia": 14, "ada": 14}  # of each route
FORMS = {  # which handlers read by themselves, so that the description does not know them
    "/jobs": [field.name for field in fields(Asked)] + ["seeding", "film"],
    "/jobs/new": [field.name for field in fields(Asked)] + ["seeding", "film"],
    "/structures": ["film"],
    "/sets/{set_id}/real": ["label", "films"],
}
INSIDE = ("Traceback", 'File "/', "sqlalchemy", "sqlite3", "psycopg", "site-packages", "/tmp/")
ENDLESS = "/jobs/{job}/events"  # of a job that has not ended


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(home))
        home_with_engine(home)
        yield furnish(a_desk(home / "desk"))


def described(app):
    """Return the description of an application, with the forms that it does not know."""
    told = app.openapi()
    for path, names in FORMS.items():
        shape = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        content = {"multipart/form-data": {"schema": shape}}
        told["paths"][path]["post"]["requestBody"] = {"content": content}
    return schemathesis.openapi.from_dict(told)


@pytest.mark.parametrize("name", REQUESTS)
def test_no_request_is_a_fault(made, name):
    app = browser(made.desk).client.app
    answered = set()
    for found in described(app).get_all_operations():
        operation = found.ok()
        here = browser(made.desk, name, PEOPLE[name] if name else None)  # some end their session
        answered |= {one.status_code for one in answers(made, here, operation, REQUESTS[name])}
    assert max(answered) < 500
    if name == "ada":
        assert {200, 204, 303, 401, 403, 404, 422, 429} - answered <= {204, 401, 403, 429}


def answers(made, here, operation, count):
    """Return the answers to so many requests of a route, half of them with keys that there are."""
    found, turn = [], itertools.count()
    names = made.names | {"reader": 1, "user": made.people["marie"].id, "name": "roc"}
    phases = {"phases": (Phase.generate,), "database": None, "deadline": None}

    @seed(14)
    @settings(max_examples=count, suppress_health_check=list(HealthCheck), **phases)
    @given(operation.as_strategy())
    def ask(case):
        number = next(turn)
        for one in case.path_parameters or {}:
            if (number % 2 and one in names) or operation.path == ENDLESS:
                choices = [names[one], *(names["closed"], names["draft"]) * (one == "set_id")]
                case.path_parameters[one] = random.Random(number).choice(choices)
        sent = case.as_transport_kwargs(base_url=HOME)
        headers = {name: value for name, value in sent["headers"].items() if value.isascii()}
        headers |= {TOKEN_HEADER: here.form_token, "sec-fetch-site": "same-origin"}
        headers |= {"accept": "text/html"} if number % 3 else {}
        told = {key: sent[key] for key in ("params", "data", "files", "json") if key in sent}
        answer = here.client.request(sent["method"], sent["url"], headers=headers, **told)
        check(answer)
        found.append(answer)

    ask()
    return found


def check(answer):
    """See that an answer is guarded, and tells nothing of the inside."""
    assert {name: answer.headers.get(name) for name in HEADERS if "Policy" not in name} == {
        name: value for name, value in HEADERS.items() if "Policy" not in name
    }
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    if answer.headers.get("content-type", "").startswith(("text/", "application/json")):
        assert not [word for word in INSIDE if word in answer.text]
