"""DICOM ultrasound is what a viewer shows, or is refused with what is wrong with its header."""

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space
from pydicom.uid import DeflatedExplicitVRLittleEndian

from common.data import dicom
from common.data.raw import BadFile
from papers.ultrasound_diconvae.clips import read
from tests.papers.ultrasound_diconvae.dicom_files import put_jpeg, write
from tests.papers.ultrasound_diconvae.test_clips import COLORS, DEEP, GRAY, IMAGE, rewritten

SIGNED = DEEP[0].astype(np.int16) - 2000
HALF = COLORS[0][:, ::2].repeat(2, 1)  # whose neighbors share their colors, as YBR_FULL_422 does


def two_for_one(colors):
    """Return RGB as YBR_FULL_422 stores it: of two pixels each its brightness, and one color."""
    ybr = convert_color_space(colors, "RGB", "YBR_FULL")
    return np.dstack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]]).tobytes()


def table(entries, bits=8):
    one = Dataset()
    one.LUTDescriptor, one.LUTData = [256, 0, bits], bytes(entries)
    return one


SHOWN = {  # stored, kind, fields, what is shown, and by how much that may differ
    "one bit": (
        IMAGE,
        "MONOCHROME2",
        {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0,
         "PixelData": np.packbits(IMAGE > 99, bitorder="little").tobytes()},
        np.where(IMAGE > 99, 255, 0),
    ),
    "four bits": (IMAGE >> 4, "MONOCHROME2", {"BitsStored": 4, "HighBit": 3}, (IMAGE >> 4) * 17),
    "eight bits in sixteen": (
        IMAGE.astype(np.uint16), "MONOCHROME2", {"BitsStored": 8, "HighBit": 7}, IMAGE,
    ),
    "first of two windows": (
        IMAGE, "MONOCHROME2", {"WindowCenter": [128, 9], "WindowWidth": [256, 2]}, IMAGE,
    ),
    "first of two tables": (
        IMAGE, "MONOCHROME2",
        {"VOILUTSequence": [table(range(256)), table([7] * 256)]}, IMAGE,
    ),
    "planes": (
        np.ascontiguousarray(np.moveaxis(COLORS[0], -1, 0)).reshape(COLORS[0].shape), "RGB",
        {"PlanarConfiguration": 1}, GRAY[0],
    ),
    "colors of sixteen bits": (COLORS[0].astype(np.uint16) * 257, "RGB", {}, GRAY[0]),
    "shared colors": (
        HALF, "YBR_FULL_422", {"PixelData": two_for_one(HALF)}, HALF.mean(-1),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stored", "kind", "fields", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_file_is_what_a_viewer_shows(stored, kind, fields, shown, tmp_path):
    found = read(write(tmp_path / "1.dcm", stored, kind, **fields)).frames
    assert len(found) == 1
    assert np.abs(found[0].astype(int) - shown).max() <= 2


@pytest.mark.parametrize("intercept", [0, -1024])
def test_values_below_zero_are_shown_as_if_all_were_above(intercept, tmp_path):
    fields = {"RescaleSlope": 1, "RescaleIntercept": intercept}
    signed = read(write(tmp_path / "s.dcm", SIGNED, PixelRepresentation=1, **fields)).frames
    np.testing.assert_array_equal(signed, read(write(tmp_path / "u.dcm", DEEP[0])).frames)


def test_padding_of_a_signed_file_may_be_written_without_a_sign(tmp_path):
    padded = SIGNED.copy()
    padded[:4] = -3000
    file = write(tmp_path / "p.dcm", padded, PixelRepresentation=1)
    rewritten(file, lambda dataset: dataset.add_new(0x00280120, "US", 2**16 - 3000))
    found = read(file).frames[0]
    alone = read(write(tmp_path / "a.dcm", SIGNED[4:], PixelRepresentation=1)).frames[0]
    assert not found[:4].any()
    assert np.abs(found[4:].astype(int) - alone).max() <= 1


def test_an_image_is_read_whatever_its_name_says(tmp_path):
    file = write(tmp_path / "1.png", IMAGE)
    np.testing.assert_array_equal(read(file).frames[0], IMAGE)
    Image.fromarray(IMAGE).save(tmp_path / "1.dcm", "PNG")
    np.testing.assert_array_equal(read(tmp_path / "1.dcm").frames[0], IMAGE)


REFUSED = {
    "slope of nothing": ({"RescaleSlope": 0, "RescaleIntercept": 1}, "has RescaleSlope 0"),
    "huge slope": ({"RescaleSlope": "1e38", "RescaleIntercept": "1e300"}, "RescaleSlope 1e.38"),
    "no width": ({"WindowCenter": 9, "WindowWidth": 0}, "WindowCenter 9 and WindowWidth 0"),
    "huge width": ({"WindowCenter": 9, "WindowWidth": "1e38"}, "WindowWidth 1e.38"),
    "another function": (
        {"WindowCenter": 9, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
        "VOILUTFunction CUBIC, expected LINEAR",
    ),
    "table without numbers": ({"VOILUTSequence": [table([])]}, "without numbers"),
    "short table": ({"VOILUTSequence": [table([1, 2])]}, "2 numbers in its VOILUTSequence"),
    "two ways": ({"PresentationLUTShape": "INVERSE"}, "do not agree"),
    "other colors": (
        {"PhotometricInterpretation": "HSV", "SamplesPerPixel": 3}, "holds HSV in 3 channels",
    ),
    "upper bits": ({"BitsStored": 6}, "has 6 of 8 bits up to number 7"),
    "too many rows": ({"Rows": 60000, "Columns": 60000}, "more than are read"),
    "too many frames": ({"NumberOfFrames": 2**31 - 1}, "more than are read"),
    "fewer rows": ({"Rows": 12}, "768 bytes of pixels, its header says 384"),
    "more rows": ({"Rows": 25}, "768 bytes of pixels, its header says 800"),
    "no rows": ({"Rows": 0}, "its header says"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_header_that_cannot_be_right_is_refused_in_its_own_words(fields, reason, tmp_path):
    with pytest.raises(BadFile, match=reason):
        read(write(tmp_path / "1.dcm", IMAGE, **fields))


def test_a_value_that_its_tag_may_not_hold_is_named(tmp_path):
    file = write(tmp_path / "1.dcm", IMAGE, RescaleSlope="1.5", RescaleIntercept=0)
    file.write_bytes(file.read_bytes().replace(b"1.5 ", b"1,5 "))
    with pytest.raises(BadFile, match="its RescaleSlope is not what that tag may hold"):
        read(file)


@pytest.mark.parametrize("mm", [["1e38", "1e38"], ["1e-30", "1"], ["-1", "-1"]])
def test_a_pixel_of_a_size_that_nobody_measures_has_none(mm, tmp_path):
    file = write(tmp_path / "1.dcm", IMAGE)
    rewritten(file, lambda dataset: dataset.add_new(0x00280030, "DS", mm))
    assert read(file).mm is None


def test_packed_pixels_whose_end_is_missing_are_refused(tmp_path):
    def change(dataset):
        put_jpeg(dataset, IMAGE[None])
        dataset.PixelData = dataset.PixelData[:-60] + bytes(60)

    file = write(tmp_path / "1.dcm", IMAGE)
    rewritten(file, change)
    with pytest.raises(BadFile, match="cannot be read"):
        read(file)


def test_a_deflated_file_is_read_unless_it_becomes_too_large(tmp_path, monkeypatch):
    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    file = write(tmp_path / "1.dcm", IMAGE)
    rewritten(file, change)
    np.testing.assert_array_equal(read(file).frames[0], IMAGE)
    monkeypatch.setattr(dicom, "MOST_BYTES", IMAGE.size)
    with pytest.raises(BadFile, match="unpacks to more than any scan has"):
        read(file)
