"""Files come whole or not at all, and what a kill leaves goes with the next."""

import os
import resource
import threading

import pytest

from common import files
from common.errors import of_system
from tests.common.killing import kills


def test_wherever_writing_is_killed_the_old_file_or_the_new_one_is_whole(tmp_path):
    file, seen = tmp_path / "metrics.json", set()
    file.write_text("old")
    for _ in kills(lambda: files.write_atomic(file, "new"), tmp_path):
        seen.add(file.read_text())
        files.write_atomic(file, "old")
        assert os.listdir(tmp_path) == [file.name]
    assert seen == {"old"}  # the one act after the rename is none on a file
    assert file.read_text() == "new"


def test_those_who_write_one_file_take_turns(tmp_path):
    file = tmp_path / "a"
    second = threading.Thread(target=files.write_atomic, args=(file, "second"))
    with files.atomic(file) as opened:
        opened.write(b"fir")
        second.start()
        second.join(0.2)
        assert second.is_alive()
        opened.write(b"st")
    second.join()
    assert file.read_text() == "second"
    assert os.listdir(tmp_path) == ["a"]


def test_where_writing_fails_the_old_file_stays_and_the_error_names_it(tmp_path):
    file = tmp_path / "a"
    files.write_atomic(file, "old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # as a disk that is full
    try:
        with pytest.raises(OSError, match="too large") as raised:
            files.write_atomic(file, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert str(of_system(raised.value)).startswith(f"{file}: File too large; allow larger files")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_permissions_are_those_that_the_users_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        files.write_atomic(tmp_path / "a", "of a group")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_names_may_be_as_long_as_the_system_has_them(name, tmp_path):
    files.write_atomic(tmp_path / name, "content")
    assert os.listdir(tmp_path) == [name]


def test_what_a_file_holds_already_is_not_written(tmp_path):
    file = tmp_path / "a"
    files.update(file, "same")
    before = file.stat()
    files.update(file, "same")
    assert file.stat().st_ino == before.st_ino
    files.update(file, "other")
    assert file.read_text() == "other"
