"""Sessions: by a cookie that nobody can make, and that ends when it should."""

from tests.papers.rare_disease_controlnet.desk.made_up import (  # isort: skip
    a_desk, a_user, browser,
)  # fmt: skip

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.accounts import sessions
from papers.rare_disease_controlnet.desk.tables import UserSession

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
IN, OUT = 200, 303


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def status(desk, cookie):
    here = browser(desk)
    here.client.cookies.set(sessions.COOKIE, cookie)
    return here.get("/account").status_code


def begun(desk, at=None):
    user = a_user(desk, "anna", "reviewer")
    with desk.write() as session:
        return sessions.begin(session, user, at=at)


def test_forged_cookies_are_refused(desk):
    cookie = begun(desk)
    assert status(desk, cookie) == IN
    with desk.read() as session:
        kept = session.scalar(select(UserSession.token))
    assert kept == digest(cookie)
    forged = [
        kept,  # what somebody who reads the database would try
        cookie[:-1],
        cookie + "A",
        cookie.swapcase(),
        secrets.token_urlsafe(32),
        "1",
        "' OR 1=1 --",
        "%00",
        "x" * 4000,
    ]
    assert {status(desk, one) for one in forged} == {OUT}


def test_a_cookie_is_256_random_bits(desk):
    cookies = {begun(desk) for _ in range(50)}
    assert len(cookies) == 50
    assert {len(cookie) for cookie in cookies} == {43}


def test_a_cookie_replayed_after_logging_out_is_refused(desk):
    here = browser(desk, "anna", "reviewer")
    cookie = here.client.cookies[sessions.COOKIE]
    answer = here.post("/logout")
    assert answer.headers["location"] == "/login"
    assert 'desk=""' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert status(desk, cookie) == OUT
    assert browser(desk).post("/logout").status_code == 303  # of who is out already


def test_a_session_ends_when_it_is_idle_and_after_its_time(desk):
    limits = desk.settings.limits
    cookie = begun(desk, NOON)

    def known(after, noted=None):
        with desk.write() as session:
            if noted is not None:
                sessions.seen(session, cookie, at=NOON + noted)
            return sessions.visitor(session, cookie, limits, at=NOON + after) is not None

    second = timedelta(seconds=1)
    assert known(limits.idle - second)
    assert not known(limits.idle)
    assert known(2 * limits.idle - 2 * second, noted=limits.idle - second)
    assert known(limits.session - second, noted=limits.session - 2 * second)
    assert not known(limits.session, noted=limits.session - second)


def test_use_keeps_a_session_alive_and_nothing_else_does(desk):
    cookie = begun(desk, now() - timedelta(minutes=29))
    assert status(desk, cookie) == IN
    with desk.read() as session:
        assert sessions.used_since(session, cookie, now() - timedelta(seconds=5))
    with desk.write() as session:
        session.execute(update(UserSession).values(seen=now() - timedelta(minutes=31)))
    assert status(desk, cookie) == OUT


def test_a_session_is_of_one_user_and_one_form_token(desk):
    anna, emil = browser(desk, "anna", "admin"), browser(desk, "emil", "admin")
    assert anna.form_token != emil.form_token
    anna.form_token, emil.form_token = emil.form_token, anna.form_token
    assert anna.post("/account/sessions").status_code == 403
    assert ">anna</a>" in anna.get("/account").text
    assert ">emil</a>" in emil.get("/account").text
