"""A new study: the skeleton beside this file under a name of its own, whole or not at all."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import papers
from common.errors import InputError
from common.files import write_atomic
from common.pipeline.commands import Outcome
from papers import studies

SKELETON = Path(__file__).parent / "skeleton"  # laid out as the project is
NAMED = "study_name"  # in the skeleton
LONGEST = 30  # letters: the lines that hold the name then fit
PLACES = ("tests/papers", "experiments", "papers")  # the last makes it a study
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
CONTRACT = "studies never import each other"
_LIST = re.compile(rf'(name = "{CONTRACT}"\n[^\[]*modules = \[\n)([^\]]*)(\])')


def write(name: str) -> Outcome:
    """Write the study `name` and add it to the import rules of the project.

    Raises:
        InputError: no name for a study, one that is taken, or rules that are not where they were.
    """
    root = Path(papers.__path__[0]).parent
    check(name, root)
    rules = with_study((root / "pyproject.toml").read_text(), name)
    _write(root, name, rules)
    made = [f"{place}/{name}" for place in PLACES]
    lines = [
        *(f"written: {folder}" for folder in made),
        "changed: pyproject.toml, the list of studies",
        f"run it: just replicate {name}",
        f"test it: just test tests/papers/{name}",
        "what to change, step by step: docs/new_study.md",
    ]
    return Outcome(0, {"study": name, "written": made}, "\n".join(lines))


def check(name: str, root: Path) -> None:
    """Raise `InputError` where a study of the project at `root` cannot be called so."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > LONGEST:
        raise InputError(
            f"study '{name}': give a name of at most {LONGEST} small letters, digits and "
            "single underscores, such as spot_detection"
        )
    if begun := [study for study in studies.names() if study.startswith(name)]:
        raise InputError(f"study '{name}': {begun[0]} answers to it; choose another name")
    for place in (*(root / place / name for place in PLACES), root / "papers" / f"{name}.py"):
        if os.path.lexists(place):
            raise InputError(f"study '{name}': {place} is there; choose another name, or remove it")
    if name in (SKELETON.name, NAMED):
        raise InputError(f"study '{name}': the skeleton is called so; choose another name")


def with_study(rules: str, name: str) -> str:
    """Return the text of pyproject.toml with one study more in its import rules.

    Raises:
        InputError: there is no such list in it.
    """
    found = _LIST.search(rules)
    if found is None:
        raise InputError(f"pyproject.toml: no modules, one a line, of the contract '{CONTRACT}'")
    lines = sorted({*found[2].splitlines(), f'    "papers.{name}",'})
    changed = rules[: found.start(2)] + "\n".join(lines) + "\n" + rules[found.end(2) :]
    tomllib.loads(changed)
    return changed


def _write(root: Path, name: str, rules: str) -> None:
    """Put all folders into their places and change the rules; where that fails, nothing is new."""
    done: list[Path] = []
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as made:
        draft = Path(made)
        for place in PLACES:
            _copy(SKELETON / place / NAMED, draft / place / name, name)
        try:
            for place in PLACES:
                (root / place).mkdir(parents=True, exist_ok=True)
                (draft / place / name).rename(root / place / name)
                done.append(root / place / name)
            write_atomic(root / "pyproject.toml", rules)
        except BaseException:
            for folder in done:
                shutil.rmtree(folder)
            raise


def _copy(source: Path, target: Path, name: str) -> None:
    """Write all files of a folder of the skeleton with the study's name in them."""
    for file in sorted(source.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            text = file.read_text(encoding="utf-8").replace(NAMED, name)
            write_atomic(target / file.relative_to(source), text)
