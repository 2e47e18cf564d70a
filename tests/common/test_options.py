"""Options of a study's prediction: typed, checked, and said."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from common.errors import InputError
from common.study.options import About, chosen, described
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
