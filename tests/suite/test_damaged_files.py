"""Hundreds of damaged files for each reader: it reads one, or says why not, and nothing else.

Damage is the same in every run. Where a format has a checksum of its header or content, that is
corrected for half of the files, so that what lies behind it is met too.
"""

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from common.data import scans
from common.data.image_files import read_image
from common.data.raw import BadFile
from common.data.volumes import read_turned
from papers.rare_disease_controlnet import dicom, gray_film
from papers.surgical_vision.image import read_photo
from papers.ultrasound_diconvae import clips
from tests.papers.rare_disease_controlnet.film_files import blocks, write_dicom
from tests.papers.ultrasound_diconvae.dicom_files import put_jpeg

COUNT = 100  # damaged files of each whole one
MOST = 400 * 2**20  # bytes that reading a file of some kilobytes may take
EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff",
            b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\0\x80")  # fmt: skip
GRAY = blocks("gray", 40, 44)
RGB = np.stack([GRAY, GRAY // 2, 255 - GRAY], -1)
HEAD = {".png": 80, ".tif": 300, ".nii": 352}  # bytes that say how the rest is to be read

Read = Callable[[Path], object]


def by_pillow(image: np.ndarray, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, **options)
    return content.getvalue()


def tiff(image: np.ndarray, **options: object) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, image, **options)
    return content.getvalue()


def dicom_file(folder: Path, change: Callable[[pydicom.Dataset], None] | None = None) -> bytes:
    file = write_dicom(folder / "whole.dcm", GRAY.astype(np.uint16) * 9, WindowCenter=900,
                       WindowWidth=1800, PixelPaddingValue=5, RescaleSlope=1,
                       RescaleIntercept=-9, PatientOrientation=["L", "F"])  # fmt: skip
    if change:
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)
    return file.read_bytes()


def jpeg_2000(dataset: pydicom.Dataset) -> None:
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    put_jpeg(dataset, GRAY[None], lossless=True)


def deflated(dataset: pydicom.Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def volume(**fields: object) -> bytes:
    image = nibabel.Nifti1Image(
        np.tile(GRAY[..., None], 3).astype(np.int16), np.diag([-2, 2, 3, 1])
    )
    image.set_qform(image.affine, 1)
    for name, value in fields.items():
        image.header[name] = value
    return image.to_bytes()


def whole(folder: Path) -> dict[str, bytes]:
    """Return the content of whole files by name."""
    return {
        "gray.png": by_pillow(GRAY, "PNG"),
        "deep.png": by_pillow(GRAY.astype(np.uint16) * 9, "PNG"),
        "colors.png": by_pillow(RGB, "PNG"),
        "a.jpg": by_pillow(RGB, "JPEG"),
        "progressive.jpg": by_pillow(GRAY, "JPEG", progressive=True),
        "a.webp": by_pillow(RGB, "WEBP"),
        "gray.tif": tiff(GRAY, photometric="minisblack"),
        "deflate.tif": tiff(RGB, photometric="rgb", compression="zlib"),
        "lzw.tif": by_pillow(RGB, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": by_pillow(RGB, "TIFF", compression="jpeg"),
        "plain.dcm": dicom_file(folder),
        "rle.dcm": dicom_file(folder, lambda dataset: dataset.compress(RLELossless)),
        "jpeg2000.dcm": dicom_file(folder, jpeg_2000),
        "deflated.dcm": dicom_file(folder, deflated),
        "a.nii": volume(),
        "a.nii.gz": gzip.compress(volume(scl_slope=2.0)),
    }


def with_crcs(content: bytes) -> bytes:
    """Return a PNG whose chunks have the right CRC, as far as they can be told."""
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        end = place + 8 + int.from_bytes(fixed[place : place + 4])
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = zlib.crc32(fixed[place + 4 : end]).to_bytes(4)
        place = end + 4
    return bytes(fixed)


def damaged(content: bytes, name: str) -> Iterator[bytes]:
    """Yield damaged versions of a file: bits turned, extremes, parts zeroed, swapped, cut off."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    is_packed = name.endswith(".gz")
    content = gzip.decompress(content) if is_packed else content
    head = HEAD.get(name[name.index(".") :].removesuffix(".gz"), len(content))
    for number in range(COUNT):
        spoiled = bytearray(content)
        for _ in range(random.integers(1, 4)):
            first = int(
                random.integers(
                    0, min(head, len(spoiled)) if random.random() < 0.7 else len(spoiled)
                )
            )
            last = int(min(len(spoiled), first + random.integers(1, 200)))
            match random.integers(0, 5):
                case 0:
                    spoiled[first : first + 1] = bytes(
                        [spoiled[first] ^ 1 << int(random.integers(0, 8))]
                    )
                case 1:
                    extreme = EXTREMES[random.integers(0, len(EXTREMES))]
                    spoiled[first : first + len(extreme)] = extreme
                case 2:
                    spoiled[first:last] = bytes(last - first)
                case 3:
                    del spoiled[first:last]
                case _:
                    spoiled[first:last] = spoiled[first:last][::-1]
        if random.random() < 0.15:
            del spoiled[random.integers(0, len(spoiled) + 1) :]
        if number % 2 and name.endswith(".png"):
            spoiled = bytearray(with_crcs(bytes(spoiled)))
        yield gzip.compress(bytes(spoiled), 1) if is_packed else bytes(spoiled)


def segmented(file: Path) -> object:
    """Return what is written for a scan where nothing is found."""
    scan = scans.read((file,))
    scans.in_8_bits(scan.images)
    return scans.mask_files(scan, np.zeros(scan.images.shape[:3], bool))


IMAGES, FILMS = (".png", ".jpg", ".tif"), (".png", ".jpg", ".dcm")
READERS: dict[str, tuple[Read, tuple[str, ...]]] = {
    "images": (read_image, IMAGES),
    "photos": (read_photo, (*IMAGES, ".webp")),
    "films": (gray_film.read, FILMS),
    "patients of films": (dicom.identity, (".dcm",)),
    "ultrasound": (clips.read, (*IMAGES, ".dcm")),
    "scans": (segmented, (*IMAGES, ".nii", ".gz")),
    "volumes": (lambda file: read_turned(file, "LAS"), (".nii", ".gz")),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_read_or_has_its_reason_and_takes_little_memory(reader, tmp_path):
    read, ends = READERS[reader]
    refused = 0
    for name, content in whole(tmp_path).items():
        if not name.endswith(ends):
            continue
        for number, spoiled in enumerate(damaged(content, name)):
            file = tmp_path / name
            file.write_bytes(spoiled)
            tracemalloc.start()
            try:
                read(file)
            except BadFile:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{name}, damage {number}: {error!r}") from error
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < MOST, f"{name}, damage {number}: {peak / 2**20:.0f} MiB"
    assert refused > COUNT / 2
