"""docs/new_study.md: the page is executed, from the first command to the verdict."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.suite.toy_project import ROOT

PAGE = ROOT / "docs" / "new_study.md"
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = [sys.executable, "-P", "-m"]
OURS = ("papers/ideal_observer", "tests/papers/ideal_observer")
LINT = (
    [*MODULE, "ruff", "check", "--no-cache", *OURS],
    [*MODULE, "ruff", "format", "--check", "--no-cache", *OURS],
    [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
)  # mypy takes minutes; the skeleton is under it as part of `papers`


class Block(NamedTuple):
    """A command, a whole file, or a change of one."""

    kind: str
    file: str
    text: str


pytestmark = pytest.mark.timeout(1800)  # a study is made, trained and tested
BLOCKS = [Block(*found) for found in BLOCK.findall(PAGE.read_text())]


def changed(text: str, change: str) -> str:
    """Return a text after a change, whose lines begin with "-", "+" or a space."""
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"the page changes what is not there, or twice:\n{old}"
    return text.replace(old, new)


def do(project: Path, command: str) -> str:
    """Run a command of the page in the project; return what it printed."""
    program, *words = shlex.split(command)
    if program == "rm":
        runs = [["rm", *words]]
    elif words[:1] == ["lint"]:
        runs = list(LINT)
    elif words[:1] == ["test"]:
        runs = [[*MODULE, "pytest", "-q", "-p", "no:cacheprovider", *words[1:]]]
    else:
        assert program == "just"
        runs = [[*MODULE, "papers", *words]]
    told = ""
    for one in runs:
        environment = {
            **os.environ,
            "PYTHONPATH": str(project),
            "REPLICATIONS_HOME": str(project / "home"),
            "JAX_PLATFORMS": "cpu",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            one, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        told += done.stdout
    return told


def rows(project: Path, table: str) -> list[dict[str, str]]:
    file = project / "papers" / "ideal_observer" / "results" / "demo" / "tables" / f"{table}.csv"
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project after all that the page does."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("common", "uv.lock"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(
        ROOT / "papers",
        folder / "papers",
        ignore=shutil.ignore_patterns("results", "networks", "__pycache__"),
    )
    (folder / "experiments").mkdir()
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    for block in BLOCKS:
        if block.kind == "sh":
            for command in block.text.splitlines():
                do(folder, command)
        elif block.kind == "diff":
            file = folder / block.file
            file.write_text(changed(file.read_text(), block.text))
        else:
            (folder / block.file).write_text(block.text)
    return folder


def test_every_block_of_the_page_is_a_command_a_file_or_a_change() -> None:
    assert PAGE.read_text().count("```") == 2 * len(BLOCKS)
    assert all((block.kind == "sh") != bool(block.file) for block in BLOCKS)
    assert {block.kind for block in BLOCKS} == {"sh", "diff", "toml", "python"}


def test_the_study_ends_with_the_verdicts_that_the_page_tells(project: Path) -> None:
    (number,) = rows(project, "comparison")
    assert number["number"] == "AUROC of the ideal observer"
    assert number["verdict"] == "agrees"
    words = [claim["verdict"].partition(",")[0] for claim in rows(project, "claims")]
    assert words == ["supported", "supported"]


def test_few_images_are_those_of_demo_but_for_their_number(project: Path) -> None:
    results = project / "papers" / "ideal_observer" / "results"
    demo, few = (
        json.loads((results / name / "manifest.json").read_text()) for name in ("demo", "few")
    )
    assert few["config"]["data"].pop("images") == 200
    assert demo["config"]["data"].pop("images") == 2000
    assert few["config"] == demo["config"]
    assert not few["dataset"]["stand_in"]


def test_links_of_the_page_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link
