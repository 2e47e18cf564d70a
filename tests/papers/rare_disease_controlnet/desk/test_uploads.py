"""What users bring: films come out as pixels alone, all else is refused with the reason."""

from tests.papers.rare_disease_controlnet.desk.made_up import Limits  # isort: skip

import io
import random
import struct
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.uploads import accept, shown
from tests.papers.rare_disease_controlnet.film_files import SECRETS, blocks, write_dicom

LIMITS = Limits()
FILM = blocks("a film", 48, 48)
SCRIPT = b"<script>alert(1)</script>"


def saved(image, kind="PNG", **options):
    content = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(content, kind, **options)
    return content.getvalue()


def accepted(content, name="a.png", limits=LIMITS):
    return accept(content, name, limits)


def dicom(tmp_path, image=FILM, **fields):
    return write_dicom(tmp_path / "a.dcm", image, **fields).read_bytes()


def colored(image, alpha=None):
    return np.stack([image] * 3 + ([alpha] if alpha is not None else []), -1)


def chunk(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def head(width, height, depth=8, color=0):
    form = struct.pack(">II5B", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", form)


def test_a_film_comes_as_it_is_from_every_kind_of_file(tmp_path):
    kinds = {
        "png": saved(FILM),
        "interlaced or not": saved(FILM, optimize=True),
        "rgb": saved(colored(FILM)),
        "alpha": saved(colored(FILM, np.full_like(FILM, 255))),
        "gray and alpha": saved(np.stack([FILM, np.full_like(FILM, 255)], -1)),
        "palette": saved(Image.fromarray(FILM).convert("P")),
        "dicom": dicom(tmp_path),
    }
    for kind, content in kinds.items():
        film = accepted(content)
        assert film.dtype == np.uint8, kind
        np.testing.assert_array_equal(film, FILM, kind)
    for image in (FILM, colored(FILM), Image.fromarray(FILM).convert("CMYK")):
        film = accepted(saved(image, "JPEG", quality=98))
        assert np.abs(film.astype(int) - FILM).mean() < 4


def test_the_name_decides_nothing(tmp_path):
    for name in ("a.dcm", "a.jpg", "a", "", "a.svg", "../../etc/passwd", "a\0.png"):
        np.testing.assert_array_equal(accepted(saved(FILM), name), FILM)
    np.testing.assert_array_equal(accepted(dicom(tmp_path), "a.png"), FILM)


def test_16_bits_are_stretched_to_what_is_seen():
    deep = FILM.astype(np.uint16) * 16 + 700  # 12 bits, as detectors give
    film = accepted(saved(deep))
    assert (film.min(), film.max()) == (0, 255)
    assert np.corrcoef(film.ravel(), FILM.ravel())[0, 1] > 0.999
    rows = b"".join(b"\0" + struct.pack(">144H", *[v * 257 for v in row for _ in range(3)])
                    for row in FILM.tolist())  # fmt: skip
    colors = head(48, 48, 16, 2) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(accepted(colors), FILM)
    with pytest.raises(InputError, match="one gray value"):
        accepted(saved(np.full((48, 48), 4000, np.uint16)))


@pytest.mark.parametrize(("number", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_film_is_turned_as_its_camera_was_held(number, turns):
    exif = Image.Exif()
    exif[0x0112] = number
    expected = np.rot90(FILM, turns)
    np.testing.assert_array_equal(accepted(saved(FILM, exif=exif)), expected)
    film = accepted(saved(FILM, "JPEG", quality=98, exif=exif))
    assert np.abs(film.astype(int) - expected).mean() < 4
    deep = FILM.astype(np.uint16) * 257
    film = accepted(saved(deep, exif=exif))
    assert np.abs(film.astype(int) - expected).max() < 8


def test_a_film_becomes_a_square_and_nothing_is_squeezed():
    assert accepted(saved(blocks("wide", 48, 60))).shape == (51, 51)


def test_nothing_but_pixels_comes_out(tmp_path):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("evil.html", SCRIPT)
    comment = Image.Exif()
    comment[0x010E] = SCRIPT.decode()
    polyglots = [
        saved(FILM) + SCRIPT,
        saved(FILM) + zipped.getvalue(),
        saved(FILM)[:33] + chunk(b"tEXt", b"Comment\0" + SCRIPT) + saved(FILM)[33:],
        saved(FILM, exif=comment),
        saved(FILM, "JPEG", comment=SCRIPT, exif=comment) + zipped.getvalue(),
        SCRIPT.ljust(128, b" ") + dicom(tmp_path)[128:],
    ]
    lengths = set()
    for content in polyglots:
        assert SCRIPT in content or b"evil.html" in content
        again = png.encoded(accepted(content))
        lengths.add(len(again))
        found = [word for word in (b"script", b"evil", b"Exif", b"tEXt", b"PK") if word in again]
        assert not found
    assert len(lengths) == 1
    again = png.encoded(accepted(dicom(tmp_path)))
    assert not [value for value in SECRETS.values() if value.encode() in again]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, HTML"),
        (b"\xef\xbb\xbf \n<?xml version='1.0'?><svg/>", "SVG, HTML"),
        (b"<!doctype html>" + SCRIPT, "SVG, HTML"),
        (b"PK\x03\x04" + bytes(100), "a ZIP file"),
        (b"%PDF-1.7" + bytes(100), "a PDF file"),
        (b"GIF89a" + bytes(100), "a GIF image"),
        (b"\x1f\x8b" + bytes(100), "a gzip file"),
        (saved(FILM, "TIFF"), "a TIFF image"),
        (saved(FILM, "BMP"), "a BMP image"),
        (saved(FILM, "WEBP"), "a WebP image"),
        (b"\x93NUMPY" + bytes(100), "of another kind"),
        (SCRIPT + saved(FILM), "SVG, HTML"),
        (saved(FILM)[:-30], "cannot be read"),
        (saved(FILM)[:40], "cannot be read"),
        (saved(FILM)[:8], "cannot be read"),
        (saved(FILM, "JPEG")[:-200], "cannot be read"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "no PNG or JPEG|cannot be read"),
        (bytes(128) + b"DICM" + bytes(200), "cannot be read|without pixels"),
        (saved(np.stack([FILM, 255 - FILM, FILM], -1)), "in color"),
        (saved(np.zeros((48, 48), np.uint8)), "one gray value"),
        (saved(blocks("tiny", 20, 20)), "at least 32"),
        (saved(blocks("long", 40, 100)), "shape of a chest film"),
    ],
)
def test_something_else_is_refused_with_the_reason(content, reason):
    with pytest.raises(InputError, match=f"^a.png: .*({reason})"):
        accepted(content)


@pytest.mark.parametrize(
    "fields",
    [{"Modality": "CT"}, {"ViewPosition": "LL"}, {"NumberOfFrames": 3}, {"PixelData": None},
     {"BurnedInAnnotation": "YES"}, {"Rows": None, "Columns": None}],
    ids=str,
)  # fmt: skip
def test_dicom_that_is_no_film_is_refused(tmp_path, fields):
    with pytest.raises(InputError, match=r"^a\.dcm: "):
        accepted(dicom(tmp_path, **fields), "a.dcm")


def test_what_would_grow_is_refused_before_it_is_read(tmp_path):
    def zeros(count):
        return zlib.compress(bytes(count), 9)

    bombs = {
        "a gigapixel": head(30_000, 30_000) + chunk(b"IDAT", zeros(10**7)) + chunk(b"IEND", b""),
        "more than admitted": head(4097, 4096) + chunk(b"IDAT", zeros(10**7)),
        "a line": head(2**31 - 1, 1) + chunk(b"IDAT", zeros(10**6)),
        "text": saved(FILM)[:33] + chunk(b"zTXt", b"a\0\0" + zeros(2**28)) + saved(FILM)[33:],
        "profile": saved(FILM)[:33] + chunk(b"iCCP", b"a\0\0" + zeros(2**28)) + saved(FILM)[33:],
        "dicom of many pixels": dicom(tmp_path, Rows=60_000, Columns=60_000),
        "deflated dicom": _deflated(tmp_path),
    }
    reasons = "at most|far too many|is deflated|cannot be read"
    for name, content in bombs.items():
        with pytest.raises(InputError, match=reasons):
            accepted(content, name)
    with pytest.raises(InputError, match="64x64, expected at most 48x48"):
        accepted(saved(Image.new("L", (64, 64))), limits=Limits(side=48))
    with pytest.raises(InputError, match=r"has 9\.0 MB, expected at most 8 MB"):
        accepted(bytes(9 * 2**20))


def _deflated(tmp_path):
    file = write_dicom(tmp_path / "b.dcm", FILM)
    dataset = dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00204000, "UN", bytes(10**7))
    dataset.save_as(file)
    return file.read_bytes()


def test_a_deflated_dicom_file_is_refused_though_its_preamble_is_a_png(tmp_path):
    small = saved(Image.new("L", (48, 48)))
    assert len(small) <= 128
    with pytest.raises(InputError, match="is deflated DICOM"):
        accepted(small.ljust(128, b"\0") + _deflated(tmp_path)[128:])


def test_damage_anywhere_is_a_line_or_a_film(tmp_path):
    choose = random.Random(1)
    for content in (saved(FILM), saved(FILM, "JPEG"), dicom(tmp_path), saved(FILM * np.uint16(9))):
        for _ in range(60):
            damaged = bytearray(content)
            for _ in range(choose.randint(1, 8)):
                damaged[choose.randrange(len(damaged))] = choose.randrange(256)
            del damaged[choose.randrange(len(damaged)) + 1 :]
            with suppress(InputError):
                assert accepted(bytes(damaged)).dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "expected"),
    [("film.png", "film.png"), ("C:\\Users\\anna\\film.png", "film.png"),
     ("../../etc/passwd", "passwd"), ("a\nb\0c\u202ed.png", "abcd.png"), ("", "the file"),
     ("x" * 300, "x" * 100), ("..", ".."), ("Röntgen 1.png", "Röntgen 1.png")],
)  # fmt: skip
def test_of_a_files_name_the_harmless_part_is_shown(name, expected):
    assert shown(name) == expected
