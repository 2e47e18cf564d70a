"""Raw files: what is read, and the reason where one cannot be."""

import gzip

import nibabel
import numpy as np
import pytest

from common.data.image_files import read_image
from common.data.raw import BadFile, number, read_table
from common.data.volumes import read_turned
from common.errors import InputError


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_is_read_whatever_its_separator_case_and_spaces(tmp_path, separator):
    lines = [["SUBJECT", " age", "Other"], ["a", "3 ", "x"], ["", "", ""], ["b"]]
    text = "\r\n".join(separator.join(line) for line in lines)
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    rows = read_table(tmp_path / "t.csv", ("Subject", "Age"))
    assert rows == [{"Subject": "a", "Age": "3"}, {"Subject": "b", "Age": ""}]


@pytest.mark.parametrize("text", ["", "Subject|Age\na|3\n", "Subject Age\na 3\n", "Name,Age\n"])
def test_table_without_its_columns_is_refused_by_name(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=r"t\.csv: no column 'Subject'.*comma, semicolon or tab"):
        read_table(tmp_path / "t.csv", ("Subject", "Age"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "Age is missing"), ("x", "'x' is not a number"), ("-1", "outside"), ("nan", "outside")],
)
def test_number_refuses(text, reason):
    with pytest.raises(BadFile, match=reason):
        number(text, "Age", 0.0, 120.0)


def test_a_volume_without_a_place_keeps_its_order(tmp_path):
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(volume, None), tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(read_turned(tmp_path / "v.nii.gz", "LAS"), volume)


def test_damaged_images_give_their_reason(tmp_path):
    path = tmp_path / "v.nii.gz"
    whole = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(whole, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(BadFile, match="cannot be read"):
        read_turned(path, "LAS")
    path.write_bytes(gzip.compress(b"not a volume"))
    with pytest.raises(BadFile, match="is no NIfTI volume"):
        read_turned(path, "LAS")
    nibabel.save(nibabel.Nifti1Image(whole[0], np.eye(4)), path)
    with pytest.raises(BadFile, match="has 2 dimensions"):
        read_turned(path, "LAS")
    whole[0, 0, 0] = np.inf
    nibabel.save(nibabel.Nifti1Image(whole, np.eye(4)), path)
    with pytest.raises(BadFile, match="not finite"):
        read_turned(path, "LAS")
    (tmp_path / "p.tif").write_bytes(b"II*\0")
    with pytest.raises(BadFile, match="cannot be read"):
        read_image(tmp_path / "p.tif")
