"""What a run leaves in the user's home may be damaged: it is named and made again, never used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import InputError
from common.pipeline.trained import find
from papers import studies
from tests.suite.toy_project import done, edit, run, work_folder


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def gone(content: bytes) -> None:
    return None


def flipped(content: bytes) -> bytes:
    """Return a content with one letter or bit changed that leaves JSON as it was."""
    for old, new in ((b"1", b"7"), (b'"e', b'"f'), (b"a", b"b")):
        if old in content:
            return content.replace(old, new, 1)
    return bytes([content[0] ^ 1]) + content[1:]


DAMAGES = (cut, emptied, gone, flipped)
MADE_AGAIN = {
    "data.json": [],
    "prepared.json": [],
    "dataset_info.json": [],
    "*.array_record*": [],
    "encoder-*/seed_0/trained.json": ["train encoder 0"],
    "critic-*/seed_0/network.json": ["train critic 0"],
    "demo-*/seed_0/evaluated.json": ["evaluate 0"],
    "demo-*/seed_0/metrics.json": ["evaluate 0"],
    "demo-*/seed_0/samples.npz": ["evaluate 0"],
    "demo-*/seed_0/tuned.json": ["evaluate 0"],
    "demo-*/seed_0/networks.json": [],
    "networks/encoder/evaluated.json": ["measure encoder 0"],
    "networks/encoder/samples.npz": ["measure encoder 0"],
    "networks/encoder/metrics.json": ["measure encoder 0"],
}


@pytest.fixture
def finished(project: Path, capsys) -> Callable[[], Path]:
    """Return a function that replicates and returns the results."""
    study = project / "papers" / "apple_one" / "study.py"
    edit(study, '"train.log_every")),', '"train.log_every"), measured=True),')
    edit(study, "    evaluate=evaluate,\n", "    evaluate=evaluate,\n    measure=measure,\n")
    out = project / "out"

    def call() -> Path:
        status, _, err = run(capsys, "replicate", "apple", "--seeds", "1", "--out", out)
        assert status == 0, err
        return out

    return call


def numbers(results: Path) -> list[bytes]:
    return [(results / name).read_bytes() for name in ("metrics.json", "samples.npz")]


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_a_damaged_record_is_made_again_and_nothing_else(name, finished, project) -> None:
    before = numbers(finished())
    found = [file for file in (project / "home").rglob(name.rpartition("/")[2]) if file.match(name)]
    assert len(found) == 1
    for damage in DAMAGES:
        did = len(done(project, "train", "measure", "evaluate"))
        whole = found[0].read_bytes()
        content = damage(whole)
        assert content != whole
        found[0].unlink() if content is None else found[0].write_bytes(content)
        assert numbers(finished()) == before, damage
        again = done(project, "train", "measure", "evaluate")[did:]
        made, more = again[: len(MADE_AGAIN[name])], again[len(MADE_AGAIN[name]) :]
        assert made == MADE_AGAIN[name], damage
        assert not more or (made and more[-1] == "evaluate 0"), damage  # it took other seconds
        assert found[0].exists()


def test_what_is_damaged_is_told_once(finished, project, capsys) -> None:
    finished()
    (file,) = (project / "home").rglob("demo-*/seed_0/evaluated.json")
    file.write_bytes(cut(file.read_bytes()))
    capsys.readouterr()
    run(capsys, "replicate", "apple", "--seeds", "1", "--out", project / "out")
    file.write_bytes(cut(file.read_bytes()))
    _, _, err = run(capsys, "replicate", "apple", "--seeds", "1", "--out", project / "out")
    assert err.count(f"{file}: ") <= 1


@pytest.mark.parametrize("damage", [cut, emptied, flipped])
@pytest.mark.parametrize("name", ["networks.json", "tuned.json"])
def test_prediction_names_a_damaged_record(name, damage, finished, project) -> None:
    finished()
    file = work_folder(project) / "seed_0" / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=rf"seed_0/{name}: .*; train again") as error:
        find(file.parent, "apple_one", studies.load("apple_one").published)
    assert "\n" not in str(error.value)


def test_prediction_does_not_go_on_without_what_was_tuned(finished, project) -> None:
    finished()
    file = work_folder(project) / "seed_0" / "tuned.json"
    file.unlink()
    with pytest.raises(InputError, match=r"tuned\.json: missing"):
        find(file.parent, "apple_one", studies.load("apple_one").published)
