"""DICOM films come as a viewer shows them, or are refused with the reason."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from common.data.raw import BadFile
from papers.rare_disease_controlnet import dicom
from tests.papers.rare_disease_controlnet.film_files import SECRETS, blocks, write_dicom

FILM = blocks("a film", 40, 48)
DEEP = FILM.astype(np.uint16) * 16  # 12 bits


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.dcm"


def test_8_bits_stay_as_they_are(file):
    np.testing.assert_array_equal(dicom.read(write_dicom(file, FILM)), FILM)


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        (FILM, {"kind": "MONOCHROME1"}),
        (255 - FILM, {"kind": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
        (DEEP, {"WindowCenter": 2040.5, "WindowWidth": 4081, "BitsStored": 12}),
        (DEEP, {"WindowCenter": [2040.5, 9], "WindowWidth": [4081, 9], "BitsStored": 12}),
        (DEEP | 0xF000, {"WindowCenter": 2040.5, "WindowWidth": 4081, "BitsStored": 12}),
        (
            FILM.astype(np.uint16),
            {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 155.5,
             "WindowWidth": 511},
        ),
        (FILM.astype(np.int16) - 128, {"WindowCenter": 0, "WindowWidth": 256}),
        (FILM, {"PixelData": b"JPEG 2000"}),
        (FILM[:, ::-1], {"PatientOrientation": ["R", "F"]}),
        (FILM[::-1], {"PatientOrientation": ["L", "H"]}),
    ],
    ids=[
        "monochrome1", "inverse", "window", "windows", "overlay", "rescale", "signed",
        "jpeg2000", "mirrored", "upside down",
    ],
)  # fmt: skip
def test_the_film_is_what_a_viewer_shows(file, image, fields):
    shown = dicom.read(write_dicom(file, np.ascontiguousarray(image), **fields))
    turned = "kind" in fields and "PresentationLUTShape" not in fields
    expected = 255 - FILM if turned else FILM
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_without_a_window_the_range_of_the_film_is_stretched(file):
    shown = dicom.read(write_dicom(file, DEEP + np.uint16(700)))
    assert (shown.min(), shown.max()) == (0, 255)
    order = np.argsort(FILM.ravel(), kind="stable")
    assert (np.diff(shown.ravel()[order].astype(int)) >= 0).all()
    assert np.corrcoef(shown.ravel(), FILM.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count(file, kind):
    padded = DEEP.copy()
    padded[:12] = 65535
    shown = dicom.read(write_dicom(file, padded, kind, PixelPaddingValue=65535))
    assert (shown[:12] == 0).all()
    rest = dicom.read(write_dicom(file, DEEP[12:], kind))
    np.testing.assert_array_equal(shown[12:], rest)
    limits = {"PixelPaddingValue": 65000, "PixelPaddingRangeLimit": 65535}
    np.testing.assert_array_equal(dicom.read(write_dicom(file, padded, kind, **limits)), shown)


@pytest.mark.parametrize("packed", [False, True])
def test_a_lookup_table_comes_before_a_window(file, packed):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]  # of 8 bits, for more values than these can count
    numbers = 255 - np.arange(4096) // 16
    if packed:
        table.add_new(0x00283006, "OW", numbers.astype("<u2").tobytes())
    else:
        table.add_new(0x00283006, "US", numbers.tolist())
    fields = {"VOILUTSequence": [table], "WindowCenter": 5, "WindowWidth": 2, "BitsStored": 12}
    np.testing.assert_array_equal(dicom.read(write_dicom(file, DEEP, **fields)), 255 - FILM)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "has burned-in annotations"),
        ({"ViewPosition": "LL"}, "is a view LL, expected AP or PA"),
        ({"PatientOrientation": ["A", "F"]}, "PatientOrientation A, F, which is not frontal"),
        ({"Modality": "CT"}, "is of modality CT, expected one of CR, DX, RG"),
        ({"NumberOfFrames": 2, "Rows": 20}, "holds 2 frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "holds PALETTE COLOR"),
        ({"PixelData": None}, "without pixels"),
        ({"Rows": 400}, "cannot be read"),
        (
            {"WindowCenter": 5, "WindowWidth": 0},
            "has WindowCenter 5 and WindowWidth 0; correct these",
        ),
    ],
)
def test_what_is_no_frontal_film_is_refused(file, fields, reason):
    with pytest.raises(BadFile) as error:
        dicom.read(write_dicom(file, FILM, **fields))
    assert reason in str(error.value)
    assert not any(secret in str(error.value) for secret in SECRETS.values())


def test_deep_films_of_one_value_and_foreign_files_are_refused(file):
    with pytest.raises(BadFile, match="one gray value"):
        dicom.read(write_dicom(file, np.full((40, 40), 900, np.uint16)))
    file.write_bytes(b"no film")
    for read in (dicom.read, dicom.identity):
        with pytest.raises(BadFile, match="it is text, expected DICOM"):
            read(file)
    with pytest.raises(BadFile, match="cannot be read"):
        dicom.read(file.with_name("absent.dcm"))


def test_encodings_that_cannot_be_decoded_here_are_named(file):
    write_dicom(file, FILM, PixelData=b"JPEG 2000")
    dataset = pydicom.dcmread(file)
    for syntax, name in (
        ("1.2.840.10008.1.2.4.80", "JPEG-LS"),
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
    ):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(file)
        with pytest.raises(BadFile, match=f"holds {name}.*write it uncompressed"):
            dicom.read(file)


def test_whose_film_it_is_and_its_view(file):
    assert dicom.identity(write_dicom(file, FILM)) == (SECRETS["PatientID"], "PA")
    fields = {"PatientID": "", "ViewPosition": "LL"}
    assert dicom.identity(write_dicom(file, FILM, **fields)) == ("", "")


def test_dicom_is_known_by_its_name_or_its_beginning(tmp_path):
    for name, known in (("a.DCM", True), ("IM0003", True), ("1.2.840.5", True),
                        ("a.png", False), ("DICOMDIR", False)):  # fmt: skip
        assert dicom.is_dicom(write_dicom(tmp_path / name, FILM)) == known
    (tmp_path / "notes").write_text("none")
    assert not dicom.is_dicom(tmp_path / "notes")
    assert not dicom.is_dicom(tmp_path)
