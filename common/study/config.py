"""Typed, frozen, nested configs: overriding fields by dotted name, and saying what differs.

A config is a frozen dataclass whose defaults are the published values and whose sections are
frozen dataclasses again. Overrides come from the ``[config]`` tables of an experiment file and
from ``--set section.field=value``; both are checked against the field's type and its bounds
(`common.study.schema`), and the whole once more by the ``check`` methods of its sections.
"""

import dataclasses
import functools
import hashlib
import json
import sys
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from common.errors import InputError, nearest
from common.study.schema import Logging, OnlyFor
from common.text import shortened

C = TypeVar("C")
LONGEST = {str: 4096, list: 1_000}  # characters of a text, values of a list
_DEEPEST = 8  # tables in tables


@dataclasses.dataclass(frozen=True)
class Difference:
    """One deviation from the published protocol: a dotted field with both values."""

    field: str
    published: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.field}: {toml(self.ours)} (published: {toml(self.published)})"


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return ``{"section.field": value}`` for every field of a config, in order of declaration."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, name + "."))
        else:
            flat[name] = value
    return flat


def differences(config: Any, published: Any) -> tuple[Difference, ...]:
    """Return the fields in which `config` differs from `published`: the list of deviations."""
    ours, theirs = flatten(config), flatten(published)
    return tuple(
        Difference(name, theirs[name], value)
        for name, value in ours.items()
        if value != theirs[name]
    )


def digest(*parts: Any) -> str:
    """Return 12 hexadecimal digits that identify configs, numbers, strings and lists of these.

    A field that a config's data set is not read with does not count.
    """
    plain = [_read_fields(part) if dataclasses.is_dataclass(part) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def toml(value: Any) -> str:
    """Return a config value as it is written in TOML."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value) if isinstance(value, bool | str) else str(value)


def shown(value: Any) -> str:
    """Return a value as it is written in TOML, for a line: a long one without its middle."""
    try:
        return shortened(toml(value[:40] if isinstance(value, list) else value), 80)
    except (ValueError, RecursionError):  # thousands of digits, or of lists in lists
        return f"a {type(value).__name__} beyond all measure"


def assignment(text: str) -> tuple[str, Any]:
    """Return name and value of ``section.field=value``; the value is TOML or a bare word.

    Raises:
        InputError: there is no ``=`` or no name before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--set {shortened(text)}: write it as section.field=value")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # no TOML, or beyond what Python reads
        parsed = {}
    # A string with a line break could define more than the value; it is a bare word then.
    return name.strip(), parsed["value"] if set(parsed) == {"value"} else value.strip()


def override(config: C, changes: Mapping[str, Any], where: str = "--set") -> C:
    """Return `config` with some fields replaced.

    Args:
        config: a frozen dataclass, nested.
        changes: ``{"section.field": value}``, or nested tables as TOML gives them, or both.
        where: the flag or file named in an error.

    Raises:
        InputError: an unknown field, a value that the field's type or bounds do not admit, or
            values that do not go together.
    """
    names = list(flatten(config))
    for name, value in leaves(changes):
        if value == {} and any(known.startswith(f"{name}.") for known in names):
            continue
        if name not in names:
            near = _nearest_field(name, names)
            raise InputError(f"{where} {shortened(name)}: no such field, {near}")
        config = _replaced(config, name.split("."), value, f"{where} {name}")
    try:
        check(config)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {shortened(str(error), 500)}") from None
    return config


def check(config: Any) -> None:
    """Call the ``check`` of a config and of all its sections; ValueError where one refuses."""
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(section := getattr(config, field.name)):
            check(section)
    if hasattr(config, "check"):
        config.check()


def part(config: Any, names: Iterable[str], without: Iterable[str] = ()) -> dict[str, Any]:
    """Return the fields in the sections `names`, or named by them; not `without`, not logging.

    Nor is there any that the data set is not read with.

    Raises:
        ValueError: a name that no field answers to.
    """
    flat, left_out = flatten(config), {*logging(config), *without}
    left_out |= set(flat) - set(dict(leaves(_read_fields(config))))
    if unknown := set(without) - set(flat):
        raise ValueError(f"the config has no field {min(unknown)!r}")
    chosen: dict[str, Any] = {}
    for name in names:
        inside = {key: flat[key] for key in flat if key == name or key.startswith(f"{name}.")}
        if not inside:
            raise ValueError(f"the config has no section or field {name!r}")
        chosen |= {key: value for key, value in inside.items() if key not in left_out}
    return chosen


def logging(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return the fields that change no network: how often is logged, or a checkpoint written."""
    kinds = _kinds(config.__class__)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            found |= logging(value, f"{name}.")
        elif any(isinstance(mark, Logging) for mark in get_args(kinds[field.name])[1:]):
            found[name] = value
    return found


def leaves(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of every entry of nested tables, empty ones among them."""
    for name, value in changes.items():
        if isinstance(value, Mapping) and value and prefix.count(".") < _DEEPEST:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _read_fields(config: Any) -> dict[str, Any]:
    """Return a config as nested tables, without the fields that its data set is not read with."""
    kinds = _kinds(config.__class__)
    return {
        field.name: _read_fields(value) if dataclasses.is_dataclass(value) else value
        for field in dataclasses.fields(config)
        for value in (getattr(config, field.name),)
        if all(
            config.dataset in mark.datasets
            for mark in get_args(kinds[field.name])[1:]
            if isinstance(mark, OnlyFor)
        )
    }


@functools.cache
def _kinds(config: type) -> dict[str, Any]:
    """Return the annotations of a config's fields, with their bounds."""
    return get_type_hints(config, include_extras=True)


def _nearest_field(name: str, names: list[str]) -> str:
    """Look among the fields of the section named, else everywhere, else name the sections."""
    section = name.partition(".")[0]
    if inside := [known for known in names if known.startswith(f"{section}.")]:
        return nearest(name, inside) if name != section else f"choose one of {', '.join(inside)}"
    everywhere = nearest(name, names)
    sections = {known.partition(".")[0] for known in names}
    return everywhere if everywhere.startswith("did") else nearest(section, sections)


def _replaced(config: Any, path: list[str], value: Any, where: str) -> Any:
    name, *rest = path
    if rest:
        new = _replaced(getattr(config, name), rest, value, where)
    else:
        kinds = _kinds(config.__class__)
        new = checked(value, kinds[name], where)
    return dataclasses.replace(config, **{name: new})


def checked(value: Any, kind: Any, where: str) -> Any:
    """Return `value` as the annotated type `kind`: int widens to float, a list becomes a tuple.

    Raises:
        InputError: `value` is not of that type or out of its bounds; the line begins with `where`.
    """
    origin, options = get_origin(kind), get_args(kind)
    if origin is Annotated:
        plain = checked(value, options[0], where)
        for bound in options[1:]:
            if hasattr(bound, "refusal") and (expected := bound.refusal(plain)):
                raise InputError(f"{where} = {shown(value)}: {expected}")
        return plain
    if origin is Literal:
        if any(value == option and type(value) is type(option) for option in options):
            return value
        words = [str(option) for option in options]
        near = nearest(str(value)[:100], words) if isinstance(value, str) else nearest("", words)
        raise InputError(f"{where} = {shown(value)}: not a valid value, {near}")
    if isinstance(value, str | list) and len(value) > LONGEST[type(value)]:
        raise InputError(f"{where} = {shown(value)}: expected at most {LONGEST[type(value)]:,}")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = options[:1] * len(value) if options[-1] is Ellipsis else options
        if len(kinds) == len(value):
            return tuple(checked(v, k, where) for v, k in zip(value, kinds, strict=True))
    if origin in (Union, types.UnionType):
        for option in options:
            try:
                return checked(value, option, where)
            except InputError:
                continue
    if kind is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise InputError(f"{where} = {shown(value)}: must be {_described(kind)}")


def _described(kind: Any) -> str:
    origin, options = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _described(options[0])
    if origin is tuple and options[-1] is Ellipsis:
        return f"a list such as [a, b], each {_described(options[0])}"
    if origin is tuple:
        return f"a list of {len(options)}, each {_described(options[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(_described(option) for option in options)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    return words.get(kind, str(kind))
