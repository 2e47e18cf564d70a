"""What lies in a folder: every entry is a file to be had, ignored, or bad; none is lost."""

import os
from pathlib import Path

import numpy as np
import pytest

from common.data import finder
from common.data.copies import Copies
from common.data.finder import Account, look
from common.errors import InputError


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def names(seen: finder.Seen) -> list[str]:
    return sorted(map(seen.name, seen.files))


def test_every_entry_is_accounted_for(tmp_path):
    write(tmp_path, "a.png", "b/c.txt", ".hidden", "b/._c.txt", ".git/x", "b/Thumbs.db")
    write(tmp_path, "__MACOSX/b/c.txt", "b/desktop.ini", "x.png/inside.png")
    os.mkfifo(tmp_path / "pipe.png")
    seen = look(tmp_path)
    assert names(seen) == ["a.png", "b/c.txt", "x.png/inside.png"]
    assert sorted(seen.ignored) == [
        ".git: hidden",
        ".hidden: hidden",
        "__MACOSX: of the system",
        "b/._c.txt: hidden",
        "b/Thumbs.db: of the system",
        "b/desktop.ini: of the system",
        "pipe.png: not regular",
    ]
    others = seen.others([tmp_path / "a.png"])
    rest = ["b/c.txt: of another kind", "x.png/inside.png: of another kind"]
    assert sorted(others) == sorted([*seen.ignored, *rest])


def test_linked_folders_are_entered_once(tmp_path):
    root = tmp_path / "root"
    write(tmp_path, "store/p2/b.png", "root/p1/a.png", "root/.cache/c.png")
    (root / "p2").symlink_to(tmp_path / "store" / "p2")
    (root / "p2 again").symlink_to(tmp_path / "store" / "p2")
    (root / "a link to p1").symlink_to(root / "p1")
    (root / "of the cache").symlink_to(root / ".cache")
    seen = look(root)
    assert names(seen) == ["of the cache/c.png", "p1/a.png", "p2/b.png"]
    assert seen.ignored == [
        ".cache: hidden",
        f"a link to p1: {finder.READ}",
        f"p2 again: {finder.READ}",
    ]


def test_links_in_circles_end(tmp_path):
    root = tmp_path / "root"
    write(root, "a/b/c.png")
    (root / "a" / "b" / "self").symlink_to(root / "a" / "b")
    (root / "up").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    write(tmp_path, "other/d.png")
    (root / "other").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(root)
    seen = look(root)
    assert names(seen) == ["a/b/c.png", "other/d.png"]
    assert sorted(seen.ignored) == [
        f"{name}: {finder.READ}" for name in ("a/b/self", "other/back", "up")
    ]


def test_links_to_nowhere_are_files_that_whoever_wants_them_finds_bad(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    assert names(look(tmp_path)) == ["gone.png", "round.png"]


def test_a_folder_that_cannot_be_entered_is_bad(tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "b/1.png")
    entered = os.scandir

    def scandir(folder):
        if Path(folder).name == "b":
            raise PermissionError(13, "Permission denied")
        return entered(folder)

    if os.geteuid():
        (tmp_path / "b").chmod(0)
    else:  # nothing is closed to the superuser
        monkeypatch.setattr(os, "scandir", scandir)
    seen = look(tmp_path)
    (tmp_path / "b").chmod(0o700)
    assert names(seen) == ["a/1.png"]
    assert seen.bad == ["b: cannot be entered (Permission denied)"]


def test_a_name_in_any_case_is_found_unless_it_is_there_twice(tmp_path):
    write(tmp_path, "Before/1.png", "x/2.png")
    seen = look(tmp_path)
    assert seen.only(seen.folders(tmp_path), "before") == tmp_path / "Before"
    assert seen.only(seen.folders(tmp_path), "after") is None
    write(tmp_path, "before/1.png")
    seen = look(tmp_path)
    with pytest.raises(InputError, match="both Before and before are there; keep one"):
        seen.only(seen.folders(tmp_path), "before")


def test_a_folder_that_is_none_is_refused_by_its_flag(tmp_path):
    with pytest.raises(InputError, match=r"--raw .*nowhere: no such folder"):
        look(tmp_path / "nowhere")


def test_an_account_counts_by_reason():
    account = Account(3, ("a: damaged",), ("b: hidden", "c: hidden", "d: of another kind"))
    assert str(account) == "3 files read, 1 bad, 3 ignored (2 hidden, 1 of another kind)"
    assert str(Account(1)) == "1 file read, 0 bad, 0 ignored"


def test_what_shows_the_same_is_told_by_its_first_name():
    copies, image = Copies(), np.arange(6, dtype=np.uint8)
    assert copies.first("a", image) == "a"
    assert copies.first("b", image.astype(np.uint16)) == "b"
    assert copies.first("c", image.reshape(2, 3)) == "c"
    assert copies.first("d", image[::-1]) == "d"
    assert copies.first("e", image.copy()) == "a"
