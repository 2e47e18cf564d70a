"""The study's examples, made once of what was read, and loaded as the slices of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8
from scipy import ndimage

from common.data.images import Window, cut, resize_8_bits, resize_area, window
from common.data.loader import ArraySource
from common.data.prepared import Example, Examples, Later, Prepared, Reading
from common.data.shelf import Shelf, joined, passing
from common.data.splits import PARTS
from common.errors import InputError
from papers.lgg_attention_unet.config import DataConfig
from papers.lgg_attention_unet.datasets import Stack

MEDIAN = 0.4  # of a patient's head in every channel, with `normalize="volume"`
AIR = 15  # of 255; what is darker lies outside the head
HEAD, MARGIN = 0.1, 1.05  # share of slices that show a head's pixel; of the window around it


def examples(config: DataConfig, reading: Reading[Stack]) -> Examples:
    """Return the slices of every split's patients; with `split="folds"` the splits are the folds.

    Images keep the size they come in. Raises InputError where patients' images differ in size, or
    there are too few patients to split.
    """
    stacks = reading.items
    sizes: dict[tuple[int, ...], str] = {}
    for one in stacks:
        sizes.setdefault(one.masks.shape[1:], one.name)
    if len(sizes) > 1:
        named = ", ".join(f"{size} of {name}" for size, name in sorted(sizes.items()))
        raise InputError(f"--raw: patients' images differ in size: {named}; give one size")
    chosen = _split(config, len(stacks))
    return Examples(
        {
            split: Later({key: m for i in members for key, m in _members(stacks[i])}, _example)
            for split, members in chosen.items()
        },
        {split: _summary([stacks[i] for i in members]) for split, members in chosen.items()},
        _described(config, stacks),
    )


@dataclass(frozen=True)
class Part:
    """The patients of one part of the data, by name."""

    stacks: tuple[Stack, ...]

    def __len__(self) -> int:
        return sum(len(one.masks) for one in self.stacks)

    @property
    def masks(self) -> Bool[np.ndarray, "slices height width"]:
        """Where each slice shows tumor."""
        return np.concatenate([one.masks for one in self.stacks])

    @property
    def owners(self) -> Shaped[np.ndarray, " slices"]:
        """The name of each slice's patient."""
        return np.repeat([one.name for one in self.stacks], [len(one.masks) for one in self.stacks])


def load(prepared: Prepared, config: DataConfig, seed: int) -> dict[str, Part]:
    """Return train, validation and test as a seed has them.

    Of folds, fold `seed` modulo their number is the test part, and validation patients are drawn
    by the seed from the others.
    """
    if config.split == "listing":
        return {part: Part(tuple(_stacks(prepared, part))) for part in PARTS}
    tested = f"fold_{seed % config.folds}"
    test, others = Part(tuple(_stacks(prepared, tested))), []
    for fold in prepared.sizes:
        if fold != tested:
            others += _stacks(prepared, fold)
    others.sort(key=lambda one: one.name)
    order = np.random.default_rng([seed, 1]).permutation(len(others))
    chosen = set(order[: max(1, round(config.validation_fraction * len(others)))].tolist())
    drawn = tuple(one for i, one in enumerate(others) if i in chosen)
    return {
        "train": Part(tuple(one for i, one in enumerate(others) if i not in chosen)),
        "validation": Part(drawn),
        "test": test,
    }


def scale(stack: Stack, normalize: str) -> Float32[np.ndarray, 3]:
    """Return what a patient's 8-bit channels are multiplied with for the network."""
    if normalize == "none":
        return np.full(3, 1 / 255, np.float32)
    head = stack.images[(stack.images > AIR).any(-1)]
    middle = np.median(head, axis=0) if len(head) else np.full(3, 255 * MEDIAN)
    return (MEDIAN / np.maximum(middle, 1)).astype(np.float32)


def crop_window(stack: Stack, config: DataConfig) -> Window:
    """Return the window of a patient's images that the network sees, of its own proportions.

    Of the head: around the largest connected place that is brighter than air in a tenth of the
    slices. Of the image: all of it.
    """
    height, width = stack.masks.shape[1:]
    box, margin = (0, 0, height, width), 1.0
    if config.window == "head":
        head = (stack.images > AIR).any(-1).mean(0) > HEAD
        regions, count = ndimage.label(head)
        if count:
            largest = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
            rows, columns = (np.flatnonzero(largest.any(axis)) for axis in (1, 0))
            box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
            margin = MARGIN
    return window(box, config.height / config.width, margin)


def network_input(
    stack: Stack, config: DataConfig, slices: slice = slice(None)
) -> UInt8[np.ndarray, "slices height width 3"]:
    """Return some of a patient's images as the network sees them, by means over areas."""
    images = cut(stack.images[slices], crop_window(stack, config))
    if images.shape[1:3] == (config.height, config.width):
        return images
    return resize_8_bits(images, config.height, config.width)


def network_target(stack: Stack, config: DataConfig) -> UInt8[np.ndarray, "slices height width 1"]:
    """Return masks of 0 and 1, where a pixel is tumor if half of it is."""
    masks = cut(stack.masks, crop_window(stack, config))
    if masks.shape[1:] != (config.height, config.width):
        masks = resize_area(masks, config.height, config.width) >= 0.5
    return masks[..., None].astype(np.uint8)


def source(part: Part, config: DataConfig, normalize: str, tumor_repeats: int = 1) -> ArraySource:
    """Return a part's slices as examples for training: `image` and `mask` of uint8, `scale`.

    A slice with tumor comes `tumor_repeats` times.
    """
    images, masks, scales, shelf = [], [], [], Shelf()
    for one in part.stacks:
        mask = network_target(one, config)
        repeats = np.where(mask.any((1, 2, 3)), tumor_repeats, 1)
        images.append(shelf.keep(np.repeat(network_input(one, config), repeats, 0)))
        masks.append(shelf.keep(np.repeat(mask, repeats, 0)))
        scales.append(np.tile(scale(one, normalize), (repeats.sum(), 1)))
    arrays = {"image": images, "mask": masks, "scale": scales}
    return ArraySource({name: joined(*parts) for name, parts in arrays.items()})


def _stacks(prepared: Prepared, split: str) -> list[Stack]:
    """Return a split's patients by name."""
    columns = prepared.columns(split, "patient", "position")
    masks = columns["mask"][..., 0].view(bool)  # of 0 and 1
    found, start = [], 0
    for name, count in Counter(columns["patient"]).items():
        own = slice(start, start + count)
        age, sex = float(columns["age"][start]), int(columns["sex"][start])
        found.append(Stack(name, columns["image"][own], masks[own], age, sex))
        start += count
    return found


def _split(config: DataConfig, count: int) -> dict[str, list[int]]:
    """Return which patients, by position in the listing, fall in each split."""
    if config.split == "listing":
        known = count - max(1, round(config.test_fraction * count))
        train = known - max(1, round(config.validation_fraction * known))
        if train < 1:
            raise InputError(f"{count} patients cannot be split in three: give 3 or more")
        everyone = list(range(count))
        return {
            "train": everyone[:train],
            "validation": everyone[train:known],
            "test": everyone[known:],
        }
    if not 3 <= config.folds <= count:
        raise InputError(f"data.folds={config.folds} of {count} patients: choose 3 to {count}")
    order = np.random.default_rng(0).permutation(count)
    return {f"fold_{k}": sorted(order[k :: config.folds].tolist()) for k in range(config.folds)}


def _members(one: Stack) -> Iterator[tuple[str, tuple[Stack, int]]]:
    for position in range(len(one.masks)):
        yield f"{one.name}/{position:03d}", (one, position)


def _example(member: tuple[Stack, int]) -> Example:
    one, position = member
    return {
        "image": one.images[position],
        "mask": one.masks[position][..., None].astype(np.uint8),
        "patient": one.name,
        "position": position,
        "age": np.float32(one.age),
        "sex": one.sex,
    }


def _summary(stacks: list[Stack]) -> dict[str, Any]:
    """Return how many patients and slices, those with tumor, and who the patients are."""
    ages = [one.age for one in stacks if one.age]
    tumors = [int(one.masks.any((1, 2)).sum()) for one in passing(stacks)]  # slices with some
    return {
        "patients": len(stacks),
        "slices": sum(len(one.masks) for one in stacks),
        "slices_with_tumor": sum(tumors),
        "patients_with_tumor": sum(map(bool, tumors)),
        **({"age_min": min(ages), "age_max": max(ages)} if ages else {}),
        **{
            name: sum(one.sex == code for one in stacks)
            for code, name in ((1, "female"), (2, "male"))
            if ages
        },
    }


def _described(config: DataConfig, stacks: list[Stack]) -> str:
    whole = _summary(stacks)
    how = "in the order of the listing" if config.split == "listing" else f"{config.folds} folds"
    return (
        f"{whole['slices']} slices of {whole['patients']} patients, "
        f"{whole['slices_with_tumor']} with tumor; split by patient, {how}"
    )
