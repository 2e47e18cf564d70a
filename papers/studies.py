"""Where studies lie and how one is found: a folder of ``papers`` that holds a ``study.py``."""

import importlib
from pathlib import Path
from typing import Any

from common.errors import InputError, nearest

ROOT = Path(__file__).parents[2]  # the folder that holds common, papers, experiments, results


def names() -> list[str]:
    """Return the names of all studies, sorted."""
    return sorted(file.parent.name for file in (ROOT / "papers").glob("*/study.py"))


def resolve(name: str) -> str:
    """Return the study called `name`, or the only one whose name begins with it.

    Raises:
        InputError: no study, or more than one, answers to `name`.
    """
    known = names()
    found = [name] if name in known else [study for study in known if study.startswith(name)]
    if len(found) > 1:
        raise InputError(f"study '{name}' is ambiguous: {', '.join(found)}")
    if not found:
        raise InputError(f"unknown study '{name}', {nearest(name, known)}")
    return found[0]


def offering(step: str) -> list[str]:
    """Return the studies whose ``study.py`` defines the step; none of them is imported."""
    defined = f"\ndef {step}("
    return [study for study in names() if defined in (folder(study) / "study.py").read_text()]


def load(study: str, module: str = "study") -> Any:
    """Import and return one module of one study; no other study is touched."""
    return importlib.import_module(f"papers.{study}.{module}")


def folder(study: str) -> Path:
    """Return the folder of a study."""
    return ROOT / "papers" / study
