"""Results come into a folder whole, and nothing of anybody's is lost there."""

import json
import shutil
import threading

import pytest

from common.errors import InputError
from common.results import folder as results
from tests.common.killing import kills

NEW = {
    "metrics.json": "new",
    "samples.npz": "new",
    "manifest.json": json.dumps({"study": "camcan_cfg", "experiment": "demo", "n": 2}),
    "figures/two.png": "new",
    "tables/t.csv": "new",
}
OLD = {
    "metrics.json": "old",
    "manifest.json": json.dumps(
        {"study": "camcan_cfg", "experiment": "demo", "n": 1, "drawn": ["figures/one.png"]}
    ),
    "figures/one.png": "old",
    "tables/t.csv": "old",
}
MINE = {"figures/drawing.png": "mine", "tables/my.csv": "mine", "notes.txt": "mine"}


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


def replace(out, files=NEW):
    with results.replacing(out) as built:
        fill(built, files)


def test_new_results_take_the_place_of_old_ones_and_of_nothing_else(tmp_path):
    out = fill(tmp_path / "out", OLD | MINE)
    replace(out)
    assert found(out) == NEW | MINE


def test_wherever_it_is_killed_old_or_new_results_are_whole(tmp_path):
    out, seen = fill(tmp_path / "out", OLD | MINE), set()
    for number in kills(lambda: replace(out), tmp_path):
        check(out)  # as every command does that reads or writes there
        left = {name: text for name, text in found(out).items() if name[0] != "."}
        assert left in (OLD | MINE, NEW | MINE), number
        seen.add(left["metrics.json"])
        replace(out)  # which takes away what the kill left
        assert found(out) == NEW | MINE
        shutil.rmtree(out)
        fill(out, OLD | MINE)
    assert seen == {"old", "new"}
    assert found(out) == NEW | MINE


def test_where_drawing_fails_old_results_stay(tmp_path):
    out = fill(tmp_path / "out", OLD | MINE)
    with pytest.raises(TypeError):
        replace(out, {"metrics.json": "half", "manifest.json": None})
    assert found(out) == OLD | MINE


def test_two_that_write_to_a_folder_take_turns(tmp_path):
    out = fill(tmp_path / "out", OLD)
    second = threading.Thread(target=replace, args=(out, NEW | {"figures/3.png": "second"}))
    with results.replacing(out) as built:
        second.start()
        second.join(0.2)
        fill(built, NEW)
    second.join()
    assert found(out) == NEW | {"figures/3.png": "second"}


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
    names = {
        "file": "is a file; give a folder",
        "file/x": "Not a directory",
        "link": "No such file",
        "link/x": "No such file",
        f"new/{'a' * 300}/x": "name too long",
    }
    for name, reason in names.items():
        with pytest.raises(InputError, match=f"^--out .*{reason}"):
            check(tmp_path / name)
