"""The command line's predict: what studies offer, and what they let users choose."""

import json
from pathlib import Path

import pytest

from tests.suite.toy_project import edit, run

PREDICT = """
from common.data.finder import Account
from common.data.user_files import Rows


def predict(checkpoint, source, out, skip_bad):
    print("a library speaks")
    rows = [{"file": source.name, "marked": 7, "ml": None, "written": [str(out / "a.png")]}]
    return Rows(rows, Account(1, ("b.png: damaged",), ("notes.txt: of another kind",)))


STUDY = Study(
    predict=predict,"""


def test_predict_prints_what_a_study_found_and_names_those_that_can(project: Path, capsys) -> None:
    where = ["--checkpoint", "runs", "--input", "scan.png", "--out", "found"]
    status, _, err = run(capsys, "predict", "apple", *where)
    assert (status, err) == (2, "error: predict apple_one: not offered by this study; none does\n")
    edit(project / "papers" / "apricot" / "study.py", "STUDY = Study(", PREDICT)
    status, _, err = run(capsys, "predict", "apple", *where)
    assert status == 2
    assert "not offered by this study; apricot offers it" in err
    status, out, _ = run(capsys, "predict", "apricot", *where)
    assert status == 0
    assert out.splitlines()[:3] == [
        "| file | marked | ml |", "| --- | --- | --- |", "| scan.png | 7 | – |"
    ]  # fmt: skip
    status, out, _ = run(capsys, "predict", "apricot", *where, "--json")
    assert json.loads(out)["files"][0]["written"] == ["found/a.png"]
    assert json.loads(out)["input"] == {
        "read": 1, "bad": ["b.png: damaged"], "ignored": ["notes.txt: of another kind"]
    }  # fmt: skip
    status, _, err = run(capsys, "predict", "apricot", *where[:4])
    assert (status, err.count("\n")) == (2, 1)
    assert "required: --out" in err


OPTIONS = """
from dataclasses import dataclass
from typing import Annotated
from common.study.options import About


@dataclass(frozen=True)
class Options:
    depth: Annotated[int, About("how deep to look")] = 1


def predict(checkpoint, source, out, skip_bad, options):
    return [{"file": source.name, "depth": options.depth, "written": []}]


STUDY = Study(
    predict=predict,
    options=Options(),"""


def test_a_study_offers_options_of_its_prediction(project: Path, capsys) -> None:
    where = ["--checkpoint", "runs", "--input", "scan.png", "--out", "found"]
    edit(project / "papers" / "apple_one" / "study.py", "STUDY = Study(", PREDICT)
    edit(project / "papers" / "apricot" / "study.py", "STUDY = Study(", OPTIONS)
    assert run(capsys, "predict", "apple", *where)[0] == 0
    assert run(capsys, "predict", "apple", *where, "--depth", "2") == (
        2, "", "error: --depth: no such flag; predict apple_one has none of its own\n"
    )  # fmt: skip
    assert "| scan.png | 1 |" in run(capsys, "predict", "apricot", *where)[1]
    assert "| scan.png | 2 |" in run(capsys, "predict", "apricot", *where, "--depth", "2")[1]
    for word, meant in (("--deph", "--depth"), ("--inputt", "--input"), ("--cvs", "--csv")):
        assert run(capsys, "predict", "apricot", *where, word, "2") == (
            2, "", f"error: {word}: no such flag, did you mean '{meant}'?\n"
        )  # fmt: skip
    with pytest.raises(SystemExit) as end:
        run(capsys, "predict", "apricot", "--help")
    told = capsys.readouterr().out
    assert end.value.code == 0
    assert told.endswith("flags of predict apricot:\n  --depth  how deep to look; by default 1\n")
    with pytest.raises(SystemExit):
        run(capsys, "predict", "--help")
    assert "[flags of the study]" in capsys.readouterr().out


def test_what_was_found_is_written_as_a_table_too(project: Path, capsys) -> None:
    edit(project / "papers" / "apricot" / "study.py", "STUDY = Study(", PREDICT)
    where = ["--checkpoint", "runs", "--input", "scan.png", "--out", "found"]
    table = project / "tables" / "found.csv"
    assert run(capsys, "predict", "apricot", *where, "--csv", str(table))[0] == 0
    assert table.read_text() == "file,marked,ml\nscan.png,7,\n"
    assert run(capsys, "predict", "apricot", *where, "--csv", str(table))[0] == 0  # its own
    table.write_text("somebody's")
    status, _, err = run(capsys, "predict", "apricot", *where, "--csv", str(table))
    assert (status, "is there, and not as it was written here" in err) == (2, True)
    assert table.read_text() == "somebody's"
    status, _, err = run(capsys, "predict", "apricot", *where, "--csv", str(project))
    assert (status, err) == (2, f"error: --csv {project}: is a folder; give a file\n")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("quantum", "no such device, choose cpu, gpu, or cuda:N as cuda:0"),
        ("cuda:x", "no such device, choose cpu, gpu, or cuda:N as cuda:0"),
    ],
)
def test_a_device_that_there_is_not_is_one_line(
    device: str, message: str, project: Path, capsys
) -> None:
    edit(project / "papers" / "apricot" / "study.py", "STUDY = Study(", PREDICT)
    where = ["--checkpoint", "runs", "--input", "scan.png", "--out", "found"]
    assert run(capsys, "predict", "apricot", *where, "--device", device) == (
        2, "", f"error: --device {device}: {message}\n"
    )  # fmt: skip
    assert run(capsys, "predict", "apricot", *where, "--device", "cpu")[0] == 0
