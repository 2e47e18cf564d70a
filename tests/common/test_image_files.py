"""Images as viewers show them, and what is refused because nobody can say how it is shown."""

import io
import struct
import zlib

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


def stacked(images):
    """Return a TIFF of one page that says in its description that it holds several images."""
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as file:
        file.write(images, photometric="minisblack", truncate=True)
    return content.getvalue()


def four_bits(image, photometric):
    """Return a TIFF of the upper four bits, which tifffile does not write."""
    rows = (image[:, ::2] & 240 | image[:, 1::2] >> 4).tobytes()
    fields = {256: image.shape[1], 257: image.shape[0], 258: 4, 259: 1, 262: photometric, 273: 8,
              277: 1, 278: image.shape[0], 279: len(rows)}  # fmt: skip
    tags = b"".join(struct.pack("<HHII", *(tag, 4, 1, value)) for tag, value in fields.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(rows))
    return head + rows + struct.pack("<H", len(fields)) + tags + bytes(4)


def zeroed(content, count):
    return content[:-count] + bytes(count)


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
    "TIFF in inks": (
        written(Image.fromarray(RGB).convert("CMYK"), "TIFF"),
        np.asarray(Image.fromarray(RGB).convert("CMYK").convert("RGB")),
    ),
    "four bits": (
        written(Image.fromarray(GRAY), "PNG", bits=4),
        (GRAY & 15) * np.uint8(17),
    ),
    "TIFF of four bits": (four_bits(GRAY, 1), (GRAY >> 4) * np.uint8(17)),
    "TIFF of four bits, white is zero": (four_bits(GRAY, 0), 255 - (GRAY >> 4) * np.uint8(17)),
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
    "perceived colors": (
        written(Image.fromarray(RGB).convert("LAB"), "TIFF", compression="tiff_lzw"),
        "colors as CIELAB",
    ),
    "one page that holds three": (stacked(np.stack([GRAY] * 3)), "holds 3 images"),
    "channels that are not shown": (
        tiff(
            np.stack([GRAY, DEEP.astype(np.uint8)]),
            photometric="minisblack",
            planarconfig="separate",
        ),
        "has 2 channels, of which 1 are shown",
    ),
    "one gray value of 16 bits that shines through": (
        written(DEEP, transparency=int(DEEP[0, 0])),
        "transparent in places",
    ),
    "by LZW, white is zero": (
        written(DEEP, "TIFF", compression="tiff_lzw", tiffinfo={262: 0}),
        "has 16 bits, MINISWHITE by LZW, which is not read here",
    ),
    "packed, with an end of zeros": (
        zeroed(tiff(GRAY, photometric="minisblack", compression="zlib"), 50),
        "a part of it is missing or zero",
    ),
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
    with pytest.raises(BadFile, match="60000x60000 pixels, which its content cannot hold"):
        image_of(content[:29] + crc + content[33:])


DAMAGED = {
    "a bit of the PNG turned": (lambda c: c[:60] + bytes([c[60] ^ 4]) + c[61:], "CRC"),
    "the end cut off": (lambda c: c[:-30], "no end"),
    "the end full of zeros": (lambda c: c[:-300] + bytes(300), "CRC"),
    "empty": (lambda _: b"", "is empty"),
    "zeros": (lambda _: bytes(99), "nothing but zeros"),
    "a pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a page": (lambda _: b"<!DOCTYPE html><p>Sign in", "web page"),
    "a link of git-annex": (lambda _: b"/annex/objects/SHA256E-s9--ab.png\n", "git annex get"),
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


def test_what_follows_a_jpeg_is_none_of_it(tmp_path):
    content = written(RGB, "JPEG")
    (tmp_path / "a.jpg").write_bytes(content + b"film\xff\xda" + bytes(99))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), image_of(content))


def test_a_link_to_what_was_not_fetched_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to("../.git/annex/objects/aa/x.png")
    with pytest.raises(BadFile, match=r"a link to .*x\.png, which is not there \(git annex get"):
        read_image(tmp_path / "a.png")


def test_a_file_that_may_not_be_read_or_is_not_there_has_its_reason(tmp_path):
    with pytest.raises(BadFile, match="No such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(BadFile, match="Is a directory"):
        read_image(tmp_path)
