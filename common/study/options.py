"""What a study lets its users choose: the fields of a frozen dataclass, described.

    @dataclass(frozen=True)
    class Options:
        seed: Annotated[int, Bounds(0), About("of what is drawn at random")] = 0

Types, bounds and `check` are those of configs (`common.study.config`). They are the flags of
`predict` and of `sample`: ``--seed 1``. What several studies offer is described here once.
"""

import dataclasses
import types
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from common.errors import InputError, nearest
from common.study import config as configs
from common.study.schema import Share

Offered = TypeVar("Offered")  # a study's options


@dataclasses.dataclass(frozen=True)
class About:
    """What an option means, in a line."""

    text: str


Threshold = Annotated[
    Share | None, About("probability from which it is predicted, 0 to 1; by default as validated")
]
Probabilities = Annotated[
    bool, About("write the probability of every pixel too, as float32; takes no value")
]


def flagged(offered: Offered, words: Sequence[str], known: Sequence[str] = ()) -> Offered:
    """Return `offered` with what was given as ``--name value`` or ``--name=value``.

    A field that is true or false takes no value, commas separate a list's, and a field that may be
    None has that as its default only. `known` are flags that the command has besides, for the sake
    of who misspells one.

    Raises:
        InputError: a word that is no flag, a flag without a value or given twice, or a value that
            its type, its bounds or all together do not admit.
    """
    names = {flag_of(field.name): field.name for field in dataclasses.fields(offered)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    left = list(words)
    while left:
        flag, equals, text = left.pop(0).partition("=")
        if flag not in names:
            raise InputError(f"{flag}: no such flag, {nearest(flag, [*names, *known])}")
        name = names[flag]
        if not equals and isinstance(getattr(offered, name), bool):
            equals, text = "=", "true"
        if not equals and not left:
            raise InputError(f"{flag}: give a value after it")
        if name in changes:
            raise InputError(f"{flag}: given twice{_separated(offered, name)}")
        changes[name] = _value(type(offered), name, text if equals else left.pop(0))
    made = dataclasses.replace(offered, **changes)  # type: ignore[type-var]
    try:
        configs.check(made)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None
    return made


def flag_of(name: str) -> str:
    """Return how a field is given as a flag."""
    return f"--{name.replace('_', '-')}"


def described_flags(offered: Any) -> str:
    """Return a line for each flag: its name, its default unless it is none or empty, meaning."""
    values = configs.flatten(offered)
    width = max(map(len, values)) + 2
    return "\n".join(
        f"  {flag_of(name):{width}}  {_kind_and_meaning(type(offered), name)[1]}"
        + (
            ""
            if value is False or value in (None, "", ())
            else f"; by default {configs.toml(value)}"
        )
        for name, value in values.items()
    )


def _value(kind: type, name: str, text: str) -> Any:
    """Return the text of a flag as its field's type: numbers as in TOML, all else as it stands."""
    wanted, _ = _kind_and_meaning(kind, name)
    plain = _plain(wanted)
    value: Any = text
    if plain in (bool, int, float):
        value = configs.assignment(f"{name}={text}")[1]
    elif get_origin(plain) is tuple:
        parts = [word.strip() for word in text.split(",") if word.strip()]
        numbers = _plain(get_args(plain)[0]) in (int, float)
        value = [configs.assignment(f"{name}={one}")[1] if numbers else one for one in parts]
    return configs.checked(value, wanted, flag_of(name))


def _plain(kind: Any) -> Any:
    """Return a type without its bounds."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _separated(offered: Any, name: str) -> str:
    is_list = isinstance(getattr(offered, name), tuple)
    return "; separate a list's values by commas" if is_list else ""


def _kind_and_meaning(kind: type, name: str) -> tuple[Any, str]:
    """Return the type of a field with its bounds, without None, and what it means."""
    wanted = get_type_hints(kind, include_extras=True)[name]
    about = " ".join(mark.text for mark in get_args(wanted) if isinstance(mark, About))
    inner = _plain(wanted)
    if get_origin(inner) in (Union, types.UnionType):
        wanted = get_args(inner)[0]
    return wanted, about
