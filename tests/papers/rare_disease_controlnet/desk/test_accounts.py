"""Accounts: logging in, links that work once, and another password."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk, a_user, browser,
)  # fmt: skip

import html
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.accounts import passwords, people
from papers.rare_disease_controlnet.desk.accounts.login import WRONG, own_path
from papers.rare_disease_controlnet.desk.accounts.sessions import COOKIE
from papers.rare_disease_controlnet.desk.tables import AuditEntry, User

SOME, OTHER = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
HASHED = passwords.hashed(SOME)


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def with_password(desk, name, role):
    user = a_user(desk, name, role)
    with desk.write() as session:
        people.set_password(session, session.get_one(User, user.id), HASHED)
    return user


def user_of(desk, name):
    with desk.read() as session:
        return session.scalar(select(User).where(User.name == name))


def log_in(here, name, password, **more):
    return here.post("/login", {"name": name, "password": password, **more})


def entered(desk, name, role):
    """Return the browser of somebody who has logged in with `SOME`."""
    with_password(desk, name, role)
    here = browser(desk)
    log_in(here, name, SOME)
    return known(here)


def known(here):
    """Return a browser that has loaded a page, and so knows the form token."""
    page = here.get("/account").text
    here.form_token = re.search('name="form-token" content="([^"]+)"', page).group(1)
    return here


def invited(desk, name="anna", role="reviewer"):
    with desk.write() as session:
        return people.invite(session, name, role)


def link_in(answer):
    return re.search(r'value="https://desk\.test(/set-up/[^"]+)"', answer.text).group(1)


# logging in


def test_a_login_leads_on_and_gives_a_cookie_for_this_host_alone(desk):
    with_password(desk, "anna", "reviewer")
    here = browser(desk)
    answer = log_in(here, " Anna ", SOME, next="/reading/3?place=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/reading/3?place=2")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "__Host-desk"
    assert {part.strip().lower() for part in rest.split(";")[1:]} == {
        "secure", "httponly", "samesite=lax", "path=/",
    }  # fmt: skip
    assert here.get("/account").status_code == 200
    assert here.get("/login?next=/account").headers["location"] == "/account"


def test_a_wrong_password_and_an_unknown_name_have_one_answer(desk):
    with_password(desk, "anna", "reviewer")
    with_password(desk, "dora", "reviewer")
    with desk.write() as session:
        user = session.scalar(select(User).where(User.name == "dora"))
        people.disable(session, user, actor="root")
    invited(desk, "emil")
    tries = [("anna", OTHER), ("nemo", SOME), ("dora", SOME), ("emil", ""), ("a\0b", SOME)]
    answers = [log_in(browser(desk), name, password) for name, password in tries]
    assert {answer.status_code for answer in answers} == {401}
    assert all(WRONG in answer.text and "set-cookie" not in answer.headers for answer in answers)
    texts = {
        re.sub('id="name"[^>]*value="[^"]*"', "", answer.text) for answer in answers
    }  # but for what was typed
    assert len(texts) == 1


@pytest.mark.parametrize(
    "wanted",
    ["//evil.test", "https://evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "",
     "javascript:alert(1)", "evil.test", "/a b", "/\n/evil.test", "///evil.test", "/é"],
)  # fmt: skip
def test_a_login_never_leads_to_another_host(desk, wanted):
    assert own_path(wanted) == "/"
    if wanted == "//evil.test":
        with_password(desk, "anna", "reviewer")
        assert log_in(browser(desk), "anna", SOME, next=wanted).headers["location"] == "/"
        assert "evil" not in browser(desk).get("/login", params={"next": wanted}).text


def test_logging_in_again_takes_the_place_of_the_session_before(desk):
    here = entered(desk, "anna", "reviewer")
    before = here.client.cookies[COOKIE]
    token, here.form_token = here.form_token, ""
    assert log_in(here, "anna", SOME).status_code == 403  # a page from before the first login
    here.form_token = token
    assert log_in(here, "anna", SOME).status_code == 303
    assert here.client.cookies[COOKIE] != before
    there = browser(desk)
    there.client.cookies.set(COOKIE, before)
    assert there.get("/account").status_code == 303


# links


def test_a_link_sets_the_password_once(desk):
    token = invited(desk)
    here = browser(desk)
    assert "Welcome, anna" in here.get(f"/set-up/{token}").text
    assert "Welcome, anna" in here.get(f"/set-up/{token}").text  # looking uses nothing up
    refused = here.post(f"/set-up/{token}", {"password": SOME, "again": OTHER})
    assert (refused.status_code, "not the same" in refused.text) == (422, True)
    assert SOME not in refused.text
    answer = here.post(f"/set-up/{token}", {"password": SOME, "again": SOME})
    assert answer.headers["location"] == "/"
    assert here.get("/account").status_code == 200
    again = browser(desk)
    assert again.get(f"/set-up/{token}").status_code == 404
    assert again.post(f"/set-up/{token}", {"password": OTHER, "again": OTHER}).status_code == 404
    assert log_in(again, "anna", SOME).status_code == 303


def test_a_link_used_by_two_at_once_works_for_one(desk):
    token = invited(desk)

    def use(password):
        form = {"password": password, "again": password}
        return browser(desk).post(f"/set-up/{token}", form).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, [SOME, OTHER])) == [303, 404]


def test_links_end_by_time_by_another_link_and_with_the_account(desk):
    first = invited(desk)
    second = invited(desk)  # the first was not used
    with desk.write() as session:
        assert people.linked(session, first) is None
        user = people.linked(session, second)
        assert user.name == "anna"
        assert people.linked(session, second, at=now() + timedelta(hours=25)) is None
        people.disable(session, user, actor="root")
        assert people.linked(session, second) is None
        people.enable(session, user, actor="root")
        assert people.linked(session, second) is None
    assert second not in str([vars(row) for row in [user_of(desk, "anna")]])


# one's own account


def test_changing_the_password_asks_for_the_old_one_and_ends_other_sessions(desk):
    here, there = entered(desk, "anna", "reviewer"), browser(desk, "anna", "reviewer")
    before = here.client.cookies[COOKIE]
    form = {"old": OTHER, "password": OTHER, "again": OTHER}
    assert "is wrong" in here.post("/account/password", form).text
    same = {"old": SOME, "password": SOME, "again": SOME}
    assert "take another" in here.post("/account/password", same).text
    assert here.post("/account/password", form | {"old": SOME}).status_code == 303
    assert here.get("/account").status_code == 200
    assert here.client.cookies[COOKIE] != before
    assert there.get("/account").status_code == 303
    assert log_in(browser(desk), "anna", SOME).status_code == 401
    assert log_in(browser(desk), "anna", OTHER).status_code == 303


def test_other_sessions_are_counted_and_ended(desk):
    here, there = entered(desk, "anna", "reviewer"), browser(desk, "anna", "reviewer")
    assert "in 1 other browser." in here.get("/account").text
    assert here.post("/account/sessions").status_code == 303
    assert there.get("/account").status_code == 303
    assert "other browser" not in here.get("/account").text


def test_what_happens_is_logged_without_secrets(desk):
    admin = browser(desk, "root", "admin")
    link = link_in(admin.post("/people", {"name": "anna", "role": "reviewer"}))
    there = browser(desk)
    there.post(link, {"password": SOME, "again": SOME})
    known(there).post("/logout")
    log_in(there, "anna", OTHER)
    log_in(there, OTHER, SOME)  # somebody types a password as the name
    log_in(there, "anna", SOME)
    with desk.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("root", "person added"), ("root", "link made"), ("anna", "password set"),
        ("anna", "logged in"), ("anna", "logged out"), ("anna", "login failed"),
        ("nobody", "login failed"), ("anna", "logged in"),
    ]  # fmt: skip
    kept = html.unescape(str([vars(entry) for entry in entries]))
    assert not [word for word in (SOME, OTHER, link.rpartition("/")[2]) if word in kept]
