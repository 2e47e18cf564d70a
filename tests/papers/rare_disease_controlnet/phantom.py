"""A made-up chest of ellipsoids, labeled as the CT is: for tests that do without the CT."""

from functools import cache

import nibabel
import numpy as np

from papers.rare_disease_controlnet.simulation import anatomy, ct, projection

VOXEL = (3.0, 2.0, 3.5)  # mm to the left, to the front, up
SHAPE = (120, 126, 96)
LUNG_UNITS, BONE_UNITS = -750, 500


@cache
def volumes():
    """Return Hounsfield units and labels; the axes lead to the left, to the front, and up."""
    x, y, z = (
        ((np.arange(n) - (n - 1) / 2) * mm).reshape([-1 if axis == i else 1 for i in range(3)])
        for axis, (n, mm) in enumerate(zip(SHAPE, VOXEL, strict=True))
    )
    units = np.full(SHAPE, -1000, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    units[np.broadcast_to((x / 165) ** 2 + (y / 105) ** 2 < 1, SHAPE)] = 20

    def put(inside, label, value):
        inside = np.broadcast_to(inside, SHAPE)
        units[inside], labels[inside] = value, label

    for side, lower, upper in ((1, 11, 10), (-1, 14, 12)):
        lung = ((x - side * 75) / 58) ** 2 + (y / 62) ** 2 + (z / 115) ** 2 < 1
        put(lung & (z < 0), lower, LUNG_UNITS)
        put(lung & (z >= 0), upper, LUNG_UNITS)
    put((x / 130) ** 2 + ((y - 10) / 80) ** 2 + ((z + 150) / 95) ** 2 < 1, 5, 50)
    put(((x - 30) / 45) ** 2 + ((y - 30) / 40) ** 2 + ((z + 35) / 50) ** 2 < 1, 51, 40)
    put((x**2 + (y + 75) ** 2 < 18**2) & (z > -1e9), 35, BONE_UNITS)
    for number in range(12):  # rings around the lungs that fall towards the front
        shell = np.abs(np.hypot(x / 150, y / 92) - 1) < 0.045
        fall = 90 - 20 * number - 0.25 * (y + 92)
        ring = shell & (np.abs(z - fall) < 6)
        put(ring & (x > 15), 92 + number, BONE_UNITS)
        put(ring & (x < -15), 104 + number, BONE_UNITS)
    return units, labels


def scan():
    """Return the chest as the CT is read."""
    units, labels = volumes()
    attenuation = np.maximum(units.astype(np.float32) / 1000 + 1, 0) * np.float32(ct.WATER)
    return ct.Scan(attenuation, labels, VOXEL)


@cache
def maps():
    """Return its line integrals."""
    return projection.project(scan())


@cache
def chest(size):
    """Return its anatomy for films of `size` pixels."""
    return anatomy.resampled(maps(), anatomy.FIELD / size)


def write(folder, turn=("L", "A", "S"), units=None, labels=None):
    """Write both volumes as NIfTI whose axes lead where `turn` says; return their paths."""
    paths = []
    own = volumes()
    for name, values in (("ct", own[0] if units is None else units),
                         ("labels", own[1] if labels is None else labels)):  # fmt: skip
        image = nibabel.Nifti1Image(values, np.diag([-VOXEL[0], VOXEL[1], VOXEL[2], 1]))
        way = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(turn)
        )
        paths.append(folder / f"{name}.nii.gz")
        image.as_reoriented(way).to_filename(paths[-1])
    return paths
