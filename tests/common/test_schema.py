"""Bounds of config fields: in their types, checked before anything runs."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import pytest

from common.errors import InputError
from common.pipeline.plan import resolved
from common.study import config as configs
from common.study import experiment as experiments
from common.study.schema import (
    Bounds,
    CheckpointMinutes,
    Count,
    Counts,
    Length,
    LogEvery,
    NonNegative,
    Positive,
    Share,
    Whole,
)
from papers import studies


@dataclass(frozen=True)
class Fields:
    """One of every kind."""

    count: Count = 1
    whole: Whole = 0
    positive: Positive = 1.0
    non_negative: NonNegative = 0.0
    share: Share = 0.5
    counts: Counts = (1,)
    log_every: LogEvery = 1
    minutes: CheckpointMinutes = 0.0
    steps: Annotated[int, Bounds(2, 5)] = 2
    between: Annotated[float, Bounds(0, 1, open=True)] = 0.5
    pair: tuple[Count, Share] = (1, 0.5)
    nested: tuple[tuple[Share, ...], ...] = ()
    two: Annotated[tuple[Share, ...], Length(2)] = (0.1, 0.2)
    maybe: Positive | None = None
    low: int = 0
    high: int = 1

    def check(self) -> None:
        """Raise ValueError unless `low` is below `high`."""
        if self.low >= self.high:
            raise ValueError(f"fields.low = {self.low}: expected less than fields.high")


@dataclass(frozen=True)
class Config:
    """A config whose section checks itself, and which checks what ties it to another field."""

    fields: Fields = field(default_factory=Fields)
    total: int = 10

    def check(self) -> None:
        """Raise ValueError where there are more steps than in all."""
        if self.fields.steps > self.total:
            raise ValueError("fields.steps: more than total")


def override(*texts: str) -> Config:
    return configs.override(Config(), dict(map(configs.assignment, texts)))


@pytest.mark.parametrize(
    ("name", "admitted", "refused", "expected"),
    [
        ("count", ["1", "99"], ["0", "-1"], "expected at least 1"),
        ("whole", ["0", "7"], ["-1"], "expected at least 0"),
        ("positive", ["1e-9", "3"], ["0", "-0.5"], "expected more than 0"),
        ("non_negative", ["0", "0.1"], ["-1e-9"], "expected at least 0"),
        ("share", ["0", "1", "0.3"], ["1.001", "-0.1", "7"], "expected from 0 to 1"),
        ("counts", ["[1]", "[3, 4]"], ["[3, 0]"], "expected at least 1"),
        ("counts", ["[1]"], ["[]"], "expected at least 1 values"),
        ("log_every", ["1"], ["0"], "expected at least 1"),
        ("minutes", ["0.0", "5"], ["-1"], "expected at least 0"),
        ("steps", ["2", "5"], ["1", "6"], "expected from 2 to 5"),
        ("between", ["0.1", "1"], ["0", "1.1"], "expected more than 0 to 1"),
        ("pair", ["[1, 1]"], ["[0, 0.5]"], "expected at least 1"),
        ("pair", ["[9, 0]"], ["[1, 2]"], "expected from 0 to 1"),
        ("nested", ["[]", "[[], [0.5, 1]]"], ["[[0.5], [0.1, 2]]"], "expected from 0 to 1"),
        ("two", ["[0, 1, 1]"], ["[0.5]"], "expected at least 2 values"),
        ("count", ["1000000"], ["1000001", "2147483648"], "expected at most 1,000,000"),
        ("positive", ["1e12"], ["1e20"], "expected at most 1e+12"),
        ("counts", ["[1, 1]"], [str([1] * 17)], "expected at most 16 values"),
        ("maybe", ["0.5"], ["0", "-3"], ""),
    ],
)
def test_every_bound_admits_and_refuses(
    name: str, admitted: list[str], refused: list[str], expected: str
) -> None:
    for value in admitted:
        override(f"fields.{name}={value}")
    for value in refused:
        with pytest.raises(InputError) as error:
            override(f"fields.{name}={value}")
        line = str(error.value)
        assert line.startswith(f"--set fields.{name} = ")
        assert line.endswith(expected)
        assert "\n" not in line


def test_types_inside_bounds_are_checked_first() -> None:
    for text, words in (("count=1.0", "a whole number"), ("share=half", "a number")):
        with pytest.raises(InputError, match=f"must be {words}"):
            override(f"fields.{text}")
    with pytest.raises(InputError, match=r"a list such as \[a, b\], each a whole number"):
        override("fields.counts=3")
    assert override("fields.nested=[[1]]").fields.nested == ((1.0,),)


def test_fields_that_are_valid_together_are_set_together_in_any_order() -> None:
    for texts in (("fields.low=5", "fields.high=6"), ("fields.high=6", "fields.low=5")):
        changed = override(*texts)
        assert (changed.fields.low, changed.fields.high) == (5, 6)
    with pytest.raises(InputError, match=r"^--set: fields\.low = 5: expected less"):
        override("fields.low=5")
    with pytest.raises(InputError, match=r"^--set: fields\.steps: more than total"):
        override("total=1")  # a check of the whole config
    with pytest.raises(InputError, match=r"^a\.toml: fields\.low = 1: expected less"):
        configs.override(Config(), {"fields": {"low": 1}}, "a.toml")


def bounds_hold(config: Any, where: str = "") -> None:
    """Raise `InputError` where a field of a config is outside its own bounds."""
    kinds = get_type_hints(type(config), include_extras=True)
    for one in fields(config):
        value, name = getattr(config, one.name), where + one.name
        if is_dataclass(value):
            bounds_hold(value, f"{name}.")
        else:
            assert configs.checked(value, kinds[one.name], name) == value
            assert type(configs.checked(value, kinds[one.name], name)) is type(value), name


@pytest.mark.parametrize("name", studies.names())
def test_the_published_config_and_every_experiment_are_within_their_bounds(name: str) -> None:
    study = studies.load(name)
    bounds_hold(study.published)
    configs.check(study.published)
    for experiment in experiments.names(study.experiments):
        bounds_hold(resolved(study, experiments.load(study.experiments, experiment)))
