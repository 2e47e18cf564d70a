"""The arms of the experiment: which films each batch of a classifier's training holds.

A batch has two halves. The first half is drawn from the real films that an arm has, the same rows
in the same steps in every arm of a seed that has the same real films. The second half is the arm's:
more of the same (`real`), or every class as often as every other, the rare class from its real
films alone (`augmented`, `upper`) or from real and synthetic ones (`unselected`, `selected`). What
is trained on synthetic films alone has both halves of them, every class as often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Bool, Int, UInt8

from papers.rare_disease_controlnet.config import Arm, ArmsConfig

Labels = UInt8[np.ndarray, "films findings"]
Rows = Int[np.ndarray, " rows"]
SYNTHETIC = ("unselected", "selected")  # beside real films


@dataclass(frozen=True)
class Trial:
    """One classifier: its arm, how many real films of the rare finding it has, and synthetic ones.

    `dose` 0 is as many as a set of synthetic films holds. `half` is the pretraining that the arm
    `pretrained` begins with.
    """

    arm: Arm
    rare: int
    dose: int = 0
    half: bool = False

    @property
    def name(self) -> str:
        """The name of its unit of training."""
        arm = "pretraining" if self.half else self.arm
        return f"classifier_{arm}_{self.rare}" + (f"_dose_{self.dose}" if self.dose else "")

    @property
    def real(self) -> bool:
        """Whether it is trained on real films."""
        return self.arm != "synthetic_only" and not self.half

    @property
    def synthetic(self) -> bool:
        """Whether it is trained on synthetic films."""
        return self.arm in (*SYNTHETIC, "synthetic_only") or self.half

    @property
    def augmented(self) -> bool:
        """Whether its films are augmented: all but those of the arm `real`."""
        return self.arm != "real"


def trials(config: ArmsConfig) -> list[Trial]:
    """Return all classifiers of a seed: the arms at every number of rare films, and the doses."""
    found = []
    for count in config.rare:
        arms = get_args(Arm) if count == config.main else config.elsewhere
        for arm in arms:
            if arm == "pretrained":
                found.append(Trial(arm, count, half=True))
            found.append(Trial(arm, count))
    return found + [Trial("selected", config.main, dose) for dose in config.doses]


def real_films(labels: Labels, rare: int, count: int, seed: int) -> Rows:
    """Return which films an arm has: all without the rare finding, and `count` with it.

    `rare` is the finding's column. The few are drawn by the seed; a smaller number of them is part
    of every larger one. Fewer are returned where there are no more.
    """
    having = np.flatnonzero(labels[:, rare])
    order = np.random.default_rng([seed, 1]).permutation(having)
    return np.sort(np.concatenate([np.flatnonzero(labels[:, rare] == 0), order[:count]]))


def batch_rows(trial: Trial, labels: Labels, synthetic: Bool[np.ndarray, " films"], count: int,
               seed: int) -> tuple[Rows, Rows]:  # fmt: skip
    """Return the films in the first and in the second half of all batches, `count` of each.

    `labels` and whether they are `synthetic` are those of the films that the arm has.
    """
    real = np.flatnonzero(~synthetic)
    first, second = (np.random.default_rng([seed, 2, half]) for half in (0, 1))
    if not trial.real:
        made = np.flatnonzero(synthetic)
        return balanced(labels, made, count, first), balanced(labels, made, count, second)
    rows = first.choice(real, count)
    if trial.arm == "real":
        return rows, second.choice(real, count)
    pool = np.arange(len(labels)) if trial.synthetic else real
    return rows, balanced(labels, pool, count, second)


def balanced(
    labels: Labels, pool: Int[np.ndarray, " pool"], count: int, random: np.random.Generator
) -> Rows:
    """Return `count` films of the pool: a class drawn evenly, then one of its films.

    The classes are those that the pool has: no finding, and each finding.
    """
    columns = np.concatenate([labels[pool].max(1, keepdims=True) == 0, labels[pool] > 0], 1)
    classes = [pool[has] for has in columns.T if has.any()]
    picked = random.integers(0, len(classes), count)
    place = random.random(count)
    return np.array(
        [classes[c][int(p * len(classes[c]))] for c, p in zip(picked, place, strict=True)]
    )
