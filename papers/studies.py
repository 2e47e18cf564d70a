"""Which studies there are: folders beside this file with a ``study.py`` that defines `STUDY`."""

import importlib
from pathlib import Path
from typing import Any

import papers
from common.errors import InputError, nearest
from common.study.protocol import Study


def names() -> list[str]:
    """Return the names of all studies, sorted."""
    folder = Path(papers.__path__[0])
    return sorted(file.parent.name for file in folder.glob("*/study.py"))


def load(name: str) -> Study[Any]:
    """Return the study called `name`, or the only one whose name begins with it.

    No other study is imported.

    Raises:
        InputError: no study, or more than one, answers to `name`.
    """
    known = names()
    begun = [study for study in known if name and study.startswith(name)]
    found = [name] if name in known else begun
    if len(found) > 1:
        raise InputError(f"study '{name}' is ambiguous: {', '.join(found)}")
    if not found:
        raise InputError(f"unknown study '{name}', {nearest(name, known)}")
    return importlib.import_module(f"papers.{found[0]}.study").STUDY


def load_all() -> list[Study[Any]]:
    """Return all studies, by name."""
    return [load(name) for name in names()]
