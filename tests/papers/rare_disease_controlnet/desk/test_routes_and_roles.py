"""Who may use which route: every route, as everybody, against a table that is written here."""

from tests.papers.rare_disease_controlnet.desk.made_up import PAGE, a_desk, browser  # isort: skip

import re

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import select

from papers.rare_disease_controlnet.desk.access import TOKEN_HEADER
from papers.rare_disease_controlnet.desk.tables import UserSession
from tests.papers.rare_disease_controlnet.desk.furnished import (
    PEOPLE,
    Furnished,
    furnish,
    home_with_engine,
)

# Who gets in: Nobody, reViewer, Researcher, Admin.
TABLE = """
GET  /                                        -VRA
GET  /account                                 -VRA
POST /account/password                        -VRA
POST /account/sessions                        -VRA
GET  /audit                                   ---A
GET  /corpus                                  --RA
POST /corpus/again                            --RA
GET  /corpus/films/{film}                     --RA
POST /corpus/films/{film}/again               --RA
GET  /corpus/films/{film}/image               --RA
GET  /corpus/films/{film}/nearest             --RA
POST /corpus/films/{film}/restore             ---A
POST /corpus/films/{film}/withdraw            ---A
GET  /corpus/snapshots                        --RA
POST /corpus/snapshots                        --RA
GET  /corpus/snapshots/{snapshot}/card        --RA
POST /corpus/snapshots/{snapshot}/download    --RA
GET  /films/{film}                            --RA
GET  /impact                                  --RA
POST /impact                                  --RA
GET  /impact/{retraining_id}                  --RA
GET  /impact/{retraining_id}/progress         --RA
POST /impact/{retraining_id}/stop             --RA
GET  /jobs                                    --RA
POST /jobs                                    --RA
GET  /jobs/new                                --RA
POST /jobs/new                                --RA
GET  /jobs/outlook                            --RA
GET  /jobs/{job}                              --RA
GET  /jobs/{job}/events                       --RA
GET  /jobs/{job}/preview/{number}             --RA
POST /jobs/{job}/vary                         --RA
POST /jobs/{job}/{action}                     --RA
GET  /login                                   NVRA
POST /login                                   NVRA
POST /logout                                  NVRA
GET  /people                                  ---A
POST /people                                  ---A
POST /people/{user}/disable                   ---A
POST /people/{user}/enable                    ---A
POST /people/{user}/link                      ---A
POST /people/{user}/role                      ---A
GET  /reading                                 -VRA
GET  /reading/film/{film_token}               -VRA
POST /reading/film/{film_token}/draft         -VRA
POST /reading/film/{film_token}/origin        -VRA
POST /reading/film/{film_token}/quality       -VRA
GET  /reading/{set_id}                        -VRA
POST /reading/{set_id}/undo                   -VRA
GET  /set-up/{token}                          NVRA
POST /set-up/{token}                          NVRA
GET  /sets                                    --RA
POST /sets                                    --RA
GET  /sets/new                                --RA
GET  /sets/{set_id}                           --RA
POST /sets/{set_id}/close                     --RA
POST /sets/{draft}/discard                    --RA
GET  /sets/{draft}/films/{item}               --RA
POST /sets/{set_id}/items/{item}/remove       --RA
POST /sets/{set_id}/open                      --RA
POST /sets/{set_id}/readers                   --RA
POST /sets/{set_id}/readers/{reader}/remove   --RA
POST /sets/{set_id}/real                      --RA
GET  /sets/{closed}/report                    --RA
GET  /sets/{closed}/report/figures/{name}     --RA
GET  /sets/{closed}/report/files/{kind}       --RA
GET  /sets/{closed}/report/mine               -VRA
POST /sets/{set_id}/synthetic                 --RA
POST /sets/{set_id}/tests                     --RA
POST /structures                              --RA
GET  /structures/{key}/{view}                 --RA
"""
WHO = {"N": "", "V": "rosalind", "R": "artemisia", "A": "ada"}
ROWS = [tuple(line.split()) for line in TABLE.strip().splitlines()]
MORE = {"reader": 1, "name": "roc", "kind": "csv", "view": "film", "action": "pause", "number": 1}
OWN = re.compile(r"\{(\w+)\}")
SAME = {"draft": "set_id", "closed": "set_id", "film_token": "token"}  # as routes call it


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Furnished:
    """Return a desk with something on every page."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(home))
        home_with_engine(home)
        yield furnish(a_desk(home / "desk"))


def entering(full, name):
    """Return the browser of somebody, logged in anew."""
    return browser(full.desk, name, PEOPLE[name] if name else None)


def address(full, path):
    names = full.names | MORE | {"user": full.people["marie"].id}
    if path.endswith("/preview/{number}"):
        names["job"] = names["running"]
    return path.format(**names)


def is_refused(answer):
    """Return whether the guard itself sent somebody away."""
    words = {401: "log in first", 403: "not for your role"}
    word = words.get(answer.status_code)
    return word is not None and word in answer.text


def test_every_route_has_a_row_and_every_row_a_route(full):
    app = entering(full, "").client.app
    routes = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        for method in (context.methods or ()) if method != "HEAD"
    }  # fmt: skip
    rows = {
        (method, OWN.sub(lambda name: f"{{{SAME.get(name[1], name[1])}}}", path))
        for method, path, _ in ROWS
    }
    assert routes == rows
    assert len(ROWS) == len(rows)


@pytest.mark.parametrize("letter", WHO)
def test_everybody_gets_in_where_the_table_says_so_and_nowhere_else(full, letter):
    wrong, opened = [], set()
    for method, path, allowed in ROWS:
        here = entering(full, WHO[letter])  # as some routes end sessions
        headers = {"sec-fetch-site": "same-origin", TOKEN_HEADER: here.form_token}
        answer = here.client.request(method, address(full, path), headers=headers)
        status, is_in = answer.status_code, letter in allowed
        if is_in == is_refused(answer) or status >= 500:
            wrong.append((method, path, status))
        if is_in and method == "GET" and status == 200:
            opened.add(path)
        if method == "GET" and not is_in and letter == "N":
            led = here.client.get(address(full, path), headers=PAGE)
            if not (led.headers.get("location") or "").startswith("/login?next="):
                wrong.append((path, "does not lead to the login"))
    assert not wrong
    expected = {path for method, path, allowed in ROWS if method == "GET" and letter in allowed}
    # what is somebody else's, or leads on, is no page; all others are, so that keys are right ones
    assert {path.split("/")[1] for path in expected - opened} <= {"", "login", "reading", "sets"}


def test_what_is_kept_from_somebody_changes_nothing(full):
    def state():
        engine = full.desk.corpus.engine
        with engine.connect() as connection:
            return {
                table.name: connection.execute(select(table)).all()
                for table in UserSession.metadata.sorted_tables
                if table.name != "user_sessions"
            }

    people = {letter: entering(full, name) for letter, name in WHO.items()}
    before = state()
    for method, path, allowed in ROWS:
        for letter, here in people.items():
            if letter not in allowed and method == "POST":
                headers = {TOKEN_HEADER: here.form_token, "sec-fetch-site": "same-origin"}
                here.client.post(address(full, path), headers=headers)
    assert state() == before
