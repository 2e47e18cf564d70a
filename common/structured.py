"""TOML and JSON files of whatever content: read whole, or refused in a line."""

import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import InputError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; :func:`read_json` says what is refused."""
    return _read(path, "valid TOML", tomllib.loads, "correct it")


def read_json(path: Path, remedy: str = "correct it") -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Args:
        path: of the file.
        remedy: what the user can do about a damaged one.

    Raises:
        InputError: the file is not there or cannot be read, is no UTF-8, does not follow the
            syntax, holds nesting or numbers beyond all measure, or something else than an object.
    """
    return _read(path, "JSON", json.loads, remedy)


def dumps(content: Any) -> str:
    """Return JSON that every program reads, in ASCII; numbers that are not finite become null."""
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _read(path: Path, kind: str, parse: Callable[[str], Any], remedy: str) -> dict[str, Any]:
    try:
        content = parse(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise InputError(f"{path}: not {kind}: no UTF-8 in line {line}; {remedy}") from None
    except RecursionError:
        raise InputError(f"{path}: not {kind}: nested too deeply; {remedy}") from None
    except ValueError as error:  # syntax, or a whole number of thousands of digits
        raise InputError(f"{path}: not {kind}: {error}; {remedy}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object of names and values; {remedy}")
    return content


def require(content: Any, shape: Any, where: str) -> None:
    """Raise `InputError` unless a part of a file is of a shape; the line begins with `where`.

    A shape is a type, a dictionary of shapes by name (more names may be there), or a list that
    holds the shape of each of its values.
    """
    kind: type = shape if isinstance(shape, type) else type(shape)
    if not issubclass(type(content), kind):
        words = {dict: "names and values", list: "a list", str: "a text", bool: "true or false"}
        raise InputError(f"{where}: must be {words.get(kind, kind.__name__)}")
    if isinstance(shape, dict):
        for name, inner in shape.items():
            if name not in content:
                raise InputError(f"{where}: {name} is missing")
            require(content[name], inner, f"{where}: {name}")
    if isinstance(shape, list):
        for index, value in enumerate(content):
            require(value, shape[0], f"{where}: entry {index}")
