"""Who fails to log in waits longer each time, whether there is such an account or not."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk, a_user, browser,
)  # fmt: skip

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select
from starlette.requests import Request

from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.accounts import passwords, people, throttling
from papers.rare_disease_controlnet.desk.accounts.throttling import FIRST, FREE, WINDOW
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.tables import Attempt, AuditEntry, User

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SOME = secrets.token_urlsafe(16)
NAME, ADDRESS = (throttling.by_name("anna"),), (throttling.by_address("192.0.2.1"),)


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def tries(desk, keys, count, at=NOON, every=timedelta(0)):
    """Return how long each of some failures had to wait."""
    with desk.write() as session:
        return [throttling.begin(session, keys, at=at + i * every) for i in range(count)]


def failed(desk, name, count):
    """Let a name fail now, as if from elsewhere."""
    with desk.write() as session:
        for _ in range(count):
            throttling.begin(session, (throttling.by_name(name),))


def log_in(here, name, password):
    return here.post("/login", {"name": name, "password": password})


def test_the_wait_begins_after_some_failures_and_doubles(desk):
    free, first = FREE["name"], FIRST
    assert tries(desk, NAME, free + 1) == [timedelta(0)] * free + [first]
    for further in range(4):
        wait = first * 2**further
        at = NOON + sum((first * 2**step for step in range(further)), timedelta(0))
        assert tries(desk, NAME, 1, at + wait - timedelta(seconds=1)) == [timedelta(seconds=1)]
        assert tries(desk, NAME, 1, at + wait) == [timedelta(0)]


def test_a_try_while_waiting_makes_the_wait_no_longer(desk):
    waits = tries(desk, NAME, FREE["name"] + 50)
    assert set(waits[FREE["name"] :]) == {FIRST}


def test_guessing_for_a_day_is_slow(desk):
    waits = tries(desk, NAME, 6 * 60 * 4, every=timedelta(seconds=15))
    assert waits.count(timedelta(0)) < 300  # in six hours, instead of as many as a computer can


def test_an_address_fails_more_often_than_a_name_and_names_do_not_share(desk):
    assert max(tries(desk, ADDRESS, FREE["address"])) == timedelta(0)
    assert tries(desk, ADDRESS, 1) == [FIRST]
    other = (throttling.by_name("emil"), throttling.by_address("192.0.2.2"))
    assert tries(desk, other, 1) == [timedelta(0)]
    assert tries(desk, (*NAME, *ADDRESS), 1) == [FIRST]  # the longer one counts


def test_old_failures_are_forgotten_and_deleted(desk):
    tries(desk, NAME, FREE["name"])
    assert tries(desk, ADDRESS, 1, NOON + WINDOW) == [timedelta(0)]
    with desk.read() as session:
        assert session.scalar(select(func.count()).select_from(Attempt)) == 1
    assert max(tries(desk, NAME, FREE["name"], NOON + WINDOW)) == timedelta(0)


def test_who_logs_in_is_forgiven_the_name_and_not_the_address(desk):
    both = (*NAME, *ADDRESS)
    tries(desk, both, 4)
    with desk.write() as session:
        throttling.forget(session, both)
        kept = session.scalars(select(Attempt.key)).all()
    assert kept == list(ADDRESS) * 3


def test_a_locked_name_is_told_the_same_as_one_that_nobody_has(desk):
    user = a_user(desk, "anna", "reviewer")
    with desk.write() as session:
        people.set_password(session, session.get_one(User, user.id), passwords.hashed(SOME))
    inside = browser(desk, "anna", "reviewer")
    answers = []
    for name in ("anna", "nemo"):
        failed(desk, name, FREE["name"])
        answers.append(log_in(browser(desk), name, SOME))
    assert [answer.status_code for answer in answers] == [429, 429]
    assert len({answer.text.replace(name, "") for answer, name in
                zip(answers, ("anna", "nemo"), strict=True)}) == 1  # fmt: skip
    assert "Try again in 15 seconds" in answers[0].text
    assert inside.get("/account").status_code == 200  # an open session stays open
    assert "Try again" in log_in(browser(desk), " ANNA", SOME).text  # it is the same name
    with desk.read() as session:
        actions = set(session.scalars(select(AuditEntry.action)))
    assert "logged in" not in actions


def test_failures_are_counted_by_the_page(desk):
    here = browser(desk)
    statuses = [log_in(here, "nemo", "x").status_code for _ in range(FREE["name"] + 2)]
    assert statuses == [401] * FREE["name"] + [429] * 2
    assert log_in(here, "emil", "x").status_code == 401  # from the same address
    with desk.read() as session:
        keys = set(session.scalars(select(Attempt.key)))
    assert not [key for key in keys if "nemo" in key]  # it may have been a password


def test_an_open_session_guesses_its_old_password_no_faster(desk):
    user = a_user(desk, "anna", "reviewer")
    here = browser(desk, "anna", "reviewer")
    with desk.write() as session:
        for _ in range(FREE["account"]):
            throttling.begin(session, (throttling.by_account(user.id),))
    form = {"old": "x", "password": SOME, "again": SOME}
    assert "wrong too often" in here.post("/account/password", form).text


@pytest.mark.parametrize(
    ("proxy", "client", "header", "address"),
    [
        (False, "192.0.2.7", "203.0.113.9", "192.0.2.7"),  # anybody can write that header
        (True, "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        (True, "127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (True, "127.0.0.1", None, "127.0.0.1"),
        (True, "127.0.0.1", "<script>", "unknown"),
        (False, "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        (False, "2001:db8:1:2::9", None, "2001:db8:1:2::/64"),
        (False, "::ffff:192.0.2.7", None, "192.0.2.7"),
    ],
)
def test_the_address_is_the_clients_or_what_the_own_proxy_says(
    desk, proxy, client, header, address
):
    behind = Desk(replace(desk.settings, tls_proxy=proxy), desk.corpus)
    headers = [(b"x-forwarded-for", header.encode())] if header else []
    app = SimpleNamespace(state=SimpleNamespace(desk=behind))
    scope = {"type": "http", "client": (client, 1), "headers": headers, "app": app}
    assert throttling.address_of(Request(scope)) == address


def test_the_table_stays_small_under_a_flood(desk):
    with desk.write() as session:
        session.add_all(Attempt(key="name:x", at=NOON) for _ in range(10_000))
    log_in(browser(desk), "nemo", "x")
    with desk.read() as session:
        assert session.scalar(select(func.count()).select_from(Attempt)) == 2
        assert session.scalar(select(func.min(Attempt.at))) > now() - WINDOW
