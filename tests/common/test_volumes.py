"""NIfTI volumes: read to the end, lying as asked for, and refused where they cannot be right."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest

from common.data.raw import BadFile
from common.data.volumes import numbers_of, read_turned, read_volume

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
LAS = np.diag([-2.0, 2, 2, 1])


def volume(voxels=VOXELS, affine=LAS, **fields):
    """Return the content of a volume's file, with what its header says instead."""
    content = nibabel.Nifti1Image(voxels, affine).to_bytes()
    header = nibabel.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + content[348:]


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("order", "signs"),
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)),
)
def test_however_it_is_stored_it_comes_lying_as_asked_for(tmp_path, order, signs):
    turned = nibabel.orientations.inv_ornt_aff(
        np.stack([order, signs], 1), VOXELS.shape
    )  # from stored to LAS
    ornt = np.stack([order, signs], 1)
    stored = nibabel.orientations.apply_orientation(VOXELS, ornt)
    file = write(tmp_path / "v.nii.gz", gzip.compress(volume(stored, LAS @ turned)))
    np.testing.assert_array_equal(read_turned(file, "LAS"), VOXELS)


def test_packed_or_not_whatever_its_name_says(tmp_path):
    content = volume()
    for name, bytes_ in (("a.nii", gzip.compress(content)), ("b.nii.gz", content)):
        np.testing.assert_array_equal(
            numbers_of(read_volume(write(tmp_path / name, bytes_))), VOXELS
        )
    nibabel.save(nibabel.Nifti2Image(VOXELS, LAS), tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(numbers_of(read_volume(tmp_path / "two.nii.gz")), VOXELS)


def spoiled(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def turned_by_qform():
    """Return the content of a volume that is mirrored by its qform, and not by its sform."""
    image = nibabel.Nifti1Image(VOXELS, LAS)
    image.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    return image.to_bytes()


PLAIN = volume()
STORED = gzip.compress(PLAIN, 0)  # not packed: nothing but its checksum tells of damage
REFUSED = {
    "checksum": (spoiled(STORED), "CRC"),
    "cut, packed": (gzip.compress(PLAIN)[:-9], "ends before its end"),
    "cut": (PLAIN[:-9], "ends after"),
    "nothing": (b"", "is empty"),
    "text": (b"a letter to a colleague" * 30, "is text, expected a NIfTI volume"),
    "no such size": (volume(pixdim=[-1, 1e-9, 2, 2, 0, 0, 0, 0], affine=None), "voxels of"),
    "meters": (volume(affine=np.diag([900.0, 2, 2, 1])), "voxels of 900 x 2 x 2 mm"),
    "flat": (volume(affine=np.diag([2.0, 2, 1e-6, 1])), "mm, expected sides"),
    "no affine": (volume(srow_x=[np.nan, 0, 0, 0]), "affine"),
    "terabytes": (volume(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "no scan has so many"),
    "two ways": (turned_by_qform(), "in one way by its sform, in another by its qform"),
    "cannot hold them": (
        gzip.compress(volume(dim=[3, 600, 600, 600, 1, 1, 1, 1])),
        "ends before 432000352 bytes",
    ),
    "a page": (b"<!DOCTYPE html><p>Sign in", "web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "no voxels": (volume(dim=[3, 0, 5, 6, 1, 1, 1, 1]), "holds nothing"),
    "colors": (volume(np.zeros((4, 5, 6), [(c, "u1") for c in "RGB"])), "not one number a voxel"),
    "not finite": (volume(np.full((4, 5, 6), np.nan, np.float32)), "not finite"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused(content, reason, tmp_path):
    with pytest.raises(BadFile, match=reason):
        numbers_of(read_volume(write(tmp_path / "v.nii.gz", content)))


def test_a_last_axis_of_one_does_not_count(tmp_path):
    file = write(tmp_path / "v.nii", volume(VOXELS[..., None]))
    np.testing.assert_array_equal(read_turned(file, "LAS"), VOXELS)
