"""Cam-CAN in the published layout: one NIfTI volume a subject and phenotype.csv."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from common.data.images import resize_area
from common.data.prepared import Reading
from common.data.raw import BadFile, existing, number, read_table
from common.data.volumes import read_turned
from common.errors import InputError
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SubjectSlices

TABLE = "phenotype.csv"
LYING = "LAS"  # how NIfTI volumes lie unless their header says otherwise; slices are axial
PATTERN = "sub-*_defaced_T1.nii.gz"
# The source divides by 255 whatever it finds. Interpolation overshoots [0, 255] by some percent;
# a volume far outside was not scaled to it, and one below 32 would come out black.
LOWEST, DARKEST_PEAK, HIGHEST = -64.0, 32.0, 320.0


def files(raw: Path) -> list[Path]:
    """Return phenotype.csv and the volumes; the table may also lie beside the volumes' folder.

    Raises `InputError` where there is no table or not one volume.
    """
    raw = existing(raw)
    table = next((path for path in (raw / TABLE, raw.parent / TABLE) if path.is_file()), None)
    if table is None:
        raise InputError(f"--raw {raw}: no {TABLE} (columns Subject, Age, Sex) there")
    folders = [raw, *sorted(path for path in raw.iterdir() if path.is_dir())]
    volumes = next((found for folder in folders if (found := sorted(folder.glob(PATTERN)))), None)
    if volumes is None:
        raise InputError(f"--raw {raw}: no {PATTERN.replace('*', '<Subject>')} there")
    return [table, *volumes]


def read(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the subjects of the table that have a volume, in the table's order, as the source."""
    table, *volumes = files(raw)
    by_subject = {path.name.removeprefix("sub-").split("_defaced_")[0]: path for path in volumes}
    subjects: list[SubjectSlices] = []
    absent, bad, seen = [], [], set()
    rows = read_table(table, ("Subject", "Age", "Sex"))
    for row in tqdm(rows, desc="reading Cam-CAN", unit="subject", delay=2, disable=None):
        name = row["Subject"]
        path = by_subject.get(name)
        if path is None:
            absent.append(f"{name}: no {PATTERN.replace('*', name)}")
            continue
        try:
            if name in seen:
                raise BadFile(f"has more than one row in {TABLE}")
            seen.add(name)
            subjects.append(_subject(row, path, config))
        except BadFile as reason:
            bad.append(f"{path.name}: {reason}")
    bad += [
        f"{path.name}: no row for subject {name} in {TABLE}"
        for name, path in by_subject.items()
        if name not in seen
    ]
    return Reading(subjects, bad, absent)


def _subject(row: dict[str, str], path: Path, config: DataConfig) -> SubjectSlices:
    age = number(row["Age"], f"Age in {TABLE}", 0.0, 120.0)
    if row["Sex"] not in ("1", "2"):
        raise BadFile(f"Sex in {TABLE} is {row['Sex']!r}, not 1 (female) or 2 (male)")
    volume = read_turned(path, LYING)
    first = volume.shape[2] // 2 - config.slices // 2
    if first < 0 or first + config.slices > volume.shape[2]:
        raise BadFile(f"has {volume.shape[2]} axial slices, {config.slices} are used")
    numbers = np.arange(first, first + config.slices)
    return SubjectSlices(
        row["Subject"], age, int(row["Sex"]), numbers, _images(volume, numbers, config)
    )


def _images(
    volume: Float[np.ndarray, "x y z"], numbers: np.ndarray, config: DataConfig
) -> Float[np.ndarray, "slices height width"]:
    """Return the slices divided by 255, not clipped, resized as MONAI does."""
    slices = np.moveaxis(volume[:, :, numbers], 2, 0)
    low, high = slices.min(), slices.max()
    if low < LOWEST or not DARKEST_PEAK <= high <= HIGHEST:
        raise BadFile(f"intensities run from {low:g} to {high:g}, scale them to 0 to 255")
    return resize_area(slices / np.float32(255), config.height, config.width)
