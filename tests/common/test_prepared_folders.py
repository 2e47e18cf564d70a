"""Folders of prepared data: whole or not there, and made again where they are damaged."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from common.data import builder, folders
from common.errors import InputError
from common.results.cache import cached


def write_small(draft: Path) -> dict:
    examples = {
        f"k{i}": {"x": np.full((2, 3), i / 7, np.float32), "name": f"n{i}"} for i in range(5)
    }
    builder.write("small", draft, {"train": examples, "test": {"k9": examples["k1"]}})
    return {"made": draft.name}


def test_a_folder_is_made_once_for_one_identity(tmp_path):
    calls = []

    def make(draft):
        calls.append(draft)
        (draft / f"file{len(calls)}").touch()
        return {"n": len(calls)}

    folder = tmp_path / "data" / "set-1"
    record = folders.prepare_once(folder, {"config": "a", "raw": "r"}, make)
    assert folders.prepare_once(folder, {"config": "a", "raw": "r"}, make) == record
    assert folders.prepare_once(folder, {"config": "a"}, make) == record
    assert len(calls) == 1
    assert folders.prepare_once(folder, {"config": "a", "raw": "other"}, make)["n"] == 2
    assert sorted(path.name for path in folder.iterdir()) == ["file2", folders.RECORD]


@pytest.mark.parametrize("record", [None, "", "{}", "[1]", '{"identity": 3}'])
def test_a_prepared_folder_whose_record_is_gone_or_damaged_is_made_again(tmp_path, record):
    def make(draft):
        (draft / "set").mkdir()
        (draft / "set" / "set-train.array_record-00000-of-00001").write_text("x")
        return {"n": 1}

    folder = tmp_path / "set-1"
    whole = folders.prepare_once(folder, {"config": "a"}, make)
    cached(folder / "features", "real", "k", lambda: {"features": np.ones(2)})
    (folder / folders.RECORD).unlink()
    if record is not None:
        (folder / folders.RECORD).write_text(record)
    assert folders.prepare_once(folder, {"config": "a"}, make) == whole
    assert sorted(path.name for path in folder.iterdir()) == [folders.RECORD, "set"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="is not a prepared data set"):
        folders.prepare_once(tmp_path, {}, write_small)
    assert (tmp_path / "mine").exists()


def test_a_failed_preparation_leaves_nothing(tmp_path):
    def fail(draft):
        (draft / "half").touch()
        raise InputError("bad")

    with pytest.raises(InputError, match="bad"):
        folders.prepare_once(tmp_path / "set", {}, fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_killed_preparation_is_begun_again(tmp_path):
    def die(draft):
        (draft / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    folder = tmp_path / "set"
    child = os.fork()
    if not child:
        folders.prepare_once(folder, {}, die)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert list(tmp_path.glob(".set.incomplete/half"))
    assert not folder.exists()
    folders.prepare_once(folder, {}, write_small)
    assert len(builder.read("small", folder, "train")) == 5
    assert not list(tmp_path.glob("**/half"))


def swapped(folder: Path) -> None:
    (first, second), spare = sorted(folder.rglob("*.array_record*")), folder.parent / "spare"
    os.replace(first, spare)
    os.replace(second, first)
    os.replace(spare, second)


def changed(name: str, change):
    def damage(folder: Path) -> None:
        (file,) = folder.rglob(name)
        content = change(file.read_bytes())
        file.unlink() if content is None else file.write_bytes(content)

    return damage


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        changed("*train.array_record*", flipped),
        changed("*test.array_record*", lambda content: content[:-20]),
        changed("*test.array_record*", lambda _: None),
        changed("dataset_info.json", lambda _: b""),
        changed("features.json", lambda content: content.replace(b"2", b"3", 1)),
        changed("prepared.json", lambda content: content.replace(b'"k"', b'"l"')),
        swapped,
    ],
)
def test_whatever_is_damaged_is_named_and_all_is_made_again(tmp_path, capsys, damage):
    folder = tmp_path / "set-1"
    whole = folders.prepare_once(folder, {"config": "k"}, write_small)
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert folders.prepare_once(folder, {"config": "k"}, write_small) == whole
    assert capsys.readouterr().err == ""
    damage(folder)
    assert folders.prepare_once(folder, {"config": "k"}, write_small) == whole
    (told,) = capsys.readouterr().err.splitlines()
    assert str(folder) in told
    assert told.endswith("; the data is prepared again")
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_cannot_be_made_again_stays(tmp_path):
    folder = tmp_path / "set-1"
    folders.prepare_once(folder, {}, write_small)
    (folder / folders.RECORD).write_text("{")

    def fail(draft):
        raise InputError("raw files are gone")

    with pytest.raises(InputError, match="are gone"):
        folders.prepare_once(folder, {}, fail)
    assert len(list(folder.rglob("*.array_record*"))) == 2


def test_a_set_is_found_by_its_content_and_a_damaged_one_is_none(tmp_path):
    for name in "ab":
        folders.prepare_once(tmp_path / name, {}, lambda draft, name=name: {"content_hash": name})
    assert folders.holding(tmp_path, "b") == (tmp_path / "b", {"content_hash": "b"})
    assert folders.holding(tmp_path, "c") is None
    (tmp_path / "b" / folders.RECORD).write_text('{"made": {"content_hash": "b"}}')
    assert folders.holding(tmp_path, "b") is None
