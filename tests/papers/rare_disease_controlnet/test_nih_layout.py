"""ChestX-ray14 in its published layout, read exactly or refused by name."""

import os
from collections import Counter
from pathlib import Path

import pytest

from common.errors import InputError
from papers.rare_disease_controlnet import nih_layout
from tests.papers.rare_disease_controlnet.film_files import blocks, nih, write

LABELS = {
    "00000001_000": "Cardiomegaly",
    "00000001_001": "Effusion|Pneumothorax",
    "00000002_000": "No Finding",
    "00000013_000": "Pleural_Thickening",
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return nih(tmp_path / "raw", LABELS)


def edit(raw: Path, old: str, new: str) -> None:
    table = raw / "Data_Entry_2017.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_films_come_with_findings_patients_and_views(raw):
    found = nih_layout.listing(raw)
    assert [entry.name for entry in found.entries] == list(LABELS)
    assert [entry.findings for entry in found.entries] == [
        ("Cardiomegaly",),
        ("Effusion", "Pneumothorax"),
        (),
        ("Pleural_Thickening",),
    ]
    patients = [entry.patient for entry in found.entries]
    assert patients == ["00000001", "00000001", "00000002", "00000013"]
    assert {(entry.view, entry.part) for entry in found.entries} == {("PA", "")}
    assert (found.bad, found.absent) == ([], [])
    assert found.tables == [raw / "Data_Entry_2017.csv"]


def test_folders_as_the_zips_unpack_and_the_revised_table_first(raw):
    (raw / "images_001").mkdir()
    (raw / "images").rename(raw / "images_001" / "images")
    nih(raw, {"00000014_000": "Hernia"}, "images_012/images")
    names = [*LABELS, "00000014_000"]
    rows = [f"{name}.png,Nodule,{int(name[:8])},AP" for name in names]
    header = "Image Index,Finding Labels,Patient ID,View Position"
    (raw / "Data_Entry_2017_v2020.csv").write_text("\n".join([header, *rows]))
    found = nih_layout.listing(raw)
    assert [entry.name for entry in found.entries] == names
    assert {entry.findings for entry in found.entries} == {("Nodule",)}
    assert found.notes == ["labels of Data_Entry_2017_v2020.csv"]


def test_the_official_lists_say_the_part(raw):
    with pytest.raises(InputError, match=r"needs train_val_list\.txt and test_list\.txt"):
        nih_layout.listing(raw, published=True)
    train = "00000001_000.png\n00000001_001.png\r\n00000099_000.png\n00000002_000.png\n"
    (raw / "train_val_list.txt").write_text(train)
    (raw / "test_list.txt").write_text("00000013_000.png")
    found = nih_layout.listing(raw, published=True)
    assert [entry.part for entry in found.entries] == ["train"] * 3 + ["test"]
    (raw / "train_val_list.txt").write_text("00000001_000.png 00000013_000.png")
    assert nih_layout.listing(raw, published=True).bad == [
        "images/00000001_001.png: is in none of the official lists, expected one",
        "images/00000002_000.png: is in none of the official lists, expected one",
        "images/00000013_000.png: is in both of the official lists, expected one",
    ]
    assert [entry.part for entry in nih_layout.listing(raw).entries] == ["train", "", "", ""]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Cardiomegaly", "Cardiomegally", "has the label 'Cardiomegally'; did you mean 'Cardiom"),
        ("Cardiomegaly", "", "has the label ''; choose one of Atelectasis"),
        ("Cardiomegaly", "Edema|No Finding", "'Edema|No Finding': No Finding beside a finding"),
        (",0,1,58,M", ",0,3,58,M", "Patient ID '3' is not the one of its name"),
        (",0,1,58,M", ",0,x,58,M", "Patient ID 'x' is not the one of its name"),
        (",PA,", ",LL,", "View Position 'LL', expected AP or PA"),
    ],
)
def test_rows_that_cannot_be_are_named(raw, old, new, reason):
    edit(raw, old, new)
    line = nih_layout.listing(raw).bad[0]
    assert line.startswith("images/00000001_000.png: ")
    assert reason in line


def test_films_and_rows_without_each_other_and_twice_are_named(raw):
    write(raw / "images" / "00000500_000.png")
    write(raw / "images_002" / "images" / "00000002_000.png")
    (raw / "images" / "00000013_000.png").unlink()
    (raw / "images" / "._00000001_000.png").write_bytes(b"of a Mac")
    table = raw / "Data_Entry_2017.csv"
    table.write_text(table.read_text() + "\n00000001_001.png,Edema,0,1,58,M,PA,1,1,1,1")
    found = nih_layout.listing(raw)
    assert sorted(found.bad) == [
        "images/00000001_001.png: has 2 rows in Data_Entry_2017.csv, lines 3, 6; keep one",
        "images/00000500_000.png: has no row in Data_Entry_2017.csv",
        "images_002/images/00000002_000.png: lies there 2 times; keep one",
    ]
    assert found.absent == ["00000013_000.png: no such image"]
    assert [entry.name for entry in found.entries] == ["00000001_000"]


def test_what_is_not_the_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        nih_layout.listing(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no Data_Entry_2017\.csv there"):
        nih_layout.listing(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient ID\n")
    with pytest.raises(InputError, match="no column 'View Position'"):
        nih_layout.listing(tmp_path)
    raw = nih(tmp_path / "raw", {"00000001_000": "Mass"})
    (raw / "images" / "00000001_000.png").unlink()
    with pytest.raises(InputError, match=r"no PNG in images/ or images_001/images/ there"):
        nih_layout.listing(raw)
    (raw / "train_val_list.txt").write_bytes(b"\xff\xfe\xff")
    (raw / "test_list.txt").touch()
    write(raw / "images" / "00000001_000.png", blocks("one"))
    with pytest.raises(InputError, match=r"train_val_list\.txt: cannot be read as text"):
        nih_layout.listing(raw)


def test_boxes_come_in_pixels_of_the_study(raw):
    assert nih_layout.boxes(raw, 64) == {}
    table = raw / "BBox_List_2017.csv"
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    one = "00000013_000.png,Infiltrate,512,256.5,128,64,,,\n"
    two = "00000013_000.png,Mass,0,0,1024,1024,,,\n"
    table.write_text(header + one + two)
    assert nih_layout.boxes(raw, 64) == {
        "00000013_000": [("Infiltration", 32, 256.5 / 16, 8, 4), ("Mass", 0, 0, 64, 64)]
    }
    for row, reason in (
        (one.replace("256.5", "x"), "00000013_000.png: y 'x' is not a number (line 2 of"),
        (one.replace("512", "1000"), "its box reaches over the film's 1024 pixels"),
        (one.replace("Infiltrate", "Infiltrat"), "has the label 'Infiltrat'"),
    ):
        table.write_text(header + row)
        with pytest.raises(InputError, match=r"BBox_List_2017\.csv: 00000013_000\.png") as error:
            nih_layout.boxes(raw, 64)
        assert reason in str(error.value)


def test_the_real_sample_is_read_whole():
    raw = Path(os.environ.get("STUDY_DATA", ""), "cxr", "nih_chestxray14_64")
    if "STUDY_DATA" not in os.environ or not raw.is_dir():
        pytest.skip("STUDY_DATA does not name a folder with cxr/nih_chestxray14_64")
    found = nih_layout.listing(raw)
    assert (found.bad, found.absent) == ([], [])
    assert len({entry.patient for entry in found.entries}) == 222
    counts = Counter(finding for entry in found.entries for finding in entry.findings)
    assert (counts["Effusion"], counts["Pneumothorax"], counts["Hernia"]) == (148, 33, 8)
    assert sum(not entry.findings for entry in found.entries) == 416
    views = Counter(entry.view for entry in found.entries)
    assert (views["PA"], views["AP"]) == (528, 322)


def test_films_elsewhere_are_bad_and_the_rest_is_counted(raw):
    write(raw / "more" / "00000001_000.png")
    write(raw / "figure.png")
    (raw / "images" / "00000002_000.png").rename(raw / "images" / "00000002_000.PNG")
    (raw / "images").rename(raw / "Images")
    found = nih_layout.listing(raw)
    assert [entry.name for entry in found.entries] == list(LABELS)
    assert found.bad == [
        "more/00000001_000.png: lies outside of images/ and images_001/images/",
    ]
    assert found.ignored == ["figure.png: of another kind"]
