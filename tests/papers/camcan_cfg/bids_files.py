"""Made-up cohorts in BIDS: heads whose every point tells where it is, stored in any order."""

from pathlib import Path

import nibabel
import numpy as np
from nibabel import orientations

Affine = np.ndarray

TEMPLATE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
TEMPLATE_SHAPE = (91, 109, 91)


def head(shape: tuple[int, int, int], affine: Affine, offset=(0.0, 0.0, 0.0), seed=0) -> np.ndarray:
    """Return a head, its crown at z = 90 mm of the template's space, whose right side is brighter.

    `affine` leads to the scanner's space, `offset` from the template's space to that one, in mm.
    """
    index = np.moveaxis(np.indices(shape), 0, -1)
    x, y, z = np.moveaxis(nibabel.affines.apply_affine(affine, index) - offset, -1, 0)
    inside = (x / 75) ** 2 + ((y + 18) / 95) ** 2 + ((z - 10) / 80) ** 2 <= 1
    shades = 120 + 0.5 * x + 0.3 * (y + 18) + 0.4 * z
    shades += 10 * np.sin(x / (9 + seed)) * np.cos(y / 13)
    return np.where(inside, np.clip(shades, 20, 250), 0).astype(np.float32)


def image(voxels: np.ndarray, affine: Affine, code: int = 1) -> nibabel.Nifti1Image:
    """Return a volume that says in both ways where it lies: 1 is the scanner's space, 4 MNI152."""
    made = nibabel.Nifti1Image(voxels, affine)
    made.set_sform(affine, code)
    made.set_qform(affine, code)
    return made


def scan(sides=(2.0, 2.0, 2.0), offset=(11.0, -23.0, 37.0), axes="RAS", seed=0, tilt=0.0):
    """Return a scan of the scanner's space with voxels of these sides, stored in these axes."""
    extent = np.array([190.0, 230.0, 200.0])
    shape = tuple(round(size / side) for size, side in zip(extent, sides, strict=True))
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ np.diag(sides)
    center = np.array([0.0, -18, 0]) + offset
    corner = center - turn @ ((np.array(shape) - 1) / 2)
    affine = nibabel.affines.from_matvec(turn, corner)
    stored = image(head(shape, affine, offset, seed), affine)
    own = orientations.io_orientation(affine)
    turned = orientations.ornt_transform(own, orientations.axcodes2ornt(axes))
    return stored.as_reoriented(turned)


def save(volume: nibabel.Nifti1Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(volume, path)
    return path


def place_of(raw: Path, subject: str, session: str = "", more: str = "") -> Path:
    """Return where a subject's volume belongs."""
    folder = raw / f"sub-{subject}" / (f"ses-{session}" if session else "") / "anat"
    middle = f"_ses-{session}" if session else ""
    return folder / f"sub-{subject}{middle}{more}_T1w.nii.gz"


def cohort(raw: Path, count: int) -> Path:
    """Write a cohort of that many subjects, each by coarse voxels of its own order of axes."""
    rows = ["participant_id\tage\tsex"]
    for index in range(count):
        axes = ("RAS", "LPI", "ASR", "PIR")[index % 4]
        save(scan((4.0, 4.0, 4.0), axes=axes, seed=index), place_of(raw, f"{index + 1:02d}"))
        rows.append(f"sub-{index + 1:02d}\t{20 + 5 * index}\t{'FM'[index % 2]}")
    (raw / "participants.tsv").write_text("\n".join(rows) + "\n")
    return raw
