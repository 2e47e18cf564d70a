"""LGG MRI Segmentation in Kaggle's layout: a real stand-in, tumor-free FLAIR slices.

The images show whole heads in stacks of 20 to 88 slices whose spacing is not told, from
anywhere below the brain up to the crown. Three things make them comparable with each other and
with the source's volumes, each found from the images: a number for every slice (`levels`), one
window a patient around the head, and one brightness a patient (the median of the head is 0.4).
Results on them are not comparable with results on Cam-CAN.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from tqdm import tqdm

from common.data import kaggle_lgg
from common.data.copies import Copies
from common.data.images import cut, resize_area, window
from common.data.prepared import Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from common.data.tables import Row, read_table
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import CROWN, SubjectSlices, slice_numbers

AGE, SEX = "age_at_initial_pathologic", "gender"
AIR = 15  # of 255; what is darker lies outside the head
EMPTY = 0.02  # of a slice's area: where the head fills less, the slice shows none
WIDEST = 38.5  # slice number of a head's widest level: z = 5 mm
MEDIAN = 0.4  # of the head's pixels
MARGIN = 1.1  # of the window around the head


def read(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the patients, by name, that have an age, a sex and tumor-free slices in range."""
    found = kaggle_lgg.listing(raw)
    table = read_table(found.table, ("Patient", AGE, SEX))
    rows, copies = table.by("Patient"), Copies()
    subjects: list[SubjectSlices] = []
    absent, bad = [], [*found.bad, *table.bad]
    patients = found.patients
    for name, files in tqdm(patients.items(), "reading LGG", unit="patient", delay=2, disable=None):
        try:
            row = rows.row(name) if rows.knows(name) else Row(found.table.name, 0, {})
            age, sex = row.number(AGE, 0.0, 120.0), row.sex(SEX)
            if age is None or sex is None:
                absent.append(f"{name}: no age or no gender in {kaggle_lgg.TABLE}")
                continue
            images, tumor = kaggle_lgg.read_stack(files)
            if (first := copies.first(name, images)) != name:
                raise BadFile(f"shows the same as {first}; keep one")
            flair = images[..., kaggle_lgg.FLAIR]
            subject = SubjectSlices(name, age, sex, *_slices(flair, tumor, config))
        except BadFile as reason:
            bad += [f"{name}: {text}" for text in reason.args]
            continue
        if len(subject.numbers):
            subjects.append(kept(subject))
        else:
            absent.append(f"{name}: no tumor-free slice at the numbers used")
    ignored = [*found.ignored, *kaggle_lgg.rows_alone(rows, found)]
    return Reading(subjects, bad, absent, ignored)


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


def _slices(
    flair: UInt8[np.ndarray, "slices rows columns"],
    tumor: Bool[np.ndarray, "slices rows columns"],
    config: DataConfig,
) -> tuple[Int[np.ndarray, " kept"], Float[np.ndarray, "kept height width"]]:
    """Return a patient's tumor-free slices at the numbers asked for, which may be none."""
    head = np.stack([ndimage.binary_fill_holes(image > AIR) for image in flair])
    numbers = np.rint(levels(head)).astype(int)
    inside = np.isin(numbers, slice_numbers(config.slices))
    kept = inside & ~tumor.any(axis=(1, 2)) & (head.mean(axis=(1, 2)) > EMPTY)
    if not kept.any():
        return numbers[kept], np.zeros((0, config.height, config.width), np.float32)
    outline = _outline(head[inside])
    brightness = np.float32(MEDIAN / np.median(flair[inside][:, outline]))
    corners = [f(np.argwhere(outline), axis=0).tolist() for f in (np.min, np.max)]
    around = window((*corners[0], *corners[1]), config.width / config.height, MARGIN)
    images = cut(np.clip(flair[kept] * brightness, 0, 1), around)
    return numbers[kept], resize_area(_upright(images), config.height, config.width)


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
