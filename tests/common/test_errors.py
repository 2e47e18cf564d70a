"""What the operating system refuses becomes a line, whoever wraps it."""

import errno
import os

import pytest

from common.errors import of_system


def test_the_path_the_reason_and_what_to_do_are_said():
    line = str(of_system(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/a")))
    assert line.startswith("/data/a: No space left on device; free some space")
    assert "REPLICATIONS_HOME" in line


def wrapped():
    try:
        try:
            raise PermissionError(errno.EACCES, "Permission denied", "/other/lock")
        except PermissionError as error:
            raise RuntimeError("no lock") from error
    except RuntimeError as error:
        return error


def test_an_error_that_a_library_wraps_or_only_tells_is_found():
    assert "/other/lock: Permission denied" in str(of_system(wrapped()))
    told = ValueError('RESOURCE_EXHAUSTED: writing "zarr"\n: No space left on device')
    assert "No space left on device; free some space" in str(of_system(told))
    assert "\n" not in str(of_system(told))


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("y"), OSError(errno.EBADF, "bad")])
def test_a_fault_of_the_program_is_no_line(error):
    assert of_system(error) is None


def test_where_a_library_tells_a_path_in_many_words_the_path_comes_first():
    told = RuntimeError('Failed to write split "a": No space left on device; writing /h/data/x; at')
    assert str(of_system(told)).startswith("/h/data/x: No space left on device; free some space")


def test_whose_a_folder_is_that_may_not_be_used_is_said(monkeypatch, tmp_path):
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "new" / "x"))
    assert "belongs to" not in str(of_system(refused))
    owner = tmp_path.owner()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert f"{tmp_path} belongs to {owner}: choose" in str(of_system(refused))
