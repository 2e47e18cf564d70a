"""The command line's sample and regenerate: flags that studies offer, and what comes back."""

import json
from pathlib import Path

import pytest

from tests.suite.toy_project import edit, run

OFFERED = """
from dataclasses import dataclass
from typing import Annotated
from common.study.options import About
from common.study.protocol import Regenerated
from common.study.schema import Count


@dataclass(frozen=True)
class Sampling:
    label: Annotated[str, About("what is drawn")] = "seed"
    canny_low: Annotated[Count | None, About("of edges")] = None


def sample(checkpoint, out, choice):
    print("a library speaks")
    return [{"film": choice.label, "low": choice.canny_low, "from": str(checkpoint),
             "written": [str(out / "a.png")]}]


def regenerate(lineage, checkpoint):
    again = json.loads(lineage.read_text())["again"]
    return Regenerated("ab", again, () if again == "ab" else ("seed: 1, now 2",), "a note")


STUDY = Study(
    sample=sample,
    sampling=Sampling(),
    regenerate=regenerate,"""


@pytest.fixture
def offered(project: Path) -> Path:
    """Return the project, whose study apricot draws."""
    edit(project / "papers" / "apricot" / "study.py", "STUDY = Study(", OFFERED)
    return project


def test_flags_of_the_study_are_flags_of_the_command(offered: Path, capsys) -> None:
    status, out, _ = run(capsys, "sample", "apricot", "--label", "stone", "--out", "films",
                         "--canny-low=3", "--checkpoint", "runs", "--json")  # fmt: skip
    assert status == 0
    assert json.loads(out) == {
        "study": "apricot",
        "out": "films",
        "files": [{"film": "stone", "low": 3, "from": "runs", "written": ["films/a.png"]}],
    }
    status, out, _ = run(capsys, "sample", "apri", "--out", "films", "--checkpoint", "runs")
    assert status == 0
    assert out.splitlines() == [
        "| film | low | from |", "| --- | --- | --- |", "| seed | – | runs |", "",
        "Written: films",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("apricot --out o --labl x", "--labl: no such flag, did you mean '--label'?"),
        (
            "apricot --out o --chekpoint x",
            "--chekpoint: no such flag, did you mean '--checkpoint'?",
        ),
        ("apricot --out o --canny-low 0", "--canny-low = 0: expected at least 1"),
        ("apricot --out o --canny-low", "--canny-low: give a value after it"),
        ("apricot --out o x", "x: no such flag, choose one of --canny-low, --checkpoint"),
        ("apricot --label x", "required: --out"),
        ("apple --out o", "sample apple_one: not offered by this study; apricot offers it"),
        ("--label x apricot --out o", "unknown study 'x'"),
        ("pear --out o", "unknown study 'pear'"),
    ],
)
def test_bad_flags_are_one_line(words: str, named: str, offered: Path, capsys) -> None:
    status, out, err = run(capsys, "sample", *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert named in err


def test_help_shows_the_flags_of_the_study(offered: Path, capsys) -> None:
    for words, ending in (
        (
            ("apricot",),
            '  --label      what is drawn; by default "seed"\n  --canny-low  of edges\n',
        ),
        (("apple",), "sample is not offered by apple_one\n"),
        ((), ""),
    ):
        with pytest.raises(SystemExit) as end:
            run(capsys, "sample", *words, "--help")
        told = capsys.readouterr().out
        assert end.value.code == 0
        assert told.endswith(ending)
        assert "usage: python -m papers sample STUDY [--checkpoint PATH] --out DIR" in told


def test_a_lineage_leads_to_its_study_and_the_status_says_whether_it_is_the_same(
    offered: Path, capsys
) -> None:
    file = offered / "film.json"
    file.write_text(json.dumps({"engine": {"study": "apricot"}, "again": "ab"}))
    status, out, _ = run(capsys, "regenerate", file)
    assert (status, out) == (0, f"{file}: the same film to the byte\na note\n")
    inner = {"engine": {"study": "apricot"}}
    file.write_text(json.dumps({"lineage": inner, "again": "cd"}))
    status, out, _ = run(capsys, "regenerate", file)
    assert (status, out.splitlines()) == (
        1, [f"{file}: another film: ab, now cd", "differs: seed: 1, now 2", "a note"]
    )  # fmt: skip
    status, out, _ = run(capsys, "regenerate", file, "--json")
    assert status == 1
    assert json.loads(out) == {
        "before": "ab", "now": "cd", "differences": ["seed: 1, now 2"], "note": "a note",
        "same": False,
    }  # fmt: skip
    file.write_text(json.dumps({"engine": {"study": "apple_one"}}))
    status, _, err = run(capsys, "regenerate", file)
    assert status == 2
    assert "regenerate apple_one: not offered by this study; apricot offers it" in err
    for content in ("", "[]", "{}", '{"engine": 3}', '{"lineage": null}'):
        file.write_text(content)
        status, _, err = run(capsys, "regenerate", file)
        assert (status, err.count("\n")) == (2, 1)
        assert "film.json: not a lineage" in err
