"""The folder outside the project: who chooses it, and what is said where nobody can."""

import sys
from pathlib import Path

import pytest

from common import paths
from common.errors import InputError

NAME = "medical-imaging-replications"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("REPLICATIONS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has Library/Caches")
@pytest.mark.parametrize("cache", [None, "", "relative/is/ignored"])
def test_without_a_choice_it_is_the_cache_folder(cache, tmp_path, monkeypatch) -> None:
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert paths.home() == tmp_path / ".cache" / NAME


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has Library/Caches")
def test_the_cache_folder_may_be_moved(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert paths.home() == tmp_path / "elsewhere" / NAME


def test_the_choice_wins_and_every_folder_lies_in_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("REPLICATIONS_HOME", "~/chosen")
    assert paths.home() == tmp_path / "chosen"
    folders = {paths.data(), paths.weights(), paths.compilation(), paths.runs()}
    assert {folder.parent for folder in folders} == {tmp_path / "chosen"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLICATIONS_HOME", "beside")
    assert paths.home() == tmp_path / "beside"


def test_no_such_user_is_one_line_that_names_the_variable(monkeypatch) -> None:
    monkeypatch.setenv("REPLICATIONS_HOME", "~no_such_user/x")
    with pytest.raises(InputError, match=r"REPLICATIONS_HOME = '~no_such_user/x': .*to a folder$"):
        paths.home()


def test_no_home_folder_at_all_is_one_line_that_names_the_variable(monkeypatch) -> None:
    def unknown(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(paths.platformdirs, "user_cache_path", unknown)
    with pytest.raises(InputError, match=r"^REPLICATIONS_HOME: could not .*to a folder$"):
        paths.home()
