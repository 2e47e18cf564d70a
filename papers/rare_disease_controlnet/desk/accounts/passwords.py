"""Passwords: hashed with Argon2, and refused where they are guessed first.

Rules of composition make passwords worse; what counts is how many choices a guess has to get right.
A word that everybody knows, a run such as 12345 or qwerty, and a repeat are each a choice or two.
"""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import HTTPException

from common.errors import InputError

SHORTEST, LONGEST = 8, 200  # characters
CHOICES = 6  # that a password has at least
_WORDS = (
    *("password", "passwort", "passwd", "pass", "secret", "letmein", "welcome", "login", "admin"),
    *("administrator", "root", "master", "guest", "user", "test", "demo", "default", "change"),
    *("hello", "love", "iloveyou", "you", "monkey", "dragon", "sunshine", "princess", "football"),
    *("baseball", "soccer", "superman", "batman", "shadow", "trust", "freedom", "whatever"),
    *("ninja", "flower", "summer", "winter", "spring", "autumn", "january", "february", "march"),
    *("april", "june", "july", "august", "september", "october", "november", "december"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "computer"),
    *("hospital", "clinic", "doctor", "nurse", "radiology", "radiologist", "xray", "chest"),
    *("medical", "medicine", "review", "reviewer", "researcher", "desk", "film", "reader"),
)
_ROWS = (  # what follows each other on a keyboard, or when counting
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "!@#$%^&*()"),
    *("qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm"),
    *("1qaz2wsx3edc4rfv5tgb", "1q2w3e4r5t6y", "q1w2e3r4t5y6"),
)
_NEXT = frozenset(pair for row in _ROWS for pair in pairwise(row))
_WRITTEN = str.maketrans("0134578@$!", "oieastbasi")  # letters as digits and signs
_YEAR = re.compile(r"(?:19|20)\d\d")
_WORD = "\0"  # what stands for a known word, or a year
_HASHER = PasswordHasher()
_AT_ONCE, _WAITING = 2, 12  # each takes 64 MB; more that wait would hold up all other pages
_turn = threading.BoundedSemaphore(_AT_ONCE)
_line = threading.BoundedSemaphore(_AT_ONCE + _WAITING)


def check(password: str, name: str) -> None:
    """Refuse a new password that is too short, too long, or guessed first.

    Args:
        password: that somebody wants.
        name: of the user, which is guessed first too.

    Raises:
        InputError: why not; the line never shows the password.
    """
    length = len(_normal(password))
    if not SHORTEST <= length <= LONGEST:
        raise InputError(
            f"password: has {length} characters, expected from {SHORTEST} to {LONGEST}; "
            "a few words that do not belong together are easy to keep in mind"
        )
    if choices(password, name) < CHOICES:
        raise InputError(
            "password: is among the first that are guessed (a name, common words, a row of keys, "
            "a year, a repeat); take a few words that do not belong together"
        )


def choices(password: str, name: str = "") -> int:
    """Return how many choices a guess of a password has to get right, at least."""
    lower = _YEAR.sub(_WORD, _normal(password).lower())
    words = [*_WORDS, *(part for part in re.split("[^a-z]+", name) if len(part) > 2)]
    known = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)))
    forms = (lower, known.sub(_WORD, lower), known.sub(_WORD, lower.translate(_WRITTEN)))
    return min(_choices(_unrepeated(form)) for form in forms)


def hashed(password: str) -> str:
    """Return what is kept of a password; takes a third of a second.

    Raises:
        HTTPException: 503, too many are waiting for theirs.
    """
    with _in_line():
        return _HASHER.hash(_normal(password))


def fits(kept: str | None, password: str) -> bool:
    """Return whether a password is the one kept; without one, it takes as long to say no.

    Raises:
        HTTPException: 503, too many are waiting for theirs.
    """
    with _in_line():
        try:
            return _HASHER.verify(kept or _nobodys(), _normal(password)) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(kept: str) -> bool:
    """Return whether a password was hashed with less effort than is usual now."""
    return _HASHER.check_needs_rehash(kept)


def _normal(password: str) -> str:
    """Return a password in one form, whatever keyboard it was typed on."""
    return unicodedata.normalize("NFC", password)


def _choices(text: str) -> int:
    """Return how many characters do not follow from those before them."""
    found, ways = 0, set[int]()
    for before, after in zip(" " + text, text, strict=False):
        if before != after:
            pairs = {1: (before, after), -1: (after, before)}
            onward = {way for way, pair in pairs.items() if pair in _NEXT}
            found += not onward & ways
            ways = onward
    return found


def _unrepeated(text: str) -> str:
    """Return the shortest text whose repeats make up a text."""
    period = (text + text).find(text, 1)
    return text[:period] if period > 0 else text


@contextmanager
def _in_line() -> Iterator[None]:
    if not _line.acquire(blocking=False):
        raise HTTPException(503, "too many people log in at the moment; try again in a moment")
    try:
        with _turn:
            yield
    finally:
        _line.release()


@cache
def _nobodys() -> str:
    """Return the hash of a password that nobody has."""
    return _HASHER.hash(secrets.token_urlsafe(32))
