"""LGG MRI Segmentation as Kaggle lays it out: stacks of slices with their tumor masks.

    kaggle_3m/data.csv                                         one row a patient
    kaggle_3m/TCGA_CS_4941_19960909/…_<n>.tif                  pre-contrast, FLAIR, post-contrast
    kaggle_3m/TCGA_CS_4941_19960909/…_<n>_mask.tif             255 where FLAIR shows tumor

Slices are numbered from the lowest upwards, without leading zeros: 2 comes before 10. Where an
examination lacks a channel, the publisher repeats FLAIR in it (Buda et al. 2019).
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from common.data.image_files import read_image
from common.data.raw import BadFile, existing
from common.errors import InputError

TABLE = "data.csv"
FLAIR = 1  # its channel
NAME = re.compile(r"(TCGA_\w\w_\w{4})_\d+_(\d+)(_mask)?\.tif")

Images = UInt8[np.ndarray, "slices height width 3"]
Masks = Bool[np.ndarray, "slices height width"]


def files(raw: Path) -> list[Path]:
    """Return data.csv and the images and masks of kaggle_3m, given it or a folder around it.

    Raises `InputError` where there is no table or not one image.
    """
    raw = existing(raw)
    inside = (raw, raw / "kaggle_3m", raw / "lgg-mri-segmentation" / "kaggle_3m")
    root = next((folder for folder in inside if (folder / TABLE).is_file()), None)
    if root is None:
        raise InputError(f"--raw {raw}: no kaggle_3m folder with {TABLE} there")
    images = sorted(path for path in root.glob("TCGA_*/*.tif") if NAME.fullmatch(path.name))
    if not images:
        raise InputError(f"--raw {raw}: no TCGA_*/TCGA_*_<slice>.tif there")
    return [root / TABLE, *images]


def by_patient(images: list[Path]) -> dict[str, list[Path]]:
    """Return the files of every patient, named as in data.csv, patients in the order given."""
    patients: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        patients[path.name[: len("TCGA_00_0000")]].append(path)
    return patients


def read_stack(paths: list[Path]) -> tuple[Images, Masks]:
    """Return one patient's images and masks in the order of their numbers.

    Raises `BadFile` with every reason: a file that cannot be read or is not uint8 of one size, a
    mask with another value than 0 and 255, a number without its image or mask.
    """
    images: dict[int, np.ndarray] = {}
    masks: dict[int, np.ndarray] = {}
    bad = []
    for path in paths:
        _, number, mask = NAME.fullmatch(path.name).groups()  # type: ignore[union-attr]
        try:
            if mask:
                masks[int(number)] = _mask(path)
            else:
                images[int(number)] = _checked(path, 3)
        except BadFile as reason:
            bad.append(f"{path.name} {reason}")
    if bad:
        raise BadFile(*bad)
    every = range(min([*images, *masks]), max([*images, *masks]) + 1)
    bad = [f"slice {n} has no image" for n in every if n not in images]
    bad += [f"slice {n} has no mask" for n in every if n not in masks]
    if bad:
        raise BadFile(*bad)
    size = images[every[0]].shape[:2]
    for kind, members in (("image", images), ("mask", masks)):
        for n in every:
            if members[n].shape[:2] != size:
                bad.append(f"{kind} {n} is {members[n].shape[:2]}, the first image {size}")
    if bad:
        raise BadFile(*bad)
    return np.stack([images[n] for n in every]), np.stack([masks[n] for n in every])


def _mask(path: Path) -> Bool[np.ndarray, "height width"]:
    mask = _checked(path, 2)
    if others := sorted(set(np.unique(mask)) - {0, 255}):
        listed = ", ".join(map(str, others[:3]))
        raise BadFile(f"holds {listed} (of {len(others)} such values), a mask holds 0 and 255")
    return mask > 0


def _checked(path: Path, dimensions: int) -> np.ndarray:
    image = read_image(path)
    if image.ndim != dimensions or image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
        expected = "height x width" + " x 3 channels" * (dimensions == 3)
        raise BadFile(f"is {image.dtype} {image.shape}, not uint8 {expected}")
    return image
