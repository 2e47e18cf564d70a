"""Results come into a folder whole, and nothing of anybody's is lost there."""

import json
import os
import shutil

import pytest

from common.errors import InputError
from common.results import folder as results

NEW = {
    "metrics.json": "new",
    "samples.npz": "new",
    "manifest.json": json.dumps({"study": "camcan_cfg", "experiment": "demo", "n": 2}),
    "figures/two.png": "new",
    "tables/t.csv": "new",
}
OLD = {
    "metrics.json": "old",
    "manifest.json": json.dumps({"study": "camcan_cfg", "experiment": "demo", "n": 1}),
    "figures/one.png": "old",
    "tables/t.csv": "old",
}
MINE = {"figures/drawing.svg": "mine", "notes.txt": "mine"}


def fill(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def found(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def check(out):
    results.check_out(out, "camcan_cfg", "demo")


def test_new_results_take_the_place_of_old_ones_and_of_nothing_else(tmp_path):
    out = fill(tmp_path / "out", OLD | MINE)
    results.install(fill(tmp_path / "built", NEW), out)
    assert found(out) == NEW | MINE
    assert not (tmp_path / "built").exists()


class Ended(BaseException):
    pass


@pytest.mark.parametrize("number", range(14))
def test_wherever_it_ends_old_or_new_results_are_whole(tmp_path, monkeypatch, number):
    out, built = fill(tmp_path / "out", OLD | MINE), fill(tmp_path / "built", NEW)
    left, replace = [number], os.replace

    def until(*where):
        if not left[0]:
            raise Ended
        left[0] -= 1
        replace(*where)

    monkeypatch.setattr(os, "replace", until)
    try:
        results.install(built, out)
    except Ended:
        monkeypatch.setattr(os, "replace", replace)
        results.recover(out)  # as every reader does
        old = json.loads((out / "manifest.json").read_text())["n"] == 1
        shutil.rmtree(out / results.COMING, ignore_errors=True)
        assert found(out) == (OLD if old else NEW) | MINE
        assert old or number > len(NEW)
        if not old:
            return
        results.install(built, out)
    assert found(out) == NEW | MINE


@pytest.mark.parametrize("files", [{"figures/fig1.png": "mine"}, {"manifest.json": "{}"}, MINE])
def test_a_folder_of_somebody_is_refused_and_stays(tmp_path, files):
    out = fill(tmp_path / "thesis", files)
    with pytest.raises(InputError, match=r"--out .*thesis: holds files that are no results"):
        check(out)
    assert found(out) == files


def test_results_of_another_experiment_are_refused(tmp_path):
    out = fill(tmp_path / "out", OLD)
    check(out)
    with pytest.raises(InputError, match=r"holds results of camcan_cfg demo, these are of .* real"):
        results.check_out(out, "camcan_cfg", "real")


def test_a_new_or_empty_folder_is_taken(tmp_path):
    check(tmp_path / "a" / "b")
    check(tmp_path)


def test_what_cannot_be_a_folder_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, reason in (("file", "is a file"), ("link", "link to nothing"), ("file/x", "written")):
        with pytest.raises(InputError, match=reason):
            check(tmp_path / name)
