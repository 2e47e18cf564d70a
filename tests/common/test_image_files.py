"""Images as viewers show them, and what is refused because nobody can say how it is shown."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from common.data.image_files import image_of, read_image
from common.data.raw import BadFile

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (20, 30), np.uint8)
RGB = RANDOM.integers(0, 256, (20, 30, 3), np.uint8)
DEEP = GRAY.astype(np.uint16) * 16
BLACK_AND_WHITE = np.where(GRAY > 128, 255, 0).astype(np.uint8)


def tiff(image, **options):
    content = io.BytesIO()
    tifffile.imwrite(content, image, **options)
    return content.getvalue()


def written(image, kind="PNG", **options):
    content = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(content, kind, **options)
    return content.getvalue()


def oriented(number):
    exif = Image.Exif()
    exif[274] = number
    return exif


def png16(image, color):
    """Return a PNG of 16 bits in colors, which Pillow does not write."""
    height, width = image.shape[:2]

    def chunk(name, data):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    head = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


PALETTE = Image.fromarray(RGB).quantize(16)
COLORED = np.asarray(PALETTE.convert("RGB"))
OPAQUE = np.dstack([RGB, np.full(GRAY.shape, 255, np.uint8)])
SHOWN = {
    "gray": (written(GRAY), GRAY),
    "16 bits": (written(DEEP), DEEP),
    "one bit": (written(Image.fromarray(GRAY > 128)), BLACK_AND_WHITE),
    "palette": (written(PALETTE), COLORED),
    "opaque": (written(OPAQUE), RGB),
    "gray and opaque": (written(np.dstack([GRAY, OPAQUE[..., 3]])), GRAY),
    "TIFF of one bit": (written(Image.fromarray(GRAY > 128), "TIFF"), BLACK_AND_WHITE),
    "TIFF of floats": (tiff(GRAY / np.float32(7)), GRAY / np.float32(7)),
    "TIFF with a sign": (tiff(GRAY.astype(np.int16) - 99), GRAY.astype(np.int16) - 99),
    "TIFF, white is zero": (tiff(255 - GRAY, photometric="miniswhite"), GRAY),
    "TIFF of 16 bits, white is zero": (tiff(65535 - DEEP, photometric="miniswhite"), DEEP),
    "TIFF in planes": (
        tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"),
        RGB,
    ),
    "TIFF with a palette": (written(PALETTE, "TIFF"), COLORED),
    "TIFF, opaque": (tiff(OPAQUE, photometric="rgb", extrasamples=["unassalpha"]), RGB),
    "TIFF by LZW": (written(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "TIFF of 16 bits by LZW": (written(DEEP, "TIFF", compression="tiff_lzw"), DEEP),
    "TIFF by fax": (
        written(Image.fromarray(GRAY > 128), "TIFF", compression="group4"),
        BLACK_AND_WHITE,
    ),
}


@pytest.mark.parametrize(("content", "image"), SHOWN.values(), ids=SHOWN)
def test_an_image_is_what_viewers_show(content, image):
    found = image_of(content)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("number", range(1, 9))
def test_an_orientation_is_heeded_in_every_kind_of_file(number):
    upright = np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(written(RGB, exif=oriented(number)))))
    )
    for content in (
        written(RGB, exif=oriented(number)),
        tiff(RGB, photometric="rgb", extratags=[(274, 3, 1, number, True)]),
        written(RGB, "TIFF", compression="tiff_lzw", tiffinfo={274: number}),
    ):
        np.testing.assert_array_equal(image_of(content), upright)
    jpeg = image_of(written(RGB, "JPEG", quality=95, exif=oriented(number)))
    assert jpeg.shape == upright.shape


def test_what_is_inside_counts_and_not_the_name(tmp_path):
    file = tmp_path / "scan.tif"
    file.write_bytes(written(GRAY))
    np.testing.assert_array_equal(read_image(file), GRAY)


TRANSPARENT = np.dstack([RGB, GRAY])
REFUSED = {
    "transparent": (written(TRANSPARENT), "transparent in places"),
    "TIFF, transparent": (
        tiff(TRANSPARENT, photometric="rgb", extrasamples=["unassalpha"]),
        "transparent in places",
    ),
    "colors of 16 bits": (png16(np.dstack([DEEP] * 3), 2), "16 bits and colors"),
    "alpha of 16 bits": (png16(np.dstack([DEEP, DEEP]), 4), "16 bits and colors or transparency"),
    "several pages": (tiff(np.stack([GRAY, GRAY]), photometric="minisblack"), "holds 2 images"),
    "inks": (written(Image.fromarray(RGB).convert("CMYK"), "TIFF"), "colors as SEPARATED"),
    "white is zero, with a sign": (
        tiff(GRAY.astype(np.int16), photometric="miniswhite"),
        "white at zero",
    ),
    "huge": (
        written(GRAY).replace(struct.pack(">II", 30, 20), struct.pack(">II", 60000, 60000)),
        "the CRC of its chunk 'IHDR'",
    ),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shown_for_certain_is_refused(content, reason, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(BadFile, match=reason):
        read_image(file)


def test_a_size_that_nobody_has_is_refused_before_memory_is_asked_for():
    content = png16(np.zeros((1, 60000)), 0)
    content = content.replace(b"\0\0\xea\x60\0\0\0\1", b"\0\0\xea\x60" * 2)
    crc = zlib.crc32(content[12:29]).to_bytes(4)
    with pytest.raises(BadFile, match="more pixels than any scan"):
        image_of(content[:29] + crc + content[33:])


DAMAGED = {
    "a bit of the PNG turned": (lambda c: c[:60] + bytes([c[60] ^ 4]) + c[61:], "CRC"),
    "the end cut off": (lambda c: c[:-30], "no end"),
    "the end full of zeros": (lambda c: c[:-300] + bytes(300), "CRC"),
    "empty": (lambda _: b"", "is empty"),
    "zeros": (lambda _: bytes(99), "nothing but zeros"),
    "a pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a page": (lambda _: b"<!DOCTYPE html><p>Sign in", "web page"),
    "text": (lambda _: b"Dear colleague", "is text"),
    "DICOM": (lambda _: bytes(128) + b"DICM", "DICOM"),
    "GIF": (lambda _: written(GRAY, "GIF"), "GIF"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damage_and_other_files_are_named_for_what_they_are(damage, reason, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(damage(written(GRAY)))
    with pytest.raises(BadFile, match=reason):
        read_image(file)


@pytest.mark.parametrize("cut", [lambda c: c[:-40], lambda c: c[:-40] + bytes(40)])
def test_a_jpeg_without_its_end_is_damaged(cut, tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(cut(written(RGB, "JPEG")))
    with pytest.raises(BadFile, match="no end"):
        read_image(file)


def test_a_file_that_may_not_be_read_or_is_not_there_has_its_reason(tmp_path):
    with pytest.raises(BadFile, match="No such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(BadFile, match="Is a directory"):
        read_image(tmp_path)


def test_thousands_of_damaged_files_are_read_or_refused_and_nothing_else():
    random = np.random.default_rng(1)
    for content, _ in (*SHOWN.values(), (written(RGB, "JPEG"), None)):
        for _ in range(60):
            spoiled = bytearray(content)
            for place in random.integers(0, len(spoiled), random.integers(1, 6)):
                spoiled[place] = random.choice([0, 1, 127, 255, spoiled[place] ^ 8])
            if random.random() < 0.3:
                del spoiled[random.integers(0, len(spoiled)) :]
            with suppress(BadFile):
                assert image_of(bytes(spoiled)).ndim in (2, 3)
