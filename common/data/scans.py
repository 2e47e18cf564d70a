"""Users' own scans: found, checked, read as stacks of axial slices; and masks of them as files.

Images (PNG, TIFF) hold one slice each, gray or of three channels, face up, the patient's right
on the left. Those of one folder are one patient's stack where they agree in shape and type and
their names differ in one number only, which is the slice's: ann_2.png and ann_10.png, but not
bob_1.png. Of names that differ in several numbers the last one is the slice's.

Volumes (NIfTI) hold one patient each: three axes, or four with three channels in the last. They are
turned by their affine to what images show, with the lowest slice first, and masks are turned
back. Where a header has no orientation, nibabel's assumption holds: left, anterior, superior.
"""

import gzip
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8
from nibabel import orientations

from common.data.finder import Account, numeric
from common.data.image_files import read_image
from common.data.raw import BadFile
from common.data.tables import alike as spellings
from common.data.user_files import TIFF, Kinds, encoded, pages, shown
from common.data.volumes import NIFTI, numbers_of, read_volume
from common.errors import InputError

KINDS = Kinds((".png", *TIFF, *NIFTI), made=("_mask", "_overlay", "_probability"))
SAID = 20  # patients that are named when it is said who they are
PERCENTILE = 99.9  # of a stack's channel: what becomes 255 where it has not 8 bits
NEGATIVE = 0.01  # share of an image, from which it is not as it was taken
MOST_NUMBERS = 2**29  # of a volume by square pixels, in three channels
LYING = orientations.axcodes2ornt(("S", "P", "L"))  # where slices, rows and columns lead

Images = Shaped[np.ndarray, "slices height width channels"]
Masks = Bool[np.ndarray, "slices height width"]


@dataclass(frozen=True)
class Patient:
    """Files that make one stack, and how many slices they hold."""

    files: tuple[Path, ...]
    slices: int


@dataclass(frozen=True)
class Scan:
    """One patient's slices with one or three channels, in the numbers that the files hold."""

    files: tuple[Path, ...]  # one a slice, or one volume
    images: Images
    numbers: tuple[int, ...]  # of the slices: among the files, or along the volume's own axis
    pixel: tuple[float, float] = (1.0, 1.0)  # height and width; of a volume in mm
    voxel_ml: float | None = None  # of a volume
    volume: nibabel.Nifti1Image | None = None


@dataclass(frozen=True)
class Found:
    """The patients of the input, and the account of all that lay there."""

    patients: list[Patient]
    account: Account


def patients(
    source: Path,
    skip_bad: bool = False,
    check: Callable[[Path, int], None] = lambda file, channels: None,
) -> Found:
    """Return the patients found at `source`, every file having been read once to check it.

    Who they are is said on stderr. `check` raises `BadFile` for a file of so many channels that is
    not wanted. Raises `InputError` as `Kinds.checked` does.
    """

    def look(file: Path) -> tuple[tuple[int, ...], str]:
        shape, dtype = _look(file)
        check(file, shape[-1])
        return shape, dtype

    found: list[Patient] = []
    alike: dict[tuple, list[Path]] = defaultdict(list)
    checked = KINDS.checked(source, look, skip_bad)
    for file, (shape, dtype) in checked.files:
        if _is_volume(file):
            found.append(Patient((file,), shape[0]))
        else:
            alike[file.parent, shape, dtype].append(file)
    stacks = [stack for files in alike.values() for stack in _stacks(files)]
    for stack in stacks:
        if other := spellings(file.name for file in stack):
            first, second = sorted(other)[:2]
            raise InputError(
                f"--input {source}: {first} and {second} in {shown(stack[0].parent, source)} are "
                "one slice; keep one"
            )
    found += [Patient(tuple(stack), len(stack)) for stack in stacks]
    found.sort(key=lambda one: numeric(one.files[0]))
    said = [f"{shown(one.files[0], source)} ({one.slices})" for one in found]
    listed = ", ".join(said[:SAID]) + ", …" * (len(said) > SAID)
    print(f"stacks by first file (slices): {listed}", file=sys.stderr)
    return Found(found, checked.account)


def read(files: tuple[Path, ...]) -> Scan:
    """Return the scan that a patient's files make, or raise `BadFile`."""
    if not _is_volume(files[0]):
        images = np.stack([_image(file) for file in files])
        return Scan(files, images, tuple(range(len(files))))
    return scan_of(files, *read_channels(files[0]))


def scan_of(
    files: tuple[Path, ...],
    volume: nibabel.Nifti1Image,
    voxels: Shaped[np.ndarray, "x y z channels"],
) -> Scan:
    """Return the scan that a volume's voxels make, which lie as it does, or raise `BadFile`."""
    affine = volume.affine
    turn = orientations.ornt_transform(orientations.io_orientation(affine), LYING)
    axis = {int(to): own for own, to in enumerate(turn[:, 0])}
    sizes = nibabel.affines.voxel_sizes(affine)
    numbers = range(voxels.shape[axis[0]])[:: int(turn[axis[0], 1])]
    images = orientations.apply_orientation(voxels, turn)
    pixel = float(sizes[axis[1]]), float(sizes[axis[2]])
    height, width = square_size(images.shape[1], images.shape[2], pixel)
    if 3 * len(images) * height * width > MOST_NUMBERS:
        size = " x ".join(f"{side:.3g}" for side in pixel)
        raise BadFile(f"has pixels of {size} mm, too many where they are square; resample it")
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    return Scan(files, images, tuple(numbers), pixel, voxel_ml, volume)


def square_size(rows: int, columns: int, pixel: tuple[float, float]) -> tuple[int, int]:
    """Return height and width of a slice by square pixels, as small as the pixels' shorter side."""
    height, width = (
        round(count * side / min(pixel)) for count, side in zip((rows, columns), pixel, strict=True)
    )
    return height, width


def check_intensities(images: Shaped[np.ndarray, "..."]) -> None:
    """Raise `BadFile` for images that are negative other than by rounding, which none is as taken.

    Such are standardized ones, and CT.
    """
    share = float((images < 0).mean()) if images.dtype.kind in "if" else 0.0
    if share > NEGATIVE:
        raise BadFile(f"is below zero in {share:.0%} of it; give the image as it was taken, from 0")


def in_8_bits(images: Images) -> UInt8[np.ndarray, "slices height width channels"]:
    """Return a stack of 8 bits as it is, others scaled, a channel at a time.

    Their 99.9th percentile over the stack becomes 255 (the maximum, where that is 0), what is
    above it as well, and what is below 0 becomes 0.
    """
    if images.dtype == np.uint8:
        return images
    numbers = images.astype(np.float32)
    tops = np.percentile(numbers, PERCENTILE, axis=(0, 1, 2))
    tops = np.where(tops > 0, tops, numbers.max((0, 1, 2)))
    factors = (255 / np.where(tops > 0, tops, np.inf)).astype(np.float32)
    return np.rint(np.clip(numbers * factors, 0, 255)).astype(np.uint8)


def mask_files(scan: Scan, masks: Masks) -> list[bytes]:
    """Return the masks as files of the scan's own kind, size and orientation, one for each file.

    Images hold 0 and 255 in one channel of 8 bits; a volume 0 and 1, of three axes.
    """
    if scan.volume is None:
        return [
            encoded(np.where(mask, 255, 0).astype(np.uint8), KINDS.suffix(file))
            for file, mask in zip(scan.files, masks, strict=True)
        ]
    return [_volume_file(masks.astype(np.uint8), scan)]


def map_files(scan: Scan, maps: Float32[np.ndarray, "slices height width"]) -> list[bytes]:
    """Return maps of [0, 1] as files, one for each of the scan's: float32, TIFF or as `mask_files`.

    A volume stays one; images become TIFF, since PNG has no float32.
    """
    return list(map(pages, maps[:, None])) if scan.volume is None else [_volume_file(maps, scan)]


def _volume_file(values: Shaped[np.ndarray, "slices height width"], scan: Scan) -> bytes:
    """Return the content of a file of the scan's own kind and orientation."""
    assert scan.volume is not None
    own = orientations.io_orientation(scan.volume.affine)
    voxels = orientations.apply_orientation(values, orientations.ornt_transform(LYING, own))
    content = _as_it_lies(voxels, scan.volume).to_bytes()
    packed = KINDS.suffix(scan.files[0]).lower().endswith(".gz")
    return gzip.compress(content, mtime=0) if packed else content


def _as_it_lies(voxels: np.ndarray, volume: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    """Return a volume that lies as another does, and has nothing else of that one's header."""
    image = type(volume)(voxels, None)
    for name in ("qform", "sform"):
        affine, code = getattr(volume, f"get_{name}")(coded=True)
        getattr(image, f"set_{name}")(affine, int(code))
    image.header.set_zooms(volume.header.get_zooms()[:3])
    image.header.set_xyzt_units(volume.header.get_xyzt_units()[0])
    image.header["cal_min"], image.header["cal_max"] = 0, 1  # what a viewer shows black and white
    return image


def _stacks(files: list[Path]) -> list[list[Path]]:
    """Return files of one folder and look as stacks: their names differ in the slice's number."""
    alike: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for file in files:
        parts = re.split(r"([0-9]+)", file.name)
        alike[tuple(parts[::2])].append(parts)
    stacks: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for group in alike.values():
        numbers = [place for place in range(1, len(group[0]), 2)
                   if len({parts[place] for parts in group}) > 1]  # fmt: skip
        for parts in group:
            kept = [part for place, part in enumerate(parts) if place not in numbers[-1:]]
            stacks[tuple(kept)].append(files[0].with_name("".join(parts)))
    return list(stacks.values())


def _is_volume(file: Path) -> bool:
    return KINDS.suffix(file).lower() in NIFTI


def _look(file: Path) -> tuple[tuple[int, ...], str]:
    """Return shape and type of what a file holds; of a volume, slices come first."""
    image = read((file,)).images if _is_volume(file) else _image(file)
    return image.shape, image.dtype.str


def _image(file: Path) -> Shaped[np.ndarray, "height width channels"]:
    image = read_image(file)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise BadFile(
            f"has the shape {image.shape}; an image is height x width, or height x width x 3 "
            "without transparency"
        )
    if image.dtype.kind not in "buif" or not np.isfinite(image).all():
        raise BadFile(f"holds {image.dtype}, or values that are not finite")
    check_intensities(image)
    return image


def read_channels(
    file: Path,
) -> tuple[nibabel.Nifti1Image, Shaped[np.ndarray, "x y z channels"]]:
    """Return a volume and its voxels in one channel or three, or raise `BadFile`."""
    volume = read_volume(file)
    voxels = numbers_of(volume)
    if voxels.ndim == 3:
        voxels = voxels[..., None]
    if voxels.ndim != 4 or voxels.shape[-1] not in (1, 3):
        raise BadFile(f"has the shape {volume.shape}; a volume has 3 axes, or 3 channels in a 4th")
    check_intensities(voxels)
    return volume, voxels
