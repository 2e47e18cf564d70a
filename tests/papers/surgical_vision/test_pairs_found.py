"""Pairs of photographs: nothing in their folder is left out or merged without a word."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from papers.surgical_vision import pairs_layout


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file, "PNG")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for side in ("Before", "AFTER"):
        for name in ("ann.png", "bob.PNG"):
            write(tmp_path / side / name)
    (tmp_path / "Labels.CSV").write_text("name,eyes,nose,chin\nann,1.0,0,0\nbob.png,0,1,NA")
    return tmp_path


def test_folders_and_tables_are_found_in_any_case(raw):
    found = pairs_layout.listing(raw)
    assert [(entry.name, entry.domains) for entry in found.entries] == [
        ("ann", (True, False, False))
    ]
    assert found.bad == ["bob: chin is missing (line 3 of Labels.CSV)"]
    assert len(found.files) == 5


def test_all_that_lies_there_is_accounted_for(raw):
    write(raw / "cid.png")
    write(raw / "Before" / "more" / "cid.png")
    (raw / "Before" / "cid.bmp").touch()
    (raw / "Before" / "notes.txt").touch()
    (raw / "Before" / ".DS_Store").touch()
    found = pairs_layout.listing(raw)
    assert sorted(found.bad) == [
        "Before/cid.bmp: is no photo of a kind that is read; save it as JPEG or PNG",
        "Before/more/cid.png: lies outside of before/ and after/; put it into one",
        "bob: chin is missing (line 3 of Labels.CSV)",
        "cid.png: lies outside of before/ and after/; put it into one",
    ]
    assert sorted(found.ignored) == [
        "Before/.DS_Store: hidden",
        "Before/notes.txt: of another kind",
    ]


def test_pairs_and_patients_that_differ_only_in_case_or_zeros_are_bad(raw):
    for side in ("Before", "AFTER"):
        for name in ("Ann.png", "1.png", "2.png", "3.png"):
            write(raw / side / name)
    rows = ["ann,1,0,0,a", "Ann,1,0,0,b", "1,1,0,0,x7", "2,1,0,0,X07", "3,1,0,0,n/a"]
    (raw / "Labels.CSV").write_text("\n".join(["name,eyes,nose,chin,patient", *rows]))
    found = pairs_layout.listing(raw)
    assert [(entry.name, entry.patient) for entry in found.entries] == [("3", "3")]
    assert sorted(line.partition(";")[0] for line in found.bad) == [
        "1: its patient 'x7' is 'X07' elsewhere in labels.csv",
        "2: its patient 'X07' is 'x7' elsewhere in labels.csv",
        "Ann: ann is there too",
        "ann: Ann is there too",
        "bob: has no row in Labels.CSV",
    ]


def test_two_folders_of_one_name_are_refused(raw):
    write(raw / "before" / "cid.png")
    with pytest.raises(InputError, match="both Before and before are there; keep one"):
        pairs_layout.listing(raw)
