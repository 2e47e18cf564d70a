"""Users' ultrasound files: the same gray frames whatever a file stores them as, or a reason."""

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import MPEG4HP41, JPEGLosslessSV1, RLELossless

from common.data.dicom import begins_as_dicom
from common.data.raw import BadFile
from papers.ultrasound_diconvae.clips import KINDS, TAGS, read
from tests.papers.ultrasound_diconvae.dicom_files import SECRETS, put_jpeg, region, write

ROWS, COLUMNS = 24, 32
GRID = np.mgrid[:ROWS, :COLUMNS]
IMAGE = (GRID[0] * 6 + GRID[1] * 3).astype(np.uint8)  # smooth, 0 to 231
CLIP = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
COLORS = np.stack([CLIP, CLIP // 2, CLIP // 3], -1)
GRAY = np.rint(COLORS.mean(-1)).astype(np.uint8)


def rewritten(file: Path, change: Callable[[Dataset], None]) -> None:
    """Change a DICOM file's dataset and write it again."""
    dataset = pydicom.dcmread(file)
    change(dataset)
    dataset.save_as(file)


def test_eight_bits_are_taken_as_they_are(tmp_path):
    one = read(write(tmp_path / "1.dcm", IMAGE))
    np.testing.assert_array_equal(one.frames, IMAGE[None])
    assert one.tissue == (slice(0, ROWS), slice(0, COLUMNS))
    assert one.mm is None
    np.testing.assert_array_equal(read(write(tmp_path / "3.dcm", CLIP)).frames, CLIP)
    same = write(tmp_path / "4.dcm", IMAGE // 2, RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_array_equal(read(same).frames[0], IMAGE // 2)


def test_empty_fields_count_as_absent(tmp_path):
    names = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing")
    fields = dict.fromkeys((*names, "SequenceOfUltrasoundRegions"))
    clip = read(write(tmp_path / "1.dcm", IMAGE, **fields))
    np.testing.assert_array_equal(clip.frames[0], IMAGE)
    assert clip.mm is None


def test_monochrome1_is_turned_around(tmp_path):
    np.testing.assert_array_equal(
        read(write(tmp_path / "1.dcm", 255 - CLIP, "MONOCHROME1")).frames, CLIP
    )


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colors_become_their_mean(kind, tmp_path):
    stored = COLORS if kind == "RGB" else convert_color_space(COLORS, "RGB", kind)
    found = read(write(tmp_path / "1.dcm", stored, kind)).frames
    assert np.abs(found.astype(int) - GRAY).max() <= (0 if kind == "RGB" else 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(bits, tmp_path):
    table = np.arange(256)[::-1] * (257 if bits == 16 else 1)
    entries = table.astype(f"<u{bits // 8}").tobytes()
    fields: dict = {}
    for color in ("Red", "Green", "Blue"):
        fields[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        fields[f"{color}PaletteColorLookupTableData"] = entries
    found = read(write(tmp_path / "1.dcm", CLIP, "PALETTE COLOR", **fields)).frames
    np.testing.assert_array_equal(found, 255 - CLIP)


@pytest.mark.parametrize("color", [False, True])
def test_compressed_pixels_are_decoded(color, tmp_path):
    stored, kind = (COLORS, "RGB") if color else (CLIP, "MONOCHROME2")
    expected = GRAY if color else CLIP
    file = write(tmp_path / "rle.dcm", stored, kind)
    rewritten(file, lambda dataset: dataset.compress(RLELossless))
    np.testing.assert_array_equal(read(file).frames, expected)
    file = write(tmp_path / "jpeg2000.dcm", stored, kind)
    rewritten(file, lambda dataset: put_jpeg(dataset, stored, lossless=True))
    np.testing.assert_array_equal(read(file).frames, expected)
    file = write(tmp_path / "jpeg.dcm", stored, kind)
    rewritten(file, lambda dataset: put_jpeg(dataset, stored))
    found = read(file).frames
    assert np.abs(found.astype(int) - expected).max() <= 8
    assert (found != expected).any()  # it is the lossy one that was read


def test_a_window_decides_where_there_is_one(tmp_path):
    values = (IMAGE.astype(np.uint16) * 10)[None].repeat(2, 0)
    fields = {"WindowCenter": [1000, 1], "WindowWidth": [801, 2]}  # the first of two counts
    expected = np.clip((values.astype(float) - 999.5) / 800 + 0.5, 0, 1) * 255
    found = read(write(tmp_path / "1.dcm", values, **fields)).frames
    assert np.abs(found - expected).max() <= 0.5 + 1e-9
    fields |= {"RescaleSlope": 2, "RescaleIntercept": -500}
    found = read(write(tmp_path / "2.dcm", values, **fields)).frames
    expected = np.clip((values * 2.0 - 500 - 999.5) / 800 + 0.5, 0, 1) * 255
    assert np.abs(found - expected).max() <= 0.5 + 1e-9
    inverted = read(write(tmp_path / "3.dcm", values, "MONOCHROME1", **fields)).frames
    np.testing.assert_array_equal(inverted, 255 - found)


def test_sixteen_bits_without_a_window_are_scaled_over_all_frames(tmp_path):
    clip = np.stack([IMAGE, IMAGE // 2]).astype(np.uint16) * 10
    found = read(write(tmp_path / "1.dcm", clip)).frames
    expected = np.clip(clip / np.percentile(clip, 99.9), 0, 1) * 255
    assert np.abs(found - expected).max() <= 1


def test_pixel_sizes_come_from_the_region_or_from_the_spacing(tmp_path):
    def geometry(**fields):
        clip = read(write(tmp_path / "1.dcm", IMAGE, **fields))
        return clip.tissue, clip.mm

    whole = (slice(0, ROWS), slice(0, COLUMNS))
    box = (slice(2, 20), slice(5, 31))
    one = region((2, 5, 19, 30), (0.2, 0.3))
    assert geometry(SequenceOfUltrasoundRegions=[one]) == (box, pytest.approx((0.2, 0.3)))
    upwards = region((2, 5, 19, 30), (-0.2, 0.3))
    assert geometry(SequenceOfUltrasoundRegions=[upwards])[1] == pytest.approx((0.2, 0.3))
    doppler = region((0, 0, 9, 9), (1, 1), RegionSpatialFormat=3, RegionDataType=3)
    color = region((0, 0, 9, 9), (1, 1), RegionDataType=2)
    assert geometry(SequenceOfUltrasoundRegions=[doppler, one, color])[0] == box
    assert geometry(SequenceOfUltrasoundRegions=[one, one]) == (whole, None)
    seconds = region((2, 5, 19, 30), (1, 1), PhysicalUnitsXDirection=4)
    assert geometry(SequenceOfUltrasoundRegions=[seconds]) == (box, None)
    outside = region((2, 5, ROWS, 30), (0.2, 0.3))
    assert geometry(SequenceOfUltrasoundRegions=[outside])[0] == whole
    assert geometry(PixelSpacing=[0.5, 0.25]) == (whole, (0.5, 0.25))
    assert geometry(ImagerPixelSpacing=[0.5, 0.25]) == (whole, (0.5, 0.25))
    assert geometry(PixelSpacing=[0, 0.25]) == (whole, None)


@pytest.mark.parametrize("end", [".png", ".tif", ".JPG"])
def test_images_of_any_kind_become_one_gray_frame(end, tmp_path):
    def written(image: np.ndarray) -> Path:
        file = tmp_path / f"a{end}"
        if end == ".tif":
            tifffile.imwrite(file, image)
        else:
            imageio.imwrite(file, image, **({"quality": 95} if end == ".JPG" else {}))
        return file

    tolerance = 8 if end == ".JPG" else 0
    for image, expected in ((IMAGE, IMAGE), (COLORS[0], GRAY[0])):
        found = read(written(image))
        assert found.frames.shape == (1, ROWS, COLUMNS)
        assert np.abs(found.frames[0].astype(int) - expected).max() <= tolerance
        assert found.mm is None
    if end != ".JPG":
        opaque = np.concatenate([COLORS[0], np.full((ROWS, COLUMNS, 1), 255, np.uint8)], -1)
        np.testing.assert_array_equal(read(written(opaque)).frames, GRAY[:1])
        deep = read(written(IMAGE.astype(np.uint16) * 200)).frames[0]
        scaled = IMAGE * (255 / np.percentile(IMAGE, 99.9))
        assert np.abs(deep - np.minimum(scaled, 255)).max() <= 1


def spoil(file: Path, kind: str) -> Path:
    """Write a bad file, or one that ends like DICOM and is none."""
    if kind == "text":
        file.write_text("a patient's letter")
    elif kind == "cut off":
        write(file, CLIP)
        file.write_bytes(file.read_bytes()[:-900])
    elif kind == "report":
        rewritten(write(file, IMAGE), lambda dataset: delattr(dataset, "PixelData"))
    elif kind == "no size":
        rewritten(write(file, IMAGE), lambda dataset: delattr(dataset, "Rows"))
    else:
        syntax = {"lossless": JPEGLosslessSV1, "video": MPEG4HP41}[kind]

        def change(dataset: Dataset) -> None:
            dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = syntax

        rewritten(write(file, IMAGE), change)
    return file


@pytest.mark.parametrize(
    ("kind", "reason"),
    {
        "text": "it is text, expected PNG, JPEG, TIFF or DICOM",
        "cut off": "cannot be read",
        "report": "without pixels, such as a report",
        "no size": "cannot be read",
        "lossless": r"holds JPEG Lossless.*no decoder is installed; write it uncompressed",
        "video": r"holds MPEG-4.*not read here; write it uncompressed",
    }.items(),
)
def test_bad_files_have_a_reason_that_names_no_patient(kind, reason, tmp_path):
    with pytest.raises(BadFile, match=reason) as error:
        read(spoil(tmp_path / "1.dcm", kind))
    assert not any(secret in str(error.value) for secret in SECRETS.values())


def test_other_bad_images_have_a_reason(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    for name in ("a.png", "a.jpg"):
        imageio.imwrite(tmp_path / name, noise)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:900])
        with pytest.raises(BadFile, match=r"cannot be read: the .* has no end"):
            read(tmp_path / name)
    tifffile.imwrite(tmp_path / "many.tif", np.zeros((7, 20, 30), np.uint8))
    with pytest.raises(BadFile, match="holds 7 images"):
        read(tmp_path / "many.tif")
    tifffile.imwrite(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(BadFile, match="not finite"):
        read(tmp_path / "nan.tif")


def test_dicom_without_a_suffix_is_found_and_a_directory_is_not(tmp_path):
    for name in ("IM_0010", "IM_0002", "1.2.840.7", "DICOMDIR"):
        write(tmp_path / name, IMAGE)
    (tmp_path / "notes").write_text("DICM")
    (tmp_path / "folder").mkdir()
    names = [path.name for path in KINDS.find(tmp_path).entries]
    assert names == ["1.2.840.7", "IM_0002", "IM_0010"]
    np.testing.assert_array_equal(read(tmp_path / "IM_0002").frames[0], IMAGE)
    assert not begins_as_dicom(tmp_path / "nowhere")


def test_nothing_that_names_a_patient_is_ever_read(tmp_path, monkeypatch):
    file, seen, dcmread = write(tmp_path / "1.dcm", IMAGE), [], pydicom.dcmread
    assert set(SECRETS) <= {element.keyword for element in dcmread(file)}

    def watched(*arguments, **options) -> Dataset:
        seen.append(dcmread(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(pydicom, "dcmread", watched)
    read(file)
    (dataset,) = seen
    keywords = {element.keyword for element in dataset}
    assert {"PixelData", "Rows"} <= keywords <= set(TAGS)
    assert not keywords & set(SECRETS)


def group(name: str, **fields: object) -> Dataset:
    """Return a functional group that holds a sequence of one item."""
    item, whole = Dataset(), Dataset()
    for field, value in fields.items():
        setattr(item, field, value)
    setattr(whole, name, [item])
    return whole


DEEP = CLIP.astype(np.uint16) * 16
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def test_an_enhanced_file_shows_what_the_same_tags_at_the_root_say(tmp_path):
    shared = group("PixelMeasuresSequence", PixelSpacing=[0.1, 0.2])
    shared.FrameVOILUTSequence = group("FrameVOILUTSequence", **WINDOW).FrameVOILUTSequence
    enhanced = read(write(tmp_path / "e.dcm", DEEP, SharedFunctionalGroupsSequence=[shared]))
    plain = read(write(tmp_path / "p.dcm", DEEP, PixelSpacing=[0.1, 0.2], **WINDOW))
    np.testing.assert_array_equal(enhanced.frames, plain.frames)
    assert enhanced.mm == plain.mm == (0.1, 0.2)


def test_frames_that_are_shown_differently_are_refused(tmp_path):
    groups = [group("FrameVOILUTSequence", WindowCenter=c, WindowWidth=99) for c in (1, 2, 3)]
    file = write(tmp_path / "e.dcm", DEEP, PerFrameFunctionalGroupsSequence=groups)
    with pytest.raises(BadFile, match="frames of different WindowCenter"):
        read(file)


def test_a_lookup_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], bytes(range(255, -1, -1))
    file = write(tmp_path / "l.dcm", 255 - IMAGE, VOILUTSequence=[table])
    np.testing.assert_array_equal(read(file).frames[0], IMAGE)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count_in_the_scaling(tmp_path, kind):
    padded, tissue = DEEP[0].copy(), DEEP[0][4:]
    padded[:4] = 65535
    found = read(write(tmp_path / "p.dcm", padded, kind, PixelPaddingValue=65535)).frames[0]
    alone = read(write(tmp_path / "a.dcm", tissue, kind)).frames[0]
    assert not found[:4].any()
    assert np.abs(found[4:].astype(int) - alone).max() <= 1


@pytest.mark.parametrize("spacing", [[0.1], [0.1] * 3])
def test_a_spacing_of_other_than_two_numbers_is_none(tmp_path, spacing):
    file = write(tmp_path / "s.dcm", IMAGE)
    rewritten(file, lambda dataset: dataset.add_new(0x00280030, "DS", spacing))
    assert read(file).mm is None
