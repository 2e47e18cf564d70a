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

from common.data.raw import BadFile, unreadable

NIFTI = (".nii.gz", ".nii")
MOST_BYTES = 2**32  # of a volume: a head by a quarter of a millimeter has fewer
VOXEL = (0.01, 100.0)  # mm: the shortest and the longest side of one that anybody measures
_GZIP = b"\x1f\x8b"
_FORMATS = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}  # by the size of the header


def read_volume(path: Path) -> nibabel.Nifti1Image:
    """Return a NIfTI volume with its voxels in memory, not yet scaled, or raise `BadFile`.

    A packed one is unpacked to its end, where its checksum stands. Refused are also headers that
    ask for more memory than any scan needs, that do not say how the volume lies, or whose voxels
    have a side of nothing or of meters.
    """
    try:
        with _unpacked(path) as file:
            volume = _whole(file)
    except BadFile:
        raise
    except (ImageFileError, HeaderDataError):
        raise BadFile("is no NIfTI volume, or its header is damaged") from None
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
    voxels = numbers_of(volume)
    if voxels.ndim != 3:
        raise BadFile(f"has {voxels.ndim} dimensions {voxels.shape}, a volume has 3")
    voxels = voxels.astype(np.float32)
    header = volume.header
    if not header["qform_code"] and not header["sform_code"]:
        return voxels
    own = orientations.io_orientation(volume.affine)
    return orientations.apply_orientation(
        voxels, orientations.ornt_transform(own, orientations.axcodes2ornt(lying))
    )


@contextmanager
def _unpacked(path: Path) -> Iterator[io.BufferedIOBase]:
    """Yield the content of a file, unpacked where it is packed, whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as content:
                yield content
        else:
            yield file


def _whole(file: io.BufferedIOBase) -> nibabel.Nifti1Image:
    """Return the volume that a file holds, having read it to its end."""
    head = file.read(348)
    sizes = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    kind = next((_FORMATS[size] for size in sizes if size in _FORMATS), None)
    if kind is None:
        raise BadFile("is empty" if not head else "is no NIfTI volume")
    length = kind.header_class.template_dtype.itemsize
    head += file.read(length - len(head))
    header = kind.header_class(head)
    size = _size(header)
    content = head + file.read(max(0, size - len(head)))
    if len(content) < size:
        raise BadFile(f"cannot be read: it ends after {len(content)} of {size} bytes")
    while file.read(2**20):  # what lies behind the voxels, and the checksum
        pass
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
    affine = volume.affine
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise BadFile("has an affine that does not say how it lies")
    sides = nibabel.affines.voxel_sizes(affine)
    if not all(VOXEL[0] <= side <= VOXEL[1] for side in sides):
        size = " x ".join(f"{side:.3g}" for side in sides)
        raise BadFile(f"has voxels of {size} mm, expected sides of {VOXEL[0]} to {VOXEL[1]:g} mm")
