"""Every field of every study and experiment: a value is in range, or refused in a line at once."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from common.errors import InputError
from common.pipeline.plan import resolved
from common.study import config as configs
from common.study import experiment as experiments
from common.study import options
from common.study.schema import Bounds, Most
from papers import studies

NUMBERS = ["0", "-1", "1", "2147483648", "9223372036854775808", "1e20", "1e-20", "-1e308", "0.5"]
WORDS = ["nan", "inf", "-inf", "", '""', "x", "null", "None", "true", "'\\u0000'", "$(x)", "../x"]
NESTED = ["[]", "[[]]", "[[[1]]]", "[0]", "[1e20]", '["x"]', "{}", "{a = 1}", "1979-05-27"]
ABSURD = ["9" * 5000, "1" + "0" * 400, "x" * 20_000, "[" + "1," * 2000 + "]", "[" * 5000]
HOSTILE = {text: configs.assignment(f"a.b={text}")[1] for text in NUMBERS + WORDS + NESTED + ABSURD}


def configs_of(name: str) -> Iterator[tuple[str, Any]]:
    study = studies.load(name)
    yield "published", study.published
    for one in experiments.names(study.experiments):
        yield one, resolved(study, experiments.load(study.experiments, one))


def numbers(kind: Any, marks: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the marks of every number in an annotation."""
    if get_origin(kind) is Annotated:
        yield from numbers(get_args(kind)[0], get_args(kind)[1:])
    elif get_origin(kind) is not None and kind is not int:
        for inner in get_args(kind):
            yield from numbers(inner)
    elif kind in (int, float):
        yield marks


def kinds(config: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and annotation of every field of a config."""
    hints = get_type_hints(type(config), include_extras=True)
    for one in fields(config):
        if is_dataclass(section := getattr(config, one.name)):
            yield from kinds(section, f"{where}{one.name}.")
        else:
            yield where + one.name, hints[one.name]


def is_whole(value: Any) -> bool:
    """Return whether a value holds no number that is not finite, and nothing of absurd size."""
    if isinstance(value, tuple):
        return len(value) <= 1000 and all(map(is_whole, value))
    if isinstance(value, str):
        return len(value) <= 4096
    return value is None or math.isfinite(value)


@pytest.mark.parametrize("name", studies.names())
def test_a_hostile_value_is_in_range_or_refused_in_one_line(name: str) -> None:
    for experiment, config in configs_of(name):
        values = HOSTILE if experiment == "published" else {text: HOSTILE[text] for text in NUMBERS}
        for field in configs.flatten(config):
            for text, given in values.items():
                try:
                    made = configs.override(config, {field: given}, experiment)
                except InputError as error:
                    line = str(error)
                    assert line.startswith(experiment), (field, text)
                    assert "\n" not in line.replace(text, "")
                    assert len(line) < 1000, (field, text)
                else:
                    assert is_whole(configs.flatten(made)[field]), (field, text)


@pytest.mark.parametrize("name", studies.names())
def test_every_number_has_both_ends(name: str) -> None:
    study = studies.load(name)
    for offered in (study.published, study.options, study.sampling):
        for field, kind in kinds(offered) if offered is not None else ():
            for marks in numbers(kind):
                lows = [mark.low for mark in marks if isinstance(mark, Bounds)]
                highs = [mark.high for mark in marks if isinstance(mark, Bounds | Most)]
                assert math.isfinite(max(lows, default=-math.inf)), field
                assert math.isfinite(min(highs, default=math.inf)), field


@pytest.mark.parametrize("name", studies.names())
def test_a_name_that_is_close_to_a_choice_is_answered_by_it(name: str) -> None:
    study = studies.load(name)
    for field, kind in kinds(study.published):
        choices = [word for word in get_args(kind) if isinstance(word, str)]
        for word in (one for one in choices if len(one) > 2):
            near = word[:-1] + "_"
            with pytest.raises(InputError, match=f"did you mean '{word}'"):
                configs.override(study.published, {field: near})


@pytest.mark.parametrize("name", [n for n in studies.names() if studies.load(n).options])
def test_hostile_flags_of_prediction_are_refused_alike(name: str) -> None:
    offered = studies.load(name).options
    for field in configs.flatten(offered):
        for text in HOSTILE:
            with contextlib.suppress(InputError):
                made = options.flagged(offered, [f"{options.flag_of(field)}={text}"])
                assert is_whole(configs.flatten(made)[field]), (field, text)
