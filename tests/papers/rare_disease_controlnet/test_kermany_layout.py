"""The children's films in the published layout, and the leak of the published split."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from common.errors import InputError
from papers.rare_disease_controlnet import kermany_layout
from tests.papers.rare_disease_controlnet.film_files import write

FILMS = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0115-0001-0002.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "train/PNEUMONIA/person2_virus_3.jpeg",
    "val/NORMAL/IM-0200-0001.jpeg",
    "val/PNEUMONIA/person8_bacteria_9.jpeg",
    "test/NORMAL/IM-0001-0001.jpeg",
    "test/PNEUMONIA/person1_virus_6.jpeg",
    "test/PNEUMONIA/person1_virus_7.JPG",
    "test/PNEUMONIA/person3_virus_8.jpeg",
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name in FILMS:
        write(tmp_path / "raw" / "chest_xray" / name)
    return tmp_path / "raw"


def test_findings_and_patients_are_those_of_the_names(raw):
    found = kermany_layout.listing(raw)
    assert found.bad == []
    entries = {entry.name: entry for entry in found.entries}
    assert len(entries) == len(FILMS)
    assert entries["person1_bacteria_2"].findings == ("bacterial pneumonia",)
    assert entries["person2_virus_3"].findings == ("viral pneumonia",)
    assert entries["IM-0115-0001"].findings == ()
    normals = [entry.patient for entry in found.entries if not entry.findings]
    assert normals == ["IM-0115", "NORMAL2-IM-0115", "IM-0200", "IM-0001"]
    assert entries["person1_virus_7"].patient == entries["person1_bacteria_1"].patient == "person1"
    assert {entry.view for entry in found.entries} == {"AP"}
    parts = Counter(entry.part for entry in found.entries)
    assert parts == {"train": 7, "test": 4}
    assert kermany_layout.listing(raw / "chest_xray").entries == found.entries


def test_the_leak_of_the_published_split_is_counted(raw):
    found = kermany_layout.listing(raw)
    assert kermany_layout.leak(found.entries) == {
        "patients": 8,
        "train": 6,
        "test": 3,
        "both": 1,
        "test_films": 4,
        "leaked_test_films": 2,
    }
    assert found.notes == ["1 of 8 patients in the published train and test part"]
    assert kermany_layout.leak([])["both"] == 0


def test_other_names_and_names_met_twice_are_bad(raw):
    root = raw / "chest_xray"
    write(root / "train/PNEUMONIA/person5_fungus_1.jpeg")
    write(root / "train/NORMAL/person5_virus_1.jpeg")
    write(root / "test/PNEUMONIA/person2_virus_3.jpeg")
    (root / "train/NORMAL/.DS_Store").write_bytes(b"of a Mac")
    (root / "train/NORMAL/IM-0116-0001.jpeg").mkdir()
    found = kermany_layout.listing(raw)
    assert {Path(name).stem for name in FILMS} - {entry.name for entry in found.entries} == {
        "person2_virus_3"
    }
    assert sorted(found.bad) == [
        "test/PNEUMONIA/person2_virus_3.jpeg: another film has this name; keep one",
        "train/NORMAL/person5_virus_1.jpeg: not named as published, IM-<n>-<n>",
        "train/PNEUMONIA/person2_virus_3.jpeg: another film has this name; keep one",
        "train/PNEUMONIA/person5_fungus_1.jpeg: not named as published, person<n>_bacteria_<n>",
    ]


def test_what_is_not_the_layout_is_refused(raw):
    with pytest.raises(InputError, match="no chest_xray there with train/ and test/"):
        kermany_layout.listing(raw / "chest_xray" / "train")
    (raw / "chest_xray/val").rename(raw / "val")
    assert len(kermany_layout.listing(raw).entries) == len(FILMS) - 2
    (raw / "chest_xray/test/NORMAL/IM-0001-0001.jpeg").unlink()
    with pytest.raises(InputError, match="test/NORMAL: no JPEG there"):
        kermany_layout.listing(raw)
    (raw / "chest_xray/test/NORMAL").rmdir()
    with pytest.raises(InputError, match="test/NORMAL: no such folder; give chest_xray whole"):
        kermany_layout.listing(raw)


def test_the_real_sample_is_read_whole():
    raw = Path(os.environ.get("STUDY_DATA", ""), "cxr", "kermany2018_224")
    if "STUDY_DATA" not in os.environ or not raw.is_dir():
        pytest.skip("STUDY_DATA does not name a folder with cxr/kermany2018_224")
    found = kermany_layout.listing(raw)
    assert found.bad == []
    counts = Counter(entry.findings for entry in found.entries)
    assert counts == {(): 1227, ("bacterial pneumonia",): 1110, ("viral pneumonia",): 300}
    assert kermany_layout.leak(found.entries)["patients"] == len(found.entries)


def test_films_elsewhere_are_bad_unless_they_are_there_a_second_time(raw):
    root = raw / "chest_xray"
    shutil.copytree(root, raw / "again")
    (root / "train" / "NORMAL" / "notes.txt").touch()
    write(root / "train" / "NORMAL" / "more" / "IM-0300-0001.jpeg")
    write(root / "test" / "NORMAL" / "IM-0301-0001.bmp")
    (root / "train").rename(root / "Train")
    found = kermany_layout.listing(raw)
    assert len(found.entries) == len(FILMS)
    assert sorted(line.partition(":")[0] for line in found.bad) == [
        "chest_xray/Train/NORMAL/more/IM-0300-0001.jpeg",
        "chest_xray/test/NORMAL/IM-0301-0001.bmp",
    ]
    assert all(
        "lies outside of NORMAL/ and PNEUMONIA/, or is no JPEG" in line for line in found.bad
    )
    reasons = Counter(line.rpartition(": ")[2] for line in found.ignored)
    assert reasons == {"there a second time": len(FILMS), "of another kind": 1}
