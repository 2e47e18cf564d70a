"""How long work takes, in words."""

import pytest

from common.pipeline import timing


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0.5, "about 30 s"), (1.0, "about 1 min"), (14.26, "about 14.3 min"), (119.0, "about 119 min"),
     (600.0, "about 10 h")],
)  # fmt: skip
def test_durations(minutes: float, words: str) -> None:
    assert timing.duration(minutes) == words


def test_what_is_left_is_told_now_and_then_by_what_was_done(capsys) -> None:
    now = [0.0]
    left = timing.Left(lambda: now[0])
    left.tell(2, 10)  # done by an earlier command, in no time
    now[0] = 40.0
    left.tell(2, 10)
    now[0] = 60.0
    left.tell(4, 10)
    now[0] = 61.0
    left.tell(5, 10)
    told = capsys.readouterr().err
    assert told == "4 of 10 trainings and evaluations are done, about 3 min left\n"
