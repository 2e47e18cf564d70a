"""Users' scans: what makes a patient, how volumes are turned, and that masks come back."""

import gzip
from pathlib import Path

import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from common.data import scans, user_files
from common.data.raw import BadFile
from common.errors import InputError

HEAD = np.zeros((5, 8, 6), np.float32)  # inferior to superior, front to back, right to left
HEAD[3, 1, 4] = 100  # up, at the front, on the left


def volume(axes: str, file: Path, voxels: np.ndarray = HEAD) -> Path:
    """Write a head as a volume whose axes lead as the three letters say; 2 x 3 x 4 mm."""
    given = nibabel.orientations.axcodes2ornt(("S", "P", "L"))
    wanted = nibabel.orientations.axcodes2ornt(tuple(axes))
    turn = nibabel.orientations.ornt_transform(given, wanted)
    turned = nibabel.orientations.apply_orientation(voxels, turn)
    affine = np.array([[0, 0, -2, 5], [0, -3, 0, 7], [4, 0, 0, 9], [0, 0, 0, 1]], float)
    affine = affine @ nibabel.orientations.inv_ornt_aff(turn, voxels.shape[:3])
    nibabel.save(nibabel.Nifti1Image(turned, affine), file)
    return file


def test_images_of_one_folder_shape_and_type_are_one_patient(tmp_path):
    for name, image in {
        "a/1.png": np.zeros((4, 6), np.uint8),
        "a/2.png": np.zeros((4, 6), np.uint8),
        "a/3.png": np.zeros((5, 6), np.uint8),
        "a/4.tif": np.zeros((4, 6), np.uint16),
        "b/1.png": np.zeros((4, 6), np.uint8),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        imageio.imwrite(tmp_path / name, image)
    found = scans.patients(tmp_path).patients
    names = [[str(file.relative_to(tmp_path)) for file in one.files] for one in found]
    assert names == [["a/1.png", "a/2.png"], ["a/3.png"], ["a/4.tif"], ["b/1.png"]]
    assert [one.slices for one in found] == [2, 1, 1, 1]


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SPL", "PIR", "ASL", "IRA"])
def test_volumes_are_turned_upright_and_masks_back(axes, tmp_path):
    file = volume(axes, tmp_path / "head.nii.gz")
    scan = scans.read((file,))
    np.testing.assert_array_equal(scan.images[..., 0], HEAD)
    assert scan.pixel == pytest.approx((3, 2))
    assert scan.voxel_ml == pytest.approx(0.024)
    assert scan.numbers == (tuple(range(5)) if "S" in axes else tuple(range(5))[::-1])
    (content,) = scans.mask_files(scan, scan.images[..., 0] > 50)
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    own = nibabel.load(file)
    assert mask.get_data_dtype() == np.uint8
    assert nibabel.aff2axcodes(mask.affine) == tuple(axes)
    np.testing.assert_array_equal(mask.affine, own.affine)
    np.testing.assert_array_equal(mask.get_fdata(), own.get_fdata() > 50)


def test_channels_lie_in_the_fourth_axis(tmp_path):
    file = volume("LPS", tmp_path / "head.nii", np.stack([HEAD, 2 * HEAD, 3 * HEAD], -1))
    scan = scans.read((file,))
    np.testing.assert_array_equal(scan.images[3, 1, 4], [100, 200, 300])
    (content,) = scans.mask_files(scan, scan.images[..., 0] > 50)
    assert nibabel.Nifti1Image.from_bytes(content).shape == (6, 8, 5)


def test_eight_bits_stay_and_others_are_scaled_a_channel_at_a_time():
    random = np.random.default_rng(0)
    small = random.integers(0, 9, (2, 30, 30, 3)).astype(np.uint8)
    assert scans.in_8_bits(small) is small
    large = np.tile(np.arange(1000.0, dtype=np.float32), 2).reshape(2, 20, 50, 1) * [1, 7, 0] - 5
    found = scans.in_8_bits(large)
    assert found.dtype == np.uint8
    tops = np.percentile(large, 99.9, axis=(0, 1, 2))
    expected = np.rint(np.clip(large[..., :2] * 255 / tops[:2], 0, 255))
    assert np.abs(found[..., :2] - expected).max() <= 1
    assert not found[..., 2].any()
    dot = np.zeros((1, 100, 100, 1), np.uint16)
    dot[0, 3, 4] = 900  # less than a thousandth of the stack
    assert scans.in_8_bits(dot).max() == 255


def spoil(folder: Path, kind: str) -> None:
    """Write a bad file called bad with a suffix."""
    file = folder / "bad.png"
    if kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
        file.write_bytes(user_files.encoded(noise)[:500])
    elif kind == "truncated volume":
        whole = volume("RAS", folder / "bad.nii.gz", np.random.default_rng(0).random((9, 9, 9)))
        whole.write_bytes(whole.read_bytes()[:2000])
    elif kind == "transparent":
        imageio.imwrite(file, np.zeros((4, 4, 4), np.uint8))
    elif kind == "16-bit colors":
        file.write_bytes(_png_of_48_bits())
    elif kind == "not finite":
        tifffile.imwrite(folder / "bad.tif", np.full((4, 4), np.nan, np.float32))
    elif kind == "time series":
        volume("RAS", folder / "bad.nii", np.stack([HEAD] * 5, -1))
    elif kind == "flat affine":
        content = bytearray(nibabel.Nifti1Image(HEAD, np.eye(4)).to_bytes())
        content[312:328] = bytes(16)  # the affine's third row
        (folder / "bad.nii").write_bytes(content)


def _png_of_48_bits() -> bytes:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = zlib.compress(2 * (b"\0" + bytes(12)))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    ("kind", "reason"),
    {
        "truncated": "bad.png: cannot be read: the PNG image has no end",
        "truncated volume": "bad.nii.gz: cannot be read",
        "transparent": "bad.png: is transparent in places",
        "16-bit colors": "bad.png: has 16 bits and colors",
        "not finite": "bad.tif: holds float32, or values that are not finite",
        "time series": "a volume has 3 axes, or 3 channels in a 4th",
        "flat affine": "bad.nii: has an affine that does not say how it lies",
    }.items(),
)
def test_bad_files_are_named_with_their_reason(kind, reason, tmp_path, capsys):
    spoil(tmp_path, kind)
    imageio.imwrite(tmp_path / "good.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="1 bad") as error:
        scans.patients(tmp_path)
    assert reason in str(error.value)
    (patient,) = scans.patients(tmp_path, skip_bad=True).patients
    assert [file.name for file in patient.files] == ["good.png"]
    assert "skipped 1 bad files: bad" in capsys.readouterr().err
    (tmp_path / "good.png").unlink()
    with pytest.raises(InputError, match="1 bad"):
        scans.patients(tmp_path, skip_bad=True)


@pytest.mark.parametrize(
    ("names", "stacks"),
    [
        ("ann_flair bob_flair", 2),
        ("ann_1 ann_2 bob_1", 2),
        ("sub1_slice3_T2 sub1_slice4_T2", 1),
        ("sub1_slice3_T2 sub1_slice4_T2 sub2_slice3_T2", 2),
        ("2 10 1", 1),
    ],
)
def test_images_whose_names_differ_in_one_number_are_one_stack(names, stacks, tmp_path, capsys):
    for name in names.split():
        imageio.imwrite(tmp_path / f"{name}.png", np.zeros((4, 6), np.uint8))
    found = scans.patients(tmp_path)
    assert len(found.patients) == stacks
    assert sum(one.slices for one in found.patients) == len(names.split())
    assert "stacks by first file (slices): " in capsys.readouterr().err


def test_two_files_of_one_slice_are_refused(tmp_path):
    for name in ("1", "2", "02"):
        imageio.imwrite(tmp_path / f"{name}.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match=r"02\.png and 2\.png in \. are one slice; keep one"):
        scans.patients(tmp_path)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "tif", "png"])
def test_masks_hold_nothing_that_a_header_says_of_a_person(tmp_path, kind):
    file, secret = tmp_path / f"a.{kind}", "Nobodova"
    if kind.startswith("nii"):
        image = nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.diag([-2, 2, 2, 1]))
        for name in ("descrip", "db_name", "intent_name", "aux_file"):
            image.header[name] = secret
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", secret.encode()))
        nibabel.save(image, file)
    else:
        exif, text = Image.Exif(), PngInfo()
        exif[270] = secret
        text.add_text("Patient", secret)
        options = {"pnginfo": text} if kind == "png" else {}
        Image.fromarray(np.ones((8, 9), np.uint8)).save(file, exif=exif, **options)
    content = gzip.decompress(file.read_bytes()) if kind == "nii.gz" else file.read_bytes()
    assert secret.encode() in content
    scan = scans.read((file,))
    (mask,) = scans.mask_files(scan, np.ones(scan.images.shape[:3], bool))
    assert secret.encode() not in (gzip.decompress(mask) if kind == "nii.gz" else mask)


def test_pixels_that_would_become_too_many_are_refused_before_they_do(tmp_path):
    file = tmp_path / "v.nii.gz"
    image = nibabel.Nifti1Image(np.ones((300, 300, 60), np.uint8), np.diag([0.02, 1, 5, 1]))
    nibabel.save(image, file)
    with pytest.raises(BadFile, match=r"pixels of 1 x 0\.02 mm, too many"):
        scans.read((file,))


def test_what_is_no_intensity_is_refused(tmp_path):
    standardized = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(standardized, np.diag([-2, 2, 2, 1])), tmp_path / "v.nii")
    with pytest.raises(BadFile, match=r"below zero in \d\d% of it"):
        scans.read((tmp_path / "v.nii",))
