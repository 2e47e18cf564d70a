"""Raw files: what is read, and the reason where one cannot be."""

import gzip

import nibabel
import numpy as np
import pytest

from common.data.image_files import read_image
from common.data.raw import BadFile
from common.data.volumes import read_turned


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
    with pytest.raises(BadFile, match="is text, expected a NIfTI volume"):
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
