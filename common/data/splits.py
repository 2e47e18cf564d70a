"""Cutting a data set into train, validation and test."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from common.errors import InputError

T = TypeVar("T")
PARTS = ("train", "validation", "test")


def split_indices(
    count: int, seed: int, train_fraction: float, validation_fraction: float
) -> dict[str, Int[np.ndarray, " part"]]:
    """Return which of `count` things fall in each part, in the order of a seeded permutation.

    The permutation and its cutting (test first, then validation, the rest is train) are those of
    MONAI's Randomizable data sets, so that a published split with a seed is the same split here.
    Raises `InputError` where there are too few things for three parts.
    """
    test_fraction = round(1 - train_fraction - validation_fraction, 9)
    if min(train_fraction, validation_fraction, test_fraction) <= 0:
        raise InputError(
            f"train_fraction {train_fraction} and validation_fraction {validation_fraction} "
            "must be above 0 and leave a part for the test"
        )
    if count < len(PARTS):
        raise InputError(f"{count} cannot be split into train, validation and test: give 3 or more")
    positions = np.arange(count)
    np.random.RandomState(seed).shuffle(positions)  # the legacy stream, frozen by NumPy's policy
    test = max(1, int(count * test_fraction))
    validation = max(1, int(count * validation_fraction))
    return {
        "train": positions[test + validation :],
        "validation": positions[test : test + validation],
        "test": positions[:test],
    }


def split_groups(
    groups: Sequence[str], seed: int, train_fraction: float, validation_fraction: float
) -> dict[str, Int[np.ndarray, " part"]]:
    """Return which things fall in each part when things of one group must stay together.

    The groups, in order of first appearance, are split as `split_indices` does.
    """
    names = list(dict.fromkeys(groups))
    number = {name: index for index, name in enumerate(names)}
    group = np.array([number[name] for name in groups])
    parts = split_indices(len(names), seed, train_fraction, validation_fraction)
    return {part: np.flatnonzero(np.isin(group, chosen)) for part, chosen in parts.items()}


def in_turns(
    things: Sequence[T], owner: Callable[[T], str], name: Callable[[T], str], limit: int = 0
) -> list[T]:
    """Return `limit` of the things (0: all): every owner's first one before any second one.

    Of one owner they come by name, and in one turn by owner and name.
    """
    counts: Counter[str] = Counter()
    turns = []
    for thing in sorted(things, key=lambda one: (owner(one), name(one))):
        turns.append((counts[owner(thing)], thing))
        counts[owner(thing)] += 1
    turns.sort(key=lambda turn: turn[0])  # stable: by owner and name within a turn
    return [thing for _, thing in turns][: limit or None]
