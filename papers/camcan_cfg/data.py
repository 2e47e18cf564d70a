"""The study's examples, made once of what was read, and loaded as slices with their condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from common.data.loader import ArraySource
from common.data.prepared import Example, Examples, Later, Prepared, Reading
from common.data.shelf import by_blocks
from common.data.splits import PARTS, split_groups, split_indices
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SEXES, SubjectSlices


@dataclass(frozen=True)
class Slices:
    """Slices in the order of subject and position, lowest first.

    Images are in [0, 1] (Cam-CAN's, which the source does not clip, may overshoot); a condition
    is age in years, sex 1 (female) or 2 (male), and the slice number of `layout`.
    """

    images: Float[np.ndarray, "slices height width 1"]
    conditions: Float[np.ndarray, "slices 3"]
    subjects: Shaped[np.ndarray, " slices"]  # names

    def __len__(self) -> int:
        return len(self.images)

    def spread(self, count: int) -> Slices:
        """Return `count` slices taken evenly from the whole, or all where there are fewer."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        return Slices(self.images[chosen], self.conditions[chosen], self.subjects[chosen])

    def as_source(self) -> ArraySource:
        """Return the slices as a source of examples with `image` and `condition`."""
        return ArraySource({"image": self.images, "condition": self.conditions})


def examples(config: DataConfig, reading: Reading[SubjectSlices]) -> Examples:
    """Return every part's slices as examples.

    A split over slices shuffles all slices in the order of subjects and positions, as the source
    does: with its data and seed 0 this is its split. A split over subjects shuffles them.
    """
    subjects = reading.items
    owners = [one.name for one in subjects for _ in one.numbers]
    fractions = (config.split_seed, config.train_fraction, config.validation_fraction)
    if config.split == "slice":
        chosen = split_indices(len(owners), *fractions)
    else:
        chosen = split_groups(owners, *fractions)
    every = [(one, position) for one in subjects for position in range(len(one.numbers))]
    named = {
        part: {f"{every[i][0].name}/{every[i][1]:03d}": every[i] for i in chosen[part]}
        for part in PARTS
    }
    splits = {part: Later(members, _example) for part, members in named.items()}
    numbers = np.concatenate([one.numbers for one in subjects])
    return Examples(
        splits,
        {part: _summary(members) for part, members in splits.items()},
        f"{len(numbers)} slices, numbers {numbers.min()} to {numbers.max()}, "
        f"of {len(subjects)} subjects; split by {config.split}",
    )


def load(prepared: Prepared, split: str) -> Slices:
    """Return a split: train, validation or test."""
    columns = prepared.columns(split, "subject", "position")
    return Slices(columns["image"], columns["condition"], np.array(columns["subject"]))


def as_uint8(images: Float[np.ndarray, "*shape 1"]) -> UInt8[np.ndarray, "*shape"]:
    """Return images as the source saves them: clipped to [0, 1], 8 bits."""
    return np.round(np.clip(images[..., 0], 0, 1) * 255).astype(np.uint8)


def as_float(images: UInt8[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape 1"]:
    """Return 8-bit images in [0, 1]."""
    return images[..., None].astype(np.float32) / np.float32(255)


def in_8_bits(slices: Slices) -> Slices:
    """Return slices clipped to [0, 1] and rounded to 256 levels, as an 8-bit PNG holds them."""
    return replace(slices, images=by_blocks(lambda some: as_float(as_uint8(some)), slices.images))


def _example(member: tuple[SubjectSlices, int]) -> Example:
    one, position = member
    return {
        "image": one.images[position][..., None].astype(np.float32, copy=False),
        "condition": np.array([one.age, one.sex, one.numbers[position]], np.float32),
        "subject": one.name,
        "position": position,
    }


def _summary(members: Mapping[str, Example]) -> dict[str, Any]:
    """Return how many slices, and of whom: subjects, ages in years, subjects of each sex."""
    people = {e["subject"]: e["condition"] for e in members.values()}
    ages = [float(age) for age, _, _ in people.values()]
    sexes = [int(sex) for _, sex, _ in people.values()]
    return {
        "slices": len(members),
        "subjects": len(people),
        "age_min": min(ages),
        "age_max": max(ages),
        "slice_min": int(min(e["condition"][2] for e in members.values())),
        "slice_max": int(max(e["condition"][2] for e in members.values())),
        **{name: sexes.count(code) for code, name in SEXES.items()},
    }
