"""A new study from the skeleton: what is written, that it passes the linters, what is refused."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common.errors import InputError
from papers import new, studies
from tests.suite.toy_project import ROOT, run

NAMES = ("spot", "a_name_of_thirty_letters_digits")  # lines around the name are short, and long


@pytest.fixture
def whole(project: Path) -> Path:
    """Return a project with the rules of the real one."""
    rules = (ROOT / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(rules)
    return project


def tree(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and "home" not in file.parts]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def refused(capsys: pytest.CaptureFixture[str], project: Path, name: str) -> str:
    """Return the one line about a name that is refused, with nothing written."""
    before = tree(project)
    status, _, told = run(capsys, "new", name)
    assert status == 2
    assert tree(project) == before
    assert not list(project.glob(".new-*"))
    (line,) = told.splitlines()
    return line


def test_a_study_is_written_listed_and_found(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(whole)
    status, out, _ = run(capsys, "new", "spot_finder")
    assert status == 0
    assert "just replicate spot_finder" in out
    assert "spot_finder" in studies.names()
    after = tree(whole)
    assert {name for name in before if after[name] != before[name]} == {"pyproject.toml"}
    written = {name.rpartition("/")[0] for name in after.keys() - before.keys()}
    assert written == {f"{place}/spot_finder" for place in new.PLACES}
    assert not any(b"study_name" in content for content in after.values())
    rules = tomllib.loads((whole / "pyproject.toml").read_text())
    (contract,) = (
        one for one in rules["tool"]["importlinter"]["contracts"] if one["name"] == new.CONTRACT
    )
    assert "papers.spot_finder" in contract["modules"]
    assert contract["modules"] == sorted(contract["modules"])


@pytest.mark.parametrize("name", [NAMES[0], NAMES[1][: new.LONGEST]])
def test_what_is_written_passes_the_linters_whatever_its_name(
    whole: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(capsys, "new", name)[0] == 0
    (whole / "common").symlink_to(ROOT / "common")
    folders = [f"{place}/{name}" for place in ("papers", "tests/papers")]
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", *folders],
            cwd=whole,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    ["", "Spot", "spot-finder", "1spot", "spot__finder", "_spot", "spöt", "class", "../spot", "a b",
     "x" * (new.LONGEST + 1)],
)  # fmt: skip
def test_a_name_that_no_package_can_have_is_refused(
    whole: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    line = refused(capsys, whole, name)
    assert line.startswith(f"error: study '{name}': give a name of at most 30 small letters")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("apricot", "apricot answers to it"),
        ("apple", "apple_one answers to it"),  # which is so called in commands
        ("skeleton", "the skeleton is called so"),
        ("study_name", "the skeleton is called so"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    whole: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    assert words in refused(capsys, whole, name)


@pytest.mark.parametrize("place", ["papers/spot", "experiments/spot", "tests/papers/spot"])
def test_nothing_that_is_there_is_overwritten(
    whole: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (whole / place).mkdir(parents=True)
    assert f"{whole / place} is there" in refused(capsys, whole, "spot")


def test_rules_without_a_list_of_studies_are_named(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole / "pyproject.toml").write_text("[project]\n")
    assert "pyproject.toml: no modules" in refused(capsys, whole, "spot")


def test_where_a_part_cannot_be_written_nothing_is(whole: Path) -> None:
    (whole / "papers" / "apricot").rename(whole / "kept")
    (whole / "experiments").rename(whole / "experiments_elsewhere")
    (whole / "experiments").write_text("a file where a folder should be")
    before = tree(whole)
    with pytest.raises(FileExistsError):
        new.write("spot")
    assert tree(whole) == before


def test_the_list_is_kept_sorted_and_each_study_is_in_it_once() -> None:
    rules = (ROOT / "pyproject.toml").read_text()
    changed = new.with_study(rules, "lemon")
    assert new.with_study(changed, "lemon") == changed
    assert len(changed.splitlines()) == len(rules.splitlines()) + 1
    with pytest.raises(InputError, match="no modules"):
        new.with_study(rules.replace(new.CONTRACT, "another"), "lemon")
