"""The user's own films: classes, patients, nothing kept that names them, and bad files."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from papers.rare_disease_controlnet import folder_layout
from tests.papers.rare_disease_controlnet.film_files import SECRETS, blocks, write, write_dicom


def hashed(kind: str, name: str) -> str:
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    for name in (
        "normal/ann_1.png",
        "normal/ann_2.jpg",
        "Pleural effusion/ann_3.JPEG",
        "Pleural effusion/0007.png",
        "Pleural effusion/bob/visit 1/a.png",
        "No_Finding/bob/b.png",
    ):
        write(raw / name)
    return raw


def test_classes_are_findings_and_patients_are_folders_or_names(raw):
    found = folder_layout.listing(raw)
    assert found.bad == []
    shown = {entry.file.relative_to(raw).as_posix(): entry for entry in found.entries}
    findings = {name for name, entry in shown.items() if entry.findings}
    assert findings == {name for name in shown if name.startswith("Pleural")}
    assert {entry.findings for entry in found.entries} == {(), ("Pleural effusion",)}
    patients = {name: entry.patient for name, entry in shown.items()}
    assert patients == {
        "normal/ann_1.png": hashed("patient", "ann"),
        "normal/ann_2.jpg": hashed("patient", "ann"),
        "Pleural effusion/ann_3.JPEG": hashed("patient", "ann"),
        "Pleural effusion/0007.png": hashed("patient", "0007"),
        "Pleural effusion/bob/visit 1/a.png": hashed("patient", "bob"),
        "No_Finding/bob/b.png": hashed("patient", "bob"),
    }
    assert shown["normal/ann_1.png"].name == hashed("film", "normal/ann_1.png")
    assert len({entry.name for entry in found.entries}) == 6


def test_dicom_films_are_their_patients_and_nothing_that_names_them_is_kept(raw):
    image = blocks("x")
    write_dicom(raw / "normal" / "IM0001", image, ViewPosition="AP")
    write_dicom(raw / "Pleural effusion" / "Nobodova.dcm", image)
    write_dicom(raw / "normal" / "bob" / "IM2.dcm", image)
    write_dicom(raw / "normal" / "cid_2.dcm", image, PatientID=None, ViewPosition=None)
    (raw / "normal" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    found = folder_layout.listing(raw)
    assert found.bad == []
    entries = {entry.file.name: entry for entry in found.entries}
    own = hashed("patient", SECRETS["PatientID"])
    assert entries["IM0001"].patient == entries["Nobodova.dcm"].patient == own
    assert entries["IM2.dcm"].patient == hashed("patient", "bob")
    assert entries["cid_2.dcm"].patient == hashed("patient", "cid")
    views = [entries[name].view for name in ("IM0001", "Nobodova.dcm", "cid_2.dcm")]
    assert views == ["AP", "PA", ""]
    for entry in found.entries:
        kept = f"{entry.name} {entry.patient} {entry.findings} {entry.view} {entry.part}"
        assert not any(name in kept for name in (*SECRETS.values(), "Nobodova", "ann", "bob"))


def test_bad_files_are_named_and_files_that_are_no_images_do_not_matter(raw):
    (raw / "normal" / "notes.txt").write_text("mine")
    (raw / "normal" / "._ann_1.png").write_bytes(b"of a Mac")
    (raw / "__MACOSX").mkdir()
    write(raw / "beside.png")
    write(raw / "normal" / "cid" / "a.tif")
    (raw / "normal" / "a.dcm").write_bytes((raw / "beside.png").read_bytes())
    found = folder_layout.listing(raw)
    assert found.bad == [
        "beside.png: lies beside the class folders; put it into one",
        "normal/cid/a.tif: is no PNG, JPEG or DICOM file; save it as one of these",
    ]
    assert len(found.entries) == 7  # what is inside counts, and not the suffix


def test_linked_folders_are_read_and_circles_end(raw, tmp_path):
    write(tmp_path / "elsewhere" / "cid_1.png")
    (raw / "normal" / "more").symlink_to(tmp_path / "elsewhere")
    (raw / "normal" / "circle").symlink_to(raw / "normal")
    found = folder_layout.listing(raw)
    assert [entry.file.name for entry in found.entries].count("cid_1.png") == 1
    assert len(found.entries) == 7


def test_folders_without_classes_findings_or_films_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        folder_layout.listing(tmp_path / "absent")
    with pytest.raises(InputError, match="no folder there; give one for each class, as normal/"):
        folder_layout.listing(tmp_path)
    (tmp_path / "normal").mkdir()
    with pytest.raises(InputError, match="no PNG, JPEG or DICOM file in its folders"):
        folder_layout.listing(tmp_path)
    write(tmp_path / "normal" / "a.png", np.zeros((40, 40), np.uint8))
    with pytest.raises(InputError, match="no folder but normal; give one for each finding"):
        folder_layout.listing(tmp_path)


def test_all_that_lies_there_is_accounted_for(raw):
    (raw / "normal" / "notes.txt").write_text("mine")
    (raw / "normal" / ".DS_Store").write_bytes(b"of a Mac")
    (raw / "nodule").mkdir()
    found = folder_layout.listing(raw)
    assert (len(found.entries), found.bad) == (6, [])
    assert sorted(found.ignored) == [
        "nodule: without a film",
        "normal/.DS_Store: hidden",
        "normal/notes.txt: of another kind",
    ]


def test_patients_and_classes_that_differ_only_in_spelling_are_not_told_apart(raw):
    write(raw / "No_Finding" / "Ann_9.png")
    write(raw / "No_Finding" / "7_1.png")
    found = folder_layout.listing(raw)
    assert len(found.bad) == 6
    assert "normal/ann_1.png: its patient 'ann' is 'Ann' elsewhere; write it alike" in found.bad
    assert "No_Finding/7_1.png: its patient '7' is '0007' elsewhere; write it alike" in found.bad
    assert len(found.entries) == 2
    write(raw / "pleural_effusion" / "cid.png")
    with pytest.raises(InputError, match=r"Pleural effusion/ and pleural_effusion/ are one class"):
        folder_layout.listing(raw)
