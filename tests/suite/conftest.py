"""A whole project in a temporary folder, with two studies that take milliseconds."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import papers
from tests.suite.toy_project import TOY, forget


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a project with the studies ``apple_one`` and ``apricot``."""
    for study in ("apple_one", "apricot"):
        folder = tmp_path / "papers" / study
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for file in TOY.glob("*.*"):
            shutil.copy(file, folder)
        shutil.copytree(TOY / "experiments", tmp_path / "experiments" / study)
    (tmp_path / "uv.lock").write_text("locked\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    monkeypatch.setattr(papers, "__path__", [str(tmp_path / "papers")])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second is seen
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    forget()
    yield tmp_path
    forget()
