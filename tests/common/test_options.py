"""Options of a study's prediction: typed, checked, and said."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from common.errors import InputError
from common.study.options import About, chosen, described, described_flags, flagged
from common.study.schema import Bounds, Length


@dataclass(frozen=True)
class Options:
    model: Annotated[str, About("which network")] = ""
    parts: tuple[str, ...] = ()
    shares: Annotated[tuple[float, ...], Length(1), About("how much")] = (1.0,)
    seed: Annotated[int, Bounds(0)] = 0


def test_values_are_toml_bare_words_or_lists_by_commas():
    assert chosen(Options(), []) == Options()
    assert chosen(Options(), ["model=small", "parts=a, b+c", "shares=0.5,1", "seed=3"]) == Options(
        "small", ("a", "b+c"), (0.5, 1.0), 3
    )
    assert chosen(Options(), ['parts=["a", "b"]', "shares=2"]) == Options(
        parts=("a", "b"), shares=(2.0,)
    )
    assert chosen(Options(parts=("a",)), ["parts="]).parts == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["seed"], "--option seed: write it as name=value"),
        (["=3"], "--option =3: write it as name=value"),
        (["sed=3"], "--option sed: no such field, did you mean 'seed'"),
        (["seed=many"], '--option seed = "many": must be a whole number'),
        (["seed=-1"], "--option seed = -1: expected at least 0"),
        (["shares=a,1"], "--option shares = .*: must be a number"),
        (["shares="], "expected at least 1 values"),
        (["parts=a", "parts=b"], "--option parts: given twice; separate"),
    ],
)
def test_what_is_not_offered_is_one_line(given, message):
    with pytest.raises(InputError, match=message) as error:
        chosen(Options(), given)
    assert "\n" not in str(error.value)


def test_every_option_is_described_with_its_default():
    assert described(Options()).splitlines() == [
        '  model=""  which network', "  parts=[]", "  shares=[1.0]  how much", "  seed=0"
    ]  # fmt: skip


@dataclass(frozen=True)
class Flags:
    label: Annotated[str, About("what is drawn")] = "normal"
    note: Annotated[str | None, About("what is said")] = None
    strength: Annotated[Annotated[float, Bounds(0, 2)] | None, About("how much")] = None
    canny_low: Annotated[int, Bounds(0), About("of edges")] = 100
    side: Literal["", "left"] = ""

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
        "  --side       "
    )
