"""Films as PNG files, and the folder that they are kept in."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import canonical, digest
from papers.rare_disease_controlnet.corpus.store import Folder

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (255, 256), (256, 255), (300, 700)])
def test_what_is_encoded_is_decoded_by_everybody(size):
    image = GENERATOR.integers(0, 256, size, np.uint8)
    content = png.encoded(image)
    with Image.open(io.BytesIO(content)) as theirs:
        theirs.load()
        assert (theirs.mode, theirs.info) == ("L", {})
        np.testing.assert_array_equal(np.array(theirs), image)
    np.testing.assert_array_equal(png.decoded(content, "x"), image)
    assert png.shape(content, "x") == size


def test_the_bytes_are_those_of_the_standard():
    content = png.encoded(np.array([[7, 8]], np.uint8))
    stream = b"\x78\x01\x01\x03\x00\xfc\xff\x00\x07\x08" + struct.pack(
        ">I", zlib.adler32(b"\0\7\b")
    )
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[8:33] == b"\0\0\0\rIHDR\0\0\0\2\0\0\0\1\x08\0\0\0\0" + struct.pack(
        ">I", zlib.crc32(content[12:29])
    )
    assert content[33:37] == struct.pack(">I", len(stream))
    assert content[37 : 41 + len(stream)] == b"IDAT" + stream
    assert content[-12:] == b"\0\0\0\0IEND\xaeB`\x82"


def test_films_of_one_size_have_one_length():
    black, noise = np.zeros((64, 64), np.uint8), GENERATOR.integers(0, 256, (64, 64), np.uint8)
    assert len(png.encoded(black)) == len(png.encoded(noise))


def other(mode: str) -> bytes:
    content = io.BytesIO()
    Image.new(mode, (4, 4)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"GIF89a", other("RGB"), other("1"), other("I;16")])
def test_other_files_are_named(content):
    with pytest.raises(InputError, match=r"film\.png: expected a PNG file of 8-bit gray pixels"):
        png.decoded(content, "film.png")


@pytest.mark.parametrize("damage", [lambda c: c[:60], lambda c: c[:50] + b"\xff" * 9 + c[59:]])
def test_a_damaged_file_is_named(damage):
    content = damage(png.encoded(GENERATOR.integers(0, 256, (8, 8), np.uint8)))
    with pytest.raises(InputError, match=r"film\.png: damaged PNG file \(.*; give the whole file"):
        png.decoded(content, "film.png")


def test_a_folder_keeps_files_by_their_bytes(tmp_path):
    folder = Folder(tmp_path / "films")
    assert list(folder.names()) == []
    first, second = folder.put(b"first"), folder.put(b"second")
    assert first == digest(b"first")
    assert folder.put(b"first") == first
    assert folder.get(first) == b"first"
    assert sorted([first, second]) == list(folder.names())
    assert (tmp_path / "films" / first[:2] / f"{first}.png").read_bytes() == b"first"


def test_a_damaged_file_is_never_returned_and_is_mended_by_the_same_film(tmp_path):
    folder = Folder(tmp_path)
    name = folder.put(b"first")
    file = tmp_path / name[:2] / f"{name}.png"
    file.write_bytes(b"firs")
    with pytest.raises(
        InputError, match=rf"{name}\.png: damaged, its SHA-256 is {digest(b'firs')}"
    ):
        folder.get(name)
    folder.put(b"first")
    assert folder.get(name) == b"first"
    file.unlink()
    with pytest.raises(InputError, match=rf"{name}\.png: no such file; restore it or draw it"):
        folder.get(name)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "/" * 64])
def test_what_is_no_sha256_names_no_file(tmp_path, name):
    with pytest.raises(InputError, match="names no film; give 64 hexadecimal digits"):
        Folder(tmp_path).get(name)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "films").touch()
    with pytest.raises(InputError, match=r"\.png: cannot be written \(.*; free space or give"):
        Folder(tmp_path / "films").put(b"first")


def test_canonical_json_is_one_form():
    value = {"b": [1, 1.0, 0.1, None, True], "a": "é\n"}
    assert canonical(value, "x") == '{"a":"é\\n","b":[1,1.0,0.1,null,true]}'
    with pytest.raises(InputError, match="x: cannot be kept as JSON"):
        canonical([float("inf")], "x")
