"""Passwords: hashed slowly but not by many at once, and refused where they are guessed first."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # noqa: F401  # isort: skip

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.errors import InputError
from papers.rare_disease_controlnet.desk.accounts import passwords

SOME, OTHER = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
HASHED = passwords.hashed(SOME)


def test_what_is_guessed_first_is_refused():
    weak = """
        password Passw0rd!! 12345678 87654321 abcd1234 qwertyui 1qaz2wsx3edc aaaaaaaa abcabcabc
        passwordpassword radiology2024 Summer2026! iloveyou letmein1 q1w2e3r4t5 review-desk
        anna.berg1 berg-anna berganna1984
    """
    for word in weak.split():
        with pytest.raises(InputError, match="first that are guessed") as refused:
            passwords.check(word, "anna.berg")
        assert word not in str(refused.value).removeprefix("password: ")


def test_random_passwords_are_admitted_without_rules_of_composition():
    for _ in range(200):
        passwords.check(secrets.token_urlsafe(12), "anna")
    passwords.check("teapot velvet gravel", "anna")  # no digit, no capital
    passwords.check("кофейная мельница", "anna")
    passwords.check("x" + secrets.token_hex(100)[:199], "anna")


@pytest.mark.parametrize("length", [0, 7, 201, 10**6])
def test_too_short_or_long_is_refused(length):
    with pytest.raises(InputError, match="expected from 8 to 200"):
        passwords.check(("ab8Kp" * length)[:length], "anna")


def test_a_password_is_the_same_on_every_keyboard():
    composed, apart = "K\u00e4sekuchen Bl\u00fcte", "Ka\u0308sekuchen Blu\u0308te"
    assert passwords.fits(passwords.hashed(composed), apart)


def test_nobody_without_a_password_comes_in():
    assert not passwords.fits(None, "")
    assert not passwords.fits(None, SOME)
    assert not passwords.fits("no hash", SOME)
    assert passwords.fits(HASHED, SOME)
    assert not passwords.fits(HASHED, OTHER)


def test_a_crowd_that_logs_in_is_sent_away_and_not_kept_waiting():
    def outcome(_):
        try:
            return passwords.fits(HASHED, SOME)
        except Exception as error:
            return error.status_code

    with ThreadPoolExecutor(40) as pool:
        outcomes = list(pool.map(outcome, range(40)))
    assert set(outcomes) == {True, 503}
    assert outcomes.count(True) >= 14  # as many as have a place in the line
    assert passwords.fits(HASHED, SOME)
