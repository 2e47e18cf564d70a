"""LGG MRI Segmentation as Kaggle lays it out: stacks of slices with their tumor masks.

    kaggle_3m/data.csv                                         one row a patient
    kaggle_3m/TCGA_CS_4941_19960909/…_<n>.tif                  pre-contrast, FLAIR, post-contrast
    kaggle_3m/TCGA_CS_4941_19960909/…_<n>_mask.tif             255 where FLAIR shows tumor

Slices are numbered from the lowest upwards, without leading zeros: 2 comes before 10. Where an
examination lacks a channel, the publisher repeats FLAIR in it (Buda et al. 2019).
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from common.data.finder import OTHER, ROWS, SECOND, Seen, look, size
from common.data.image_files import read_image
from common.data.raw import BadFile
from common.data.tables import Ids, alike
from common.errors import InputError

TABLE, FOLDER = "data.csv", "kaggle_3m"
PLACES = ((), (FOLDER,), ("lgg-mri-segmentation", FOLDER))  # of the table, below the raw folder
FLAIR = 1  # its channel
TIFF = (".tif", ".tiff")
NAME = re.compile(r"((TCGA_\w\w_\w{4})_\d+)_(\d+)(_mask)?\.tiff?", re.IGNORECASE)

Images = UInt8[np.ndarray, "slices height width 3"]
Masks = Bool[np.ndarray, "slices height width"]


@dataclass(frozen=True)
class Listing:
    """What a folder holds; strings of `bad` and `ignored` are "name: reason"."""

    table: Path
    patients: dict[str, list[Path]]  # images and masks by the patient's name, in order of folders
    refused: frozenset[str]  # patients that are there and bad
    bad: list[str]
    ignored: list[str]

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [self.table, *(path for paths in self.patients.values() for path in paths)]


def listing(raw: Path) -> Listing:
    """Return the patients of kaggle_3m, given it or a folder around it.

    Bad are folders of patients without an image or with those of others, patients with two
    examinations, images that are not named as published or lie elsewhere. Raises `InputError`
    where there is no table or not one image.
    """
    seen = look(raw)
    table = _table(seen)
    root, bad = table.parent, list(seen.bad)
    exams: dict[str, list[Path]] = defaultdict(list)
    misplaced: dict[Path, list[Path]] = defaultdict(list)
    named: list[Path] = []  # among what is bad
    for path in sorted(seen.files):
        match = NAME.fullmatch(path.name)
        if match and path.parent.parent == root and path.parent.name.lower() == match[1].lower():
            exams[match[1]].append(path)
        elif match:
            misplaced[path.parent].append(path)
        elif _of_patient(path.parent, root) and path.suffix.lower() in TIFF:
            bad.append(f"{seen.name(path)}: not named as published, {path.parent.name}_<slice>.tif")
            named.append(path)
    inside = {path.name.lower(): path for paths in exams.values() for path in paths}
    for folder, paths in misplaced.items():
        if root in (folder, *folder.parents) or not _are_doubles(paths, inside):
            bad.append(
                f"{seen.name(folder)}: holds {len(paths)} images named as those of another folder, "
                f"as {paths[0].name}; each belongs into {FOLDER}/TCGA_…/ of its own name"
            )
            named += paths
    patients, refused = _patients(exams)
    bad += [f"{name}: {reason}" for name, reason in refused.items()] + _without_images(seen, root)
    if not exams and not bad:
        raise InputError(f"--raw {raw}: no TCGA_*/TCGA_*_<slice>.tif there")
    used = [table, *named, *(path for paths in exams.values() for path in paths)]
    ignored = seen.others(used, lambda path: SECOND if NAME.fullmatch(path.name) else OTHER)
    return Listing(table, patients, frozenset(refused), bad, ignored)


def _table(seen: Seen) -> Path:
    for names in PLACES:
        folder: Path | None = seen.root
        for name in names:
            folder = folder and seen.only(seen.folders(folder), name)
        if folder and (table := seen.only(seen.beside(folder), TABLE)):
            return table
    raise InputError(f"--raw {seen.root}: no {FOLDER} folder with {TABLE} there")


def _of_patient(folder: Path, root: Path) -> bool:
    return folder.parent == root and folder.name.upper().startswith("TCGA_")


def _are_doubles(paths: list[Path], inside: dict[str, Path]) -> bool:
    """Return whether files are there a second time, as in the archive that Kaggle gives out."""
    return all(
        path.name.lower() in inside and size(inside[path.name.lower()]) == size(path)
        for path in paths
    )


def _patients(exams: dict[str, list[Path]]) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Return the files of each patient with one examination, and what is wrong with the others."""
    by_patient: dict[str, list[str]] = defaultdict(list)
    for exam in exams:
        by_patient[exam[: len("TCGA_00_0000")]].append(exam)
    others, bad, patients = alike(by_patient), {}, {}
    for name, own in by_patient.items():
        if len(own) > 1:
            bad[name] = f"has {len(own)} examinations, {' and '.join(own)}; keep one"
        elif name in others:
            bad[name] = f"{others[name]} is there too; keep one, or name them apart"
        else:
            patients[name] = exams[own[0]]
    return patients, bad


def _without_images(seen: Seen, root: Path) -> list[str]:
    """Return which folders are named as a patient's and hold no image that is named so."""
    with_images = {path.parent for path in seen.files if NAME.fullmatch(path.name)}
    return [
        f"{seen.name(folder)}: holds no {folder.name}_<slice>.tif"
        for folder in seen.folders(root)
        if _of_patient(folder, root) and folder not in with_images
    ]


def rows_alone(rows: Ids, found: Listing) -> list[str]:
    """Return of which patients of the table there are no images, "name: reason"."""
    return [
        f"{name}: {ROWS}"
        for name in rows
        if name not in found.patients and name not in found.refused
    ]


def read_stack(paths: list[Path]) -> tuple[Images, Masks]:
    """Return one patient's images and masks in the order of their numbers.

    Raises `BadFile` with every reason: a file that cannot be read or is not uint8 of one size, a
    mask with another value than 0 and 255, a number without its image or mask.
    """
    images: dict[int, np.ndarray] = {}
    masks: dict[int, np.ndarray] = {}
    bad = []
    for path in paths:
        _, _, text, mask = NAME.fullmatch(path.name).groups()  # type: ignore[union-attr]
        members, number = masks if mask else images, int(text)
        try:
            if number in members:
                raise BadFile(f"is there under another name too: {number} comes twice; keep one")
            members[number] = _mask(path) if mask else _checked(path, 3)
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
