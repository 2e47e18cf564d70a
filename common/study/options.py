"""What a study lets its users choose in prediction: the fields of a frozen dataclass, described.

    @dataclass(frozen=True)
    class Options:
        seed: Annotated[int, Bounds(0), About("of what is drawn at random")] = 0

Types, bounds and `check` are those of configs (`common.study.config`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from common.errors import InputError
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
