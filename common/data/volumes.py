"""NIfTI volumes, read to their end so that damage shows, and turned by their affine."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float, Shaped
from nibabel import orientations
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from common.data.file_kinds import described
from common.data.image_checks import INFLATED
from common.data.raw import BadFile, unreadable

NIFTI = (".nii.gz", ".nii")
MOST_BYTES = 2**32  # of a volume: a head by a quarter of a millimeter has fewer
TURNED = 0.7  # cosine: axes that lie further apart lead to other sides
VOXEL = (0.01, 100.0)  # mm: the shortest and the longest side of one that anybody measures
_GZIP = b"\x1f\x8b"
_FORMATS = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}  # by the size of the header


def read_volume(path: Path) -> nibabel.Nifti1Image:
    """Return a NIfTI volume with its voxels in memory, not yet scaled, or raise `BadFile`.

    A packed one is unpacked to its end, where its checksum stands. Refused are also headers that
    ask for more memory than any scan needs, that do not say how the volume lies, or say it in two
    ways, or whose voxels have a side of nothing or of meters.
    """
    try:
        with _unpacked(path) as (file, most):
            volume = _whole(file, most)
    except BadFile:
        raise
    except (ImageFileError, HeaderDataError):
        raise BadFile("is no NIfTI volume, or its header is damaged") from None
    except gzip.BadGzipFile:
        raise BadFile("cannot be read: its checksum (CRC) is wrong; copy it again") from None
    except EOFError:
        raise BadFile("cannot be read: it ends before its end; copy it again") from None
    except zlib.error:
        raise BadFile("cannot be read: what is packed in it is damaged; copy it again") from None
    except Exception as error:  # nibabel raises its own for a damaged file
        raise unreadable(error) from None
    _check_affine(volume)
    return volume


def numbers_of(volume: nibabel.Nifti1Image) -> Shaped[np.ndarray, ...]:
    """Return a volume's voxels in their stored order, scaled where its header says so.

    Raises `BadFile` for what is no finite real number.
    """
    try:
        voxels = np.asanyarray(volume.dataobj)
    except Exception as error:  # a type that nibabel does not know
        raise unreadable(error) from None
    if voxels.dtype.kind not in "buif":
        raise BadFile(f"holds {voxels.dtype}, not one number a voxel")
    if not np.isfinite(voxels).all():
        raise BadFile("holds values that are not finite")
    return voxels


def read_turned(path: Path, lying: str) -> Float[np.ndarray, "x y z"]:
    """Return a volume of three axes that lead as `lying` says, such as "LAS", or raise `BadFile`.

    LAS is to the left, to the front, and up. A volume whose header says nothing of how it lies
    keeps the order that it is stored in.
    """
    volume = read_volume(path)
    voxels = _of_three_axes(volume)
    if not _says_how_it_lies(volume):
        return voxels
    own = orientations.io_orientation(volume.affine)
    return orientations.apply_orientation(
        voxels, orientations.ornt_transform(own, orientations.axcodes2ornt(lying))
    )


def read_placed(path: Path) -> nibabel.Nifti1Image:
    """Return a volume of three axes, float32, whose affine says where it lies, or raise `BadFile`.

    Refused is one whose header says nothing of it: nobody could know left from right.
    """
    volume = read_volume(path)
    voxels = _of_three_axes(volume)
    if not _says_how_it_lies(volume):
        raise BadFile("does not say how it lies (neither qform nor sform); convert it again")
    placed = type(volume)(voxels, volume.affine)
    placed.set_sform(volume.affine, int(volume.header["sform_code"] or volume.header["qform_code"]))
    return placed


def _of_three_axes(volume: nibabel.Nifti1Image) -> Float[np.ndarray, "x y z"]:
    voxels = numbers_of(volume)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise BadFile(f"has {voxels.ndim} dimensions {voxels.shape}, a volume has 3")
    return voxels.astype(np.float32)


def _says_how_it_lies(volume: nibabel.Nifti1Image) -> bool:
    return bool(volume.header["qform_code"] or volume.header["sform_code"])


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """Yield the content of a file, unpacked where it is packed, whatever its name says.

    And how many bytes it can be at most.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        most = INFLATED * file.seek(0, io.SEEK_END)
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as content:
                yield content, most
        else:
            yield file, most


def _whole(file: io.BufferedIOBase, most: int) -> nibabel.Nifti1Image:
    """Return the volume that a file holds, having read it to its end."""
    head = file.read(348)
    sizes = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    kind = next((_FORMATS[size] for size in sizes if size in _FORMATS), None)
    if kind is None:
        raise BadFile(f"cannot be read: it is {described(head)}, expected a NIfTI volume")
    length = kind.header_class.template_dtype.itemsize
    head += file.read(length - len(head))
    header = kind.header_class(head)
    size = _size(header)
    if size > most:
        raise BadFile(f"cannot be read: it ends before {size} bytes; copy it again")
    content = head + file.read(max(0, size - len(head)))
    if len(content) < size:
        raise BadFile(f"cannot be read: it ends after {len(content)} of {size} bytes")
    behind = 0
    while rest := len(file.read(2**20)):  # to the end, where the checksum stands
        behind += rest
        if behind > MOST_BYTES:
            raise BadFile("goes on for gigabytes behind its voxels; save it again")
    return kind.from_bytes(content)


def _size(header: nibabel.Nifti1Header) -> int:
    """Return how many bytes of the file lead to the end of the voxels."""
    shape = header.get_data_shape()
    if not shape or min(shape) < 1:
        raise BadFile(f"has the shape {shape}, which holds nothing")
    voxels = math.prod(map(int, shape)) * header.get_data_dtype().itemsize
    offset = float(header["vox_offset"])
    if voxels > MOST_BYTES or not 0 <= offset <= MOST_BYTES:
        raise BadFile(f"says that it has {shape} voxels, {voxels:.2g} bytes: no scan has so many")
    return int(offset) + voxels


def _check_affine(volume: nibabel.Nifti1Image) -> None:
    """Raise `BadFile` unless the header says in one way how the volume lies, and how large it is.

    Where it says it twice, for the scanner and for a template, the axes have to lead to the same
    sides: viewers take the one or the other.
    """
    affine = volume.affine
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise BadFile("has an affine that does not say how it lies")
    sides = nibabel.affines.voxel_sizes(affine)
    if not all(VOXEL[0] <= side <= VOXEL[1] for side in sides):
        size = " x ".join(f"{side:.3g}" for side in sides)
        raise BadFile(f"has voxels of {size} mm, expected sides of {VOXEL[0]} to {VOXEL[1]:g} mm")
    try:
        forms = [form for form in (volume.get_sform(True)[0], volume.get_qform(True)[0])
                 if form is not None]  # fmt: skip
    except (ValueError, HeaderDataError):  # of a rotation that is none
        raise BadFile("has a qform that does not say how it lies; save it again") from None
    axes = [form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in forms]
    if not all((np.sum(axes[0] * other, 0) > TURNED).all() for other in axes[1:]):
        raise BadFile("lies in one way by its sform, in another by its qform; remove the wrong one")
