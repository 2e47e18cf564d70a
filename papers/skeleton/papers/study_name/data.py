"""The study's examples, made once of what was read, and loaded as the arrays of a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from common.data.prepared import Example, Examples, Prepared, Reading
from common.data.splits import split_groups
from papers.study_name.config import DataConfig
from papers.study_name.scan import Scan

SPLIT_SEED = 0  # the same parts for all seeds


@dataclass(frozen=True)
class Part:
    """The images of one part, by name."""

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "n size size 1"]
    labels: Int[np.ndarray, " n"]


def examples(config: DataConfig, reading: Reading[Scan]) -> Examples:
    """Return the images of every part; all images of a patient are in the same one."""
    scans = reading.items
    patients = [scan.patient for scan in scans]
    chosen = split_groups(patients, SPLIT_SEED, config.train_fraction, config.validation_fraction)
    parts = {part: [scans[i] for i in members] for part, members in chosen.items()}
    return Examples(
        {part: {scan.name: _example(scan) for scan in own} for part, own in parts.items()},
        {part: _summary(own) for part, own in parts.items()},
        f"{len(scans)} images of {len(set(patients))} patients, split by patient",
    )


def load(prepared: Prepared, part: str) -> Part:
    """Return train, validation or test."""
    columns = prepared.columns(part, "name")
    return Part(columns["name"], columns["image"], columns["label"])


def _example(scan: Scan) -> Example:
    return {
        "name": scan.name,
        "patient": scan.patient,
        "image": scan.image[..., None],
        "label": scan.label,
    }


def _summary(scans: list[Scan]) -> dict[str, Any]:
    return {
        "images": len(scans),
        "with_spot": sum(scan.label for scan in scans),
        "patients": len({scan.patient for scan in scans}),
    }
