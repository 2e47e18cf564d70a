"""What a study lets its users choose: the fields of a frozen dataclass, described.

    @dataclass(frozen=True)
    class Options:
        seed: Annotated[int, Bounds(0), About("of what is drawn at random")] = 0

Types, bounds and `check` are those of configs (`common.study.config`). In prediction they are
options, ``--option seed=1``; where a command draws images they are its flags, ``--seed 1``.
"""

import dataclasses
import types
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from common.errors import InputError, nearest
from common.study import config as configs

FLAG = "--option"

Offered = TypeVar("Offered")  # a study's options


@dataclasses.dataclass(frozen=True)
class About:
    """What an option means, in a line."""

    text: str


def chosen(offered: Offered, given: Sequence[str]) -> Offered:
    """Return `offered` with what was given as ``name=value``; commas may separate a list's values.

    Raises:
        InputError: no ``=``, a name that is not offered or given twice, or a value that its type
            or bounds do not admit.
    """
    changes: dict[str, Any] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"{FLAG} {text}: write it as name=value")
        if name in changes:
            raise InputError(f"{FLAG} {name}: given twice; separate a list's values by commas")
        changes[name] = configs.assignment(text)[1]
        if isinstance(getattr(offered, name, None), tuple) and not isinstance(changes[name], list):
            words = [word for word in value.split(",") if word.strip()]
            changes[name] = [configs.assignment(f"{name}={word}")[1] for word in words]
    return configs.override(offered, changes, FLAG)


def described(offered: Any) -> str:
    """Return a line for each option: its name, default and meaning."""
    kinds = get_type_hints(type(offered), include_extras=True)
    lines = []
    for name, value in configs.flatten(offered).items():
        about = [mark.text for mark in get_args(kinds[name]) if isinstance(mark, About)]
        lines.append("  ".join([f"  {name}={configs.toml(value)}", *about]))
    return "\n".join(lines)


def flagged(offered: Offered, words: Sequence[str], known: Sequence[str] = ()) -> Offered:
    """Return `offered` with what was given as ``--name value`` or ``--name=value``.

    A field that may be None has that as its default only. `known` are flags that the command has
    besides, for the sake of who misspells one.

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
        if not equals and not left:
            raise InputError(f"{flag}: give a value after it")
        if names[flag] in changes:
            raise InputError(f"{flag}: given twice")
        text = text if equals else left.pop(0)
        changes[names[flag]] = _value(type(offered), names[flag], text)
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
        + ("" if value in (None, "") else f"; by default {configs.toml(value)}")
        for name, value in values.items()
    )


def _value(kind: type, name: str, text: str) -> Any:
    """Return the text of a flag as its field's type: numbers as in TOML, all else as it stands."""
    wanted, _ = _kind_and_meaning(kind, name)
    plain = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    value = text
    if plain in (bool, int, float):
        value = configs.assignment(f"{name}={text}")[1]
    return configs.checked(value, wanted, flag_of(name))


def _kind_and_meaning(kind: type, name: str) -> tuple[Any, str]:
    """Return the type of a field with its bounds, without None, and what it means."""
    wanted = get_type_hints(kind, include_extras=True)[name]
    about = " ".join(mark.text for mark in get_args(wanted) if isinstance(mark, About))
    inner = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    if get_origin(inner) in (Union, types.UnionType):
        wanted = get_args(inner)[0]
    return wanted, about
