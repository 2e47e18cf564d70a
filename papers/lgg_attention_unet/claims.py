"""The source's claims in words, each as a test on the metrics of the seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.claims import greater, positive, values
from common.report.verdicts import Verdict, too_few

Seeds = Sequence[dict[str, Any]]
HALF = 0.5  # mask and tumor share more than they do not


def tumor_captured(seeds: Seeds) -> Verdict:
    """Mean Dice of test patients is above one half and above that of the best FLAIR threshold."""
    ours = values(seeds, "attention.patient.dice")
    bar = [max(HALF, value) for value in values(seeds, "threshold.patient.dice")]
    return greater(ours, bar, "Dice of patients above 0.5 and above the FLAIR threshold's")


def slices_told_apart(seeds: Seeds) -> Verdict:
    """F1 of marking slices with tumor is above that of calling every slice one."""
    return _told_apart(seeds, "slice")


def patients_told_apart(seeds: Seeds) -> Verdict:
    """F1 of marking patients with tumor is above that of calling every patient one."""
    if not all(0 < n < m for n, m in zip(*_counts(seeds), strict=True)):
        return Verdict("not testable", "a test part has patients of one kind only")
    return _told_apart(seeds, "patient")


def gates_help(seeds: Seeds) -> Verdict:
    """Dice with gates is above Dice without, paired by patient; one of several folds counts once.

    Patients are independent where folds do not overlap; a patient tested by more than one seed
    comes in with the mean of the differences.
    """
    if refused := too_few(len(seeds)):
        return refused
    differences: dict[str, list[float]] = {}
    for seed in seeds:
        if "plain" not in seed:
            return Verdict("not testable", "no network without gates was trained")
        for name, dice in seed["attention"]["patients"].items():
            differences.setdefault(name, []).append(dice - seed["plain"]["patients"][name])
    paired = [float(np.mean(found)) for found in differences.values()]
    return positive(paired, "Dice with gates minus without", of="patients")


def _told_apart(seeds: Seeds, what: str) -> Verdict:
    path = f"attention.detection.{what}"
    gain = greater(
        values(seeds, f"{path}.f1"), values(seeds, f"{path}.f1_always"),
        f"F1 for a {what} with tumor above that of always yes",
    )  # fmt: skip
    area = np.mean(values(seeds, f"{path}.auroc"))
    return Verdict(gain.word, f"{gain.detail}; AUROC {area:.3f}")


def _counts(seeds: Seeds) -> tuple[list[float], list[float]]:
    path = "attention.detection.patient"
    return values(seeds, f"{path}.positive"), values(seeds, f"{path}.n")
