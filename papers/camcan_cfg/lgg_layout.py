"""LGG MRI Segmentation in Kaggle's layout: a real stand-in, tumor-free FLAIR slices.

The images show whole heads in stacks of 20 to 88 slices whose spacing is not told, from
anywhere below the brain up to the crown. Three things make them comparable with each other and
with the source's volumes, each found from the images: a number for every slice (`levels`), one
window a patient around the head, and one brightness a patient (the median of the head is 0.4).
Results on them are not comparable with results on Cam-CAN.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from tqdm import tqdm

from common.data import kaggle_lgg
from common.data.images import cut, resize_area, window
from common.data.prepared import Reading
from common.data.raw import BadFile, number, read_table
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SubjectSlices, slice_numbers

AGE, SEX = "age_at_initial_pathologic", "gender"
AIR = 15  # of 255; what is darker lies outside the head
EMPTY = 0.02  # of a slice's area: where the head fills less, the slice shows none
WIDEST, CROWN = 38.5, 81.0  # slice numbers of a head's widest level and its top: z = 5 and 90 mm
MEDIAN = 0.4  # of the head's pixels
MARGIN = 1.1  # of the window around the head


def read(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the patients, by name, that have an age, a sex and tumor-free slices in range."""
    table, *paths = kaggle_lgg.files(raw)
    labels = {row["Patient"]: row for row in read_table(table, ("Patient", AGE, SEX))}
    subjects: list[SubjectSlices] = []
    absent, bad = [], []
    patients = kaggle_lgg.by_patient(paths)
    stacks = tqdm(patients.items(), desc="reading LGG", unit="patient", delay=2, disable=None)
    for name, stack in stacks:
        row = labels.get(name, {AGE: "", SEX: ""})
        if not (row[AGE] and row[SEX]):
            absent.append(f"{name}: no age or no gender in {kaggle_lgg.TABLE}")
            continue
        try:
            subject = _subject(name, row, stack, config)
        except BadFile as reason:
            bad += [f"{name}: {text}" for text in reason.args]
            continue
        if len(subject.numbers):
            subjects.append(subject)
        else:
            absent.append(f"{name}: no tumor-free slice at the numbers used")
    return Reading(subjects, bad, absent)


def levels(head: Bool[np.ndarray, "slices height width"]) -> Float[np.ndarray, " slices"]:
    """Return every slice's number on the MNI152 grid of 2 mm, from how the head narrows upwards.

    Above its widest level a head is nearly half an ellipsoid: with area A(i) of slice i,
    sqrt(1 - A / A_widest) grows linearly from 0 there to 1 at the crown. A line fitted between
    90% and 30% of the widest area gives both places, also where the stack ends below the crown,
    and so the number of each slice. Raises `BadFile` where a stack does not narrow upwards.
    """
    area = head.mean(axis=(1, 2))
    seen = np.flatnonzero(area > EMPTY)
    if not len(seen):
        raise BadFile("shows no head")
    middle = (seen[0] + seen[-1]) // 2  # below it jaw and neck can be wider than the brain
    widest = middle + area[middle:].argmax()
    position = np.arange(len(area))
    share = area / area[widest]
    fitted = (position >= widest) & (share < 0.9) & (share > 0.3)
    if fitted.sum() < 2:
        raise BadFile("does not reach the upper part of the head")
    slope, start = np.polyfit(position[fitted], np.sqrt(1 - share[fitted]), 1)
    return WIDEST + (start + slope * position) * (CROWN - WIDEST)


def _subject(
    name: str, row: dict[str, str], paths: list[Path], config: DataConfig
) -> SubjectSlices:
    """Return a patient's tumor-free slices at the numbers asked for, which may be none."""
    age, sex = number(row[AGE], AGE, 0.0, 120.0), row[SEX]
    if sex not in ("1", "2"):
        raise BadFile(f"{SEX} in {kaggle_lgg.TABLE} is {sex!r}, not 1 (female) or 2 (male)")
    channels, tumor = kaggle_lgg.read_stack(paths)
    flair = channels[..., kaggle_lgg.FLAIR]
    head = np.stack([ndimage.binary_fill_holes(image > AIR) for image in flair])
    numbers = np.rint(levels(head)).astype(int)
    inside = np.isin(numbers, slice_numbers(config.slices))
    kept = inside & ~tumor.any(axis=(1, 2)) & (head.mean(axis=(1, 2)) > EMPTY)
    if not kept.any():
        nothing = np.zeros((0, config.height, config.width), np.float32)
        return SubjectSlices(name, age, int(sex), numbers[kept], nothing)
    outline = _outline(head[inside])
    brightness = np.float32(MEDIAN / np.median(flair[inside][:, outline]))
    corners = [f(np.argwhere(outline), axis=0).tolist() for f in (np.min, np.max)]
    around = window((*corners[0], *corners[1]), config.width / config.height, MARGIN)
    images = cut(np.clip(flair[kept] * brightness, 0, 1), around)
    images = resize_area(_upright(images), config.height, config.width)
    return SubjectSlices(name, age, int(sex), numbers[kept], images)


def _outline(head: Bool[np.ndarray, "slices height width"]) -> Bool[np.ndarray, "height width"]:
    """Return the largest connected place that is head in at least a quarter of the slices."""
    regions, count = ndimage.label(head.mean(axis=0) >= 0.25)
    if not count:
        raise BadFile("shows no head at the numbers used")
    return regions == 1 + np.bincount(regions.ravel())[1:].argmax()


def _upright(
    images: Float[np.ndarray, "slices front_to_back right_to_left"],
) -> Float[np.ndarray, "slices left_to_right back_to_front"]:
    """Return radiological images in the order of the source's arrays."""
    return images[:, ::-1, ::-1].swapaxes(1, 2)
