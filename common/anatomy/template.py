"""The MNI152 template of the nilearn wheel, and what of it can be told apart.

The ICBM 2009a symmetric nonlinear average (Fonov et al. 2011, 1 mm, skull-stripped).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from common.errors import InputError

# In template voxels of 1 mm, (right, anterior, superior).
CENTER = (98, 116, 94)
MIDLINE = 98.0

Volume = Float32[np.ndarray, "right anterior superior"]
Mask = Bool[np.ndarray, "right anterior superior"]
Points = Float32[np.ndarray, "3 *points"]
Values = Float32[np.ndarray, "*points"]


def read(name: str) -> Volume:
    """Return one map of the template ("t1", "gm" or "wm"), values 0 to 255."""
    spec = importlib.util.find_spec("nilearn")  # not imported: that takes longer than all of this
    if spec is None or spec.origin is None:
        raise InputError("the simulated cohort needs the MNI152 template: pip install nilearn")
    folder = Path(spec.origin).parent / "datasets" / "data"
    path = folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.exists():
        raise InputError(f"nilearn has no {path.name} any more: install nilearn 0.14")
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj).astype(np.float32)


def slices_first(volume: Volume) -> Volume:
    """Return the same volume, laid out in memory slice by slice, the order images read it in.

    Sampling is then two to three times faster.
    """
    return np.ascontiguousarray(volume.transpose(2, 0, 1)).transpose(1, 2, 0)


def sample(volume: Volume, points: Points, floor: int, outside: float = 0.0) -> Values:
    """Return `volume` at `points` in template voxels, linearly interpolated.

    Its lowest slice is the template's slice `floor`; beyond it all is `outside`.
    """
    lowest = np.array([0, 0, floor], np.float32).reshape(3, *[1] * (points.ndim - 1))
    return ndimage.map_coordinates(volume, points - lowest, order=1, cval=outside)


def lateral_ventricles(t1: Volume, floor: int) -> Mask:
    """Return where the lateral ventricles are: dark, deep, and off the midline.

    The lowest slice of `t1` is the template's slice `floor`. The third ventricle and the cisterns
    behind it are as dark and touch them; they lie nearer to the midline the further back one
    looks, so a wedge keeps them out.
    """
    x, y, z = np.ogrid[tuple(slice(n) for n in t1.shape)]
    beside = np.abs(x - MIDLINE) > np.where(y > 125, 0.5, 2.0 + 0.4 * (125 - y))
    deep = (np.abs(x - MIDLINE) < 42) & (y > 66) & (y < 168) & (z > 66 - floor) & (z < 106 - floor)
    labels, _ = ndimage.label((t1 > 0) & (t1 < 140) & beside & deep)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes > 2000))


def signed_distance(mask: Mask) -> Volume:
    """Return the distance in mm from `mask`, negative inside it."""
    outwards = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    return outwards.astype(np.float32)
