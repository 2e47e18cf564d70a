"""Users' files: what is found and refused, what is written, and that no input is harmed."""

import io
import os
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from common import outputs
from common.data import user_files
from common.data.raw import BadFile
from common.data.user_files import Kinds
from common.errors import InputError

KINDS = Kinds((".png", ".tif", ".nii.gz"), made=("_mask", "_overlay"))


def test_files_come_in_numeric_order_without_masks_and_hidden_ones(tmp_path):
    names = (
        "b/10.png b/9.png a_10.tif a_2.tif a_2_mask.tif a_2_overlay.png ._a_3.tif x.txt c.NII.gz"
    )
    for name in [*names.split(), ".hidden/a.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in KINDS.find(tmp_path).entries]
    assert found == ["a_2.tif", "a_10.tif", "b/9.png", "b/10.png", "c.NII.gz"]
    assert KINDS.suffix(Path("c.NII.gz")) == ".NII.gz"
    place = KINDS.output(tmp_path / "b" / "9.png", tmp_path, Path("out"), "_mask.png")
    assert place == Path("out/b/9_mask.png")


def test_files_without_a_suffix_are_told_by_their_content(tmp_path):
    for name, content in {"IM1": "good", "IM2": "bad", "1.2.840": "good", "x_mask": "good"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder").mkdir()
    kinds = Kinds(
        (".png",), made=("_mask",), nameless=lambda f: f.is_file() and f.read_text() == "good"
    )
    assert [path.name for path in kinds.find(tmp_path).entries] == ["1.2.840", "IM1"]
    assert kinds.find(tmp_path / "IM1").entries == [tmp_path / "IM1"]
    assert kinds.output(tmp_path / "1.2.840", tmp_path, Path("out"), "_mask.png") == Path(
        "out/1.2.840_mask.png"
    )
    with pytest.raises(InputError, match="IM2: not a scan by its name"):
        kinds.find(tmp_path / "IM2")


def test_bad_files_are_listed_or_left_out(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    for name in ("a/1.png", "a/2.png", "3.png"):
        (tmp_path / name).touch()

    def look(file: Path) -> int:
        if file.stem != "2":
            raise BadFile("has no reason")
        return 7

    with pytest.raises(InputError, match=r"2 bad.*\n  3.png: has no reason\n  a/1.png: has"):
        KINDS.checked(tmp_path, look)
    assert KINDS.checked(tmp_path, look, skip_bad=True).files == [(tmp_path / "a" / "2.png", 7)]
    assert "skipped 2 bad files: 3.png: has no reason, a/1.png" in capsys.readouterr().err
    with pytest.raises(InputError, match="1 bad"):
        KINDS.checked(tmp_path / "3.png", look, skip_bad=True)


@pytest.mark.parametrize("end", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_images_written_are_read_again(end, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    content = user_files.encoded(image, end)
    assert content == user_files.encoded(image, end)
    reader = tifffile.imread if end == ".tif" else imageio.imread
    np.testing.assert_array_equal(reader(io.BytesIO(content)), image)


def test_pages_are_read_again():
    images = np.random.default_rng(0).integers(0, 256, (5, 30, 40)).astype(np.uint8)
    content = user_files.pages(images)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)), images)
    assert len(user_files.pages(np.zeros((50, 300, 400), np.uint8))) < 50 * 300 * 400 / 20


def test_input_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        KINDS.find(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no scan there"):
        KINDS.find(tmp_path)
    (tmp_path / "scan.jpg").touch()
    with pytest.raises(InputError, match=r"scan.jpg: not a scan by its name; give one of .png"):
        KINDS.find(tmp_path / "scan.jpg")


def test_output_never_harms_anybody_s_file_nor_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    source, out = tmp_path / "in", tmp_path / "out"
    for folder in (source, out):
        folder.mkdir()
        (folder / "1_mask.png").touch()
    with pytest.raises(InputError, match=r"out/1_mask.png: is there, and not as it was written"):
        user_files.check_output(source, out, [out / "1_mask.png"])
    outputs.write({out / "2_mask.png": b"by an earlier run"})
    user_files.check_output(source, out, [out / "2_mask.png"])
    (out / "2_mask.png").write_bytes(b"and corrected by hand")
    with pytest.raises(InputError, match=r"out/2_mask.png: is there, and not as it was written"):
        user_files.check_output(source, out, [out / "2_mask.png"])
    user_files.check_output(source, source, [source / "2_mask.png"])
    with pytest.raises(InputError, match=r"1_mask.png is there, among the input"):
        user_files.check_output(source, source, [source / "1_mask.png"])
    with pytest.raises(InputError, match=r"1_mask.png is there, among the input"):
        user_files.check_output(source / "1.png", source, [out / ".." / "in" / "1_mask.png"])
    with pytest.raises(InputError, match="rename one"):
        user_files.check_output(source, out, [out / "a_overlay.png", out / "a_overlay.png"])
    with pytest.raises(InputError, match="is a file"):
        user_files.check_output(source, source / "1_mask.png", [])
    with pytest.raises(InputError, match=r"1_mask.png/x cannot be written \("):
        outputs.write({source / "1_mask.png" / "x": b""})


def test_all_that_lies_in_the_input_is_accounted_for(tmp_path, capsys):
    for name in ("a/1.png", "a/1 (1).png", "a/1 - Copy.png", "a/2 (1).png", "x.tif/3.TIF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1" if "a/1" in name else name)
    for name in ("a/1_mask.png", "notes.txt", ".DS_Store"):
        (tmp_path / name).touch()
    found = KINDS.checked(tmp_path, lambda _: 0)
    names = [str(file.relative_to(tmp_path)) for file, _ in found.files]
    assert names == ["a/1.png", "a/2 (1).png", "x.tif/3.TIF"]
    assert sorted(found.account.ignored) == [
        ".DS_Store: hidden",
        "a/1 (1).png, as a/1.png: copied",
        "a/1 - Copy.png, as a/1.png: copied",
        "a/1_mask.png: made by predict",
        "notes.txt: of another kind",
    ]
    said = capsys.readouterr().err
    assert f"--input {tmp_path}: 3 files read, 0 bad, 5 ignored (2 copied, " in said


def test_a_folder_that_cannot_be_entered_is_bad(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    (tmp_path / "1.png").touch()
    entered = os.scandir

    def scandir(folder):
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied")
        return entered(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"1 bad.*\n  shut: cannot be entered"):
        KINDS.checked(tmp_path, lambda _: 0)
    found = KINDS.checked(tmp_path, lambda _: 0, skip_bad=True)
    assert found.account.bad == ("shut: cannot be entered (Permission denied)",)
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match=r"no scan there.*1 bad.*\n  shut: cannot be entered"):
        KINDS.find(tmp_path)
