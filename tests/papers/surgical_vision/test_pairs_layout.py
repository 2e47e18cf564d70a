"""The user's pairs: read as they are laid out, or each fault named in a line."""

import shutil
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from common.data.raw import BadFile
from common.errors import InputError
from papers.surgical_vision import pairs_layout
from papers.surgical_vision.datasets import pairs
from papers.surgical_vision.image import read_photo
from tests.papers.surgical_vision.pair_files import SIZE, config, face, write


def listed(raw: Path) -> list[str]:
    """Return what is bad about the layout."""
    return pairs_layout.listing(raw).bad


def table(raw: Path, *rows: str, header: str = "name,eyes,nose,chin,patient") -> None:
    (raw / "labels.csv").write_text("\n".join([header, *rows]), encoding="utf-8-sig")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of three pairs, 2, 10 and 11."""
    for name in ("2", "10", "11"):
        write(tmp_path, name)
    return tmp_path


def test_pairs_are_met_by_name_whatever_their_kind(raw):
    (raw / "after" / "2.png").unlink()
    write(raw, "2", after=".jpg")
    (raw / "before" / "notes.txt").write_text("no image")
    (raw / "before" / ".hidden.png").write_bytes(b"")
    (raw / "before" / "folder.png").mkdir()
    found = pairs_layout.listing(raw)
    entries, bad = found.entries, found.bad
    assert [(entry.name, entry.after.name) for entry in entries] == [
        ("2", "2.jpg"), ("10", "10.png"), ("11", "11.png")
    ]  # fmt: skip
    assert bad == []
    assert all(entry.domains == (True, True, True) for entry in entries)
    assert all(entry.patient == entry.name for entry in entries)
    assert len(pairs_layout.listing(raw).files) == 6
    table(raw)
    assert pairs_layout.listing(raw).files[-1] == raw / "labels.csv"


def test_a_name_is_one_however_it_is_spelled_and_may_hold_points(tmp_path):
    write(tmp_path, "a.b")
    name = "홍길동"
    write(tmp_path, unicodedata.normalize("NFD", name))
    table(tmp_path, f"{name},1,0,0,", "a.b.jpg,0,1,1,")
    found = pairs_layout.listing(tmp_path)
    entries, bad = found.entries, found.bad
    assert bad == []
    assert {entry.name: entry.domains for entry in entries} == {
        "a.b": (False, True, True), name: (True, False, False)
    }  # fmt: skip


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("patients", [True, False])
def test_labels_say_what_was_operated_on_whom(raw, separator, patients):
    rows = ["2,1,0,0,ann", "10.png, 0 ,1,1,ann", "11,0,1,0,"]
    header = "Chin,NAME,eyes,nose,patient"
    kept = 5 if patients else 4
    lines = [[row.split(",")[i] for i in (3, 0, 1, 2, 4)][:kept] for row in rows]
    table(raw, *map(separator.join, lines), header=separator.join(header.split(",")[:kept]))
    found = pairs_layout.listing(raw)
    entries, bad = found.entries, found.bad
    assert bad == []
    assert [entry.domains for entry in entries] == [
        (True, False, False), (False, True, True), (False, True, False)
    ]  # fmt: skip
    names = ["ann", "ann", "11"] if patients else ["2", "10", "11"]
    assert [entry.patient for entry in entries] == names


def test_what_has_no_counterpart_is_named_once(raw):
    (raw / "after" / "2.png").unlink()
    write(raw, "10", after=".jpg")  # beside 10.png
    shutil.copy(raw / "after" / "11.png", raw / "after" / "12.png")
    table(raw, "2,1,0,0,", "10,1,0,0,", "11,1,0,0,", "12,1,0,0,")
    found = pairs_layout.listing(raw)
    entries, bad = found.entries, found.bad
    assert [entry.name for entry in entries] == ["11"]
    assert bad == [
        "after/10.jpg: two images of this name; keep one",
        "after/10.png: two images of this name; keep one",
        "before/2.png: no image of this name in after/",
        "after/12.png: no image of this name in before/",
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (("2,1,0,0,", "10,1,0,0,"), "11: has no row in labels.csv"),
        (
            ("2,1,0,0,", "10,1,0,0,", "11,1,0,0,", "11,0,1,0,"),
            "11: has 2 rows in labels.csv, lines 4, 5; keep one",
        ),
        (
            ("2,1,0,0,", "10,1,0,0,", "11,yes,0,0,"),
            "11: eyes 'yes' is not a number (line 4 of labels.csv)",
        ),
        (("2,1,0,0,", "10,1,0,0,", "11,1,0,,"), "11: chin is missing (line 4 of labels.csv)"),
        (("2,1,0,0,", "10,1,0,0,", "11,.5,0,1,"), "11: has '.5' as eyes, expected 0 or 1"),
        (("2,1,0,0,", "10,1,0,0,", "11,0,0,0,"), "11: has no 1 for eyes, nose or chin; say what"),
        (
            ("2,1,0,0,", "10,1,0,0,", "11,1,1,1,", "3,1,0,0,"),
            "labels.csv: 3 has no images; remove its row",
        ),
    ],
)
def test_every_fault_of_the_labels_is_named(raw, rows, reason):
    table(raw, *rows)
    (line,) = listed(raw)
    assert line.startswith(reason)


def test_a_folder_or_table_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--raw .*nowhere: no such folder"):
        pairs_layout.listing(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no folder before; give one with before/ and after/"):
        pairs_layout.listing(tmp_path)
    (tmp_path / "before").mkdir()
    with pytest.raises(InputError, match="no folder after"):
        pairs_layout.listing(tmp_path)
    (tmp_path / "after").mkdir()
    with pytest.raises(InputError, match=r"no images in before/ and after/; put pairs there"):
        pairs_layout.listing(tmp_path)
    write(tmp_path, "1")
    table(tmp_path, "1,1,0", header="name,eyes,nose")
    with pytest.raises(InputError, match=r"labels.csv: no column 'chin' in its first line"):
        pairs_layout.listing(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"name,\x81")
    with pytest.raises(InputError, match=r"labels.csv: cannot be read as text"):
        pairs_layout.listing(tmp_path)


def test_every_bad_image_is_named(raw):
    for name in ("1", "3", "4", "5", "6"):
        write(raw, name)
    (raw / "before" / "1.png").write_bytes((raw / "before" / "1.png").read_bytes()[:60])
    imageio.imwrite(raw / "after" / "3.png", face("3", 12, 40))
    imageio.imwrite(raw / "after" / "4.png", face("4", 40, 50))
    imageio.imwrite(raw / "after" / "5.png", face("5 before"))
    deep = face("6")[..., 0].astype(np.uint16) * 200
    imageio.imwrite(raw / "after" / "6.png", deep)
    reading = pairs(raw, config())
    assert [pair.name for pair in reading.items] == ["2", "10", "11"]
    assert [line.partition(": the")[0] for line in reading.bad if line.startswith("before/1")] == [
        "before/1.png: cannot be read"
    ]
    for line in (
        "after/3.png: is 40x12, expected at least 16 pixels a side",
        "before/4.png: it and the one after are 40x40 and 50x40, not framed alike; crop them the "
        "same",
        "after/5.png: a copy of before/5.png; give the other",
        "after/6.png: has more than 8 bits a pixel; save it with 8",
    ):
        assert line in reading.bad
    assert len(reading.bad) == 5


def test_images_that_show_the_same_are_found_whatever_their_bytes(raw):
    Image.fromarray(face("2 before")).save(raw / "after" / "2.png", compress_level=0)
    (line,) = pairs(raw, config()).bad
    assert line == "after/2.png: shows the same as the one before; give the other"


def test_a_copy_between_patients_leaks_and_within_one_does_not(raw):
    shutil.copy(raw / "after" / "2.png", raw / "before" / "10.png")
    reading = pairs(raw, config())
    assert [pair.name for pair in reading.items] == ["2", "11"]  # skipped, if bad files are
    assert reading.bad == [
        "before/10.png: a copy of after/2.png; remove one, or give both pairs one patient in "
        "labels.csv"
    ]
    table(raw, "2,1,0,0,ann", "10,0,1,0,ann", "11,1,0,0,")
    assert pairs(raw, config()).bad == []


def test_the_limit_counts_patients_by_name(raw):
    table(raw, "2,1,0,0,ann", "10,0,1,0,bea", "11,1,0,0,ann")
    assert [pair.name for pair in pairs(raw, config(limit=1)).items] == ["2", "11"]
    assert len(pairs(raw, config(limit=2)).items) == 3


def test_the_middle_square_comes_at_the_size():
    image = np.zeros((30, 90, 3), np.uint8)
    image[:, 30:60] = 100
    image[:, 30:45] = 200
    small = pairs_layout.square(image, 10)
    np.testing.assert_array_equal(small[:, :5], 200)
    np.testing.assert_array_equal(small[:, 5:], 100)
    np.testing.assert_array_equal(pairs_layout.square(image.swapaxes(0, 1), 10)[:5], 200)


@pytest.mark.parametrize(
    ("kind", "modes"),
    [
        ("png", ("RGB", "L", "RGBA", "P")),
        ("jpg", ("RGB", "L", "CMYK")),
        ("webp", ("RGB", "RGBA")),
        ("tif", ("RGB", "L", "RGBA", "P", "CMYK")),
    ],
)
def test_photos_of_every_kind_become_rgb(kind, modes, tmp_path):
    for mode in modes:
        image = Image.fromarray(np.full((24, 40, 3), 102, np.uint8)).convert(mode)
        image.save(tmp_path / f"a.{kind}", quality=95)
        read = read_photo(tmp_path / f"a.{kind}")
        assert read.shape == (24, 40, 3)
        assert np.abs(read.astype(int) - 102).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_their_exif_says(orientation, tmp_path):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:4, :8] = 255  # the upper left corner, as it is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    read = read_photo(tmp_path / "a.png")
    assert read.shape == ((8, 16, 3) if orientation < 5 else (16, 8, 3))
    height, width = (side // 2 for side in read.shape[:2])
    corners = [read[:height, :width], read[:height, width:], read[height:, width:],
               read[height:, :width]]  # fmt: skip
    # where each of the eight puts the stored upper left corner, clockwise from the upper left
    bright = {1: 0, 2: 1, 3: 2, 4: 3, 5: 0, 6: 1, 7: 2, 8: 3}[orientation]
    assert [corner.all() for corner in corners] == [i == bright for i in range(4)]


def test_of_several_images_in_a_jpeg_the_first_is_read(tmp_path):
    first, second = (Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (10, 200))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_photo(tmp_path / "a.jpg").shape == (8, 8, 3)
    assert np.abs(read_photo(tmp_path / "a.jpg").astype(int) - 10).max() < 3
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(BadFile, match="holds 2 images"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_photo_is_what_its_content_says(kind, tmp_path):
    image = Image.fromarray(np.full((24, 40, 3), 102, np.uint8))
    image.save(tmp_path / "a.heic", format=kind)
    assert np.abs(read_photo(tmp_path / "a.heic").astype(int) - 102).max() <= 2
    transparent = Image.fromarray(np.full((24, 40, 4), 102, np.uint8))
    if kind != "JPEG":
        transparent.save(tmp_path / "a.heic", format=kind)
        with pytest.raises(BadFile, match="transparent in places"):
            read_photo(tmp_path / "a.heic")


CONTENT = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_needs_its_reader(raw, monkeypatch):
    (raw / "before" / "2.png").unlink()
    (raw / "before" / "2.HEIC").write_bytes(CONTENT)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (line,) = pairs(raw, config()).bad
    assert line == "before/2.HEIC: is HEIC: `just install --extra heic`, or save it as JPEG"
    image = Image.fromarray(face("2 before", SIZE, SIZE)).convert("RGBA")

    def read_heif(file):
        assert file.read() == CONTENT
        return SimpleNamespace(to_pillow=lambda: image)

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(read_heif=read_heif))
    reading = pairs(raw, config())
    assert reading.bad == []
    np.testing.assert_array_equal(reading.items[0].before, face("2 before", SIZE, SIZE))


def test_heic_is_read_upright(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    image = np.zeros((64, 128, 3), np.uint8)
    image[:32, :64] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "a.heic", format="HEIF", exif=exif.tobytes())
    read = read_photo(tmp_path / "a.heic")
    assert read.shape == (128, 64, 3)
    assert read[:60, 36:].min() > 200
    assert read[70:].max() < 50
    (tmp_path / "b.heic").write_bytes(b"no photo")
    with pytest.raises(BadFile, match="cannot be read"):
        read_photo(tmp_path / "b.heic")
