"""The study's examples, made once of what was read, and loaded as the images of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from common.data.prepared import Example, Examples, Later, Prepared, Reading
from common.data.shelf import passing
from common.data.splits import PARTS, split_groups
from papers.ultrasound_diconvae import fetal_planes_layout
from papers.ultrasound_diconvae.config import DataConfig
from papers.ultrasound_diconvae.image import CLASSES, PLANES, LabeledImage


@dataclass(frozen=True)
class Part:
    """The images of one part of the data, by name; `clean` is there for simulated ones only."""

    names: tuple[str, ...]
    subjects: tuple[str, ...]
    planes: tuple[str, ...]
    images: UInt8[np.ndarray, "images height width 1"]
    labels: UInt8[np.ndarray, "images height width"]
    mm: Float32[np.ndarray, "images 2"]  # height and width of a pixel; NaN where nobody says
    head_mm: Float32[np.ndarray, " images"]  # circumference; NaN where nobody says
    clean: UInt8[np.ndarray, "images height width 1"] | None = None

    def __len__(self) -> int:
        return len(self.names)


def classes_of(dataset: str) -> tuple[str, ...]:
    """Return the names of a data set's classes, by label; HC18's images show the head alone."""
    return CLASSES[:2] if dataset == "hc18" else CLASSES


def examples(config: DataConfig, reading: Reading[LabeledImage]) -> Examples:
    """Return every part's images as examples; images of one subject stay together."""
    images = reading.items
    fractions = (config.split_seed, config.train_fraction, config.validation_fraction)
    chosen = split_groups([one.subject for one in images], *fractions)
    parts = {part: [images[i] for i in chosen[part]] for part in PARTS}
    return Examples(
        {
            part: Later({f"{one.plane}/{one.name}": one for one in members}, _example)
            for part, members in parts.items()
        },
        {part: _summary(members) for part, members in parts.items()},
        _described(config, images),
    )


def load(prepared: Prepared, part: str) -> Part:
    """Return one part, train, validation or test, in the order of the images' names."""
    columns = prepared.columns(part, "name", "plane")
    return Part(
        names=columns["name"],
        subjects=columns["subject"],
        planes=columns["plane"],
        images=columns["image"],
        labels=columns["labels"],
        mm=columns["mm"],
        head_mm=columns["head_mm"].astype(np.float32),
        clean=columns.get("clean"),
    )


def _example(one: LabeledImage) -> Example:
    example = {
        "name": one.name,
        "subject": one.subject,
        "plane": one.plane,
        "image": one.image,
        "labels": one.labels,
        "mm": np.array(one.mm, np.float32),
        "head_mm": np.float32(one.head_mm),
    }
    return example if one.clean is None else example | {"clean": one.clean}


def _summary(images: Sequence[LabeledImage]) -> dict[str, Any]:
    """Return how many images and subjects, how many of every plane and with every class."""
    planes = Counter(one.plane for one in images)
    heads = [one.head_mm for one in images if np.isfinite(one.head_mm)]
    labeled = Counter(label for one in passing(images) for label in np.unique(one.labels).tolist())
    return {
        "images": len(images),
        "subjects": len({one.subject for one in images}),
        "planes": {plane: planes[plane] for plane in PLANES if planes[plane]},
        "classes": {name: labeled[label] for label, name in enumerate(CLASSES) if label},
        **({"head_mm_min": min(heads), "head_mm_max": max(heads)} if heads else {}),
    }


def _described(config: DataConfig, images: Sequence[LabeledImage]) -> str:
    whole = _summary(images)
    line = f"{whole['images']} images of {whole['subjects']} subjects; split by subject"
    if config.dataset == "fetal_planes" and not config.limit:
        published = fetal_planes_layout.PUBLISHED
        counts = [f"{whole['planes'].get(p, 0)} of {published[p]} {p}" for p in config.planes]
        line += "; of those published: " + ", ".join(counts)
    return line
