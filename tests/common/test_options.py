"""Flags that a study offers: typed, checked, and said."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from common.errors import InputError
from common.study.options import About, described_flags, flagged
from common.study.schema import Bounds, Length


@dataclass(frozen=True)
class Flags:
    label: Annotated[str, About("what is drawn")] = "normal"
    note: Annotated[str | None, About("what is said")] = None
    strength: Annotated[Annotated[float, Bounds(0, 2)] | None, About("how much")] = None
    canny_low: Annotated[int, Bounds(0), About("of edges")] = 100
    side: Literal["", "left"] = ""
    maps: Annotated[bool, About("write them")] = False
    parts: tuple[str, ...] = ()
    shares: Annotated[tuple[float, ...], Length(1), About("each")] = (1.0,)

    def check(self) -> None:
        if self.side and self.label == "normal":
            raise ValueError("--side: normal has none")


def test_flags_are_texts_as_they_stand_or_numbers():
    assert flagged(Flags(), []) == Flags()
    words = [
        "--label=a = 3",
        "--note",
        "true",
        "--strength",
        "1",
        "--canny-low=7",
        "--side",
        "left",
    ]
    assert flagged(Flags(), words) == Flags("a = 3", "true", 1.0, 7, "left")
    assert flagged(Flags(), ["--note", "--label"]).note == "--label"
    assert flagged(Flags(), ["--note="]).note == ""


def test_lists_go_by_commas_and_what_is_true_or_false_takes_no_value():
    found = flagged(Flags(), ["--parts", "a,b+c", "--maps", "--shares=0.5, 1"])
    assert found == Flags(maps=True, parts=("a", "b+c"), shares=(0.5, 1.0))
    assert not flagged(Flags(), ["--maps=false"]).maps
    assert flagged(Flags(parts=("a",)), ["--parts="]).parts == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--labl x", "--labl: no such flag, did you mean '--label'"),
        ("--ouut x", "--ouut: no such flag, did you mean '--out'"),
        ("label x", "label: no such flag"),
        ("--label", "--label: give a value after it"),
        ("--label a --label=b", "--label: given twice"),
        ("--strength 3", "--strength = 3: expected from 0 to 2"),
        ("--strength much", '--strength = "much": must be a number'),
        ("--strength=", '--strength = "": must be a number'),
        ("--canny-low 1.5", "--canny-low = 1.5: must be a whole number"),
        ("--side right", '--side = "right": not a valid value'),
        ("--side left", "^--side: normal has none$"),
        ("--maps=much", '--maps = "much": must be true or false'),
        ("--shares a,1", "--shares = .*: must be a number"),
        ("--shares=", "expected at least 1 values"),
        ("--parts a --parts b", "--parts: given twice; separate a list's values by commas"),
    ],
)
def test_flags_that_are_not_offered_are_one_line(words, message):
    with pytest.raises(InputError, match=message) as error:
        flagged(Flags(), words.split(), ["--out"])
    assert "\n" not in str(error.value)


def test_flags_are_described_with_defaults_that_say_something():
    assert described_flags(Flags()) == (
        '  --label      what is drawn; by default "normal"\n'
        "  --note       what is said\n"
        "  --strength   how much\n"
        "  --canny-low  of edges; by default 100\n"
        "  --side       \n"
        "  --maps       write them\n"
        "  --parts      \n"
        "  --shares     each; by default [1.0]"
    )
