"""The study's examples, made once of what was read, and loaded as the pairs of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from common.data.loader import ArraySource, Source, Unaligned
from common.data.prepared import Example, Examples, Later, Prepared, Reading
from common.data.shelf import joined, taken
from common.data.splits import PARTS, split_groups
from papers.surgical_vision.config import DataConfig
from papers.surgical_vision.pair import DOMAINS, Pair

Images = UInt8[np.ndarray, "pairs height width 3"]
Labels = UInt8[np.ndarray, "pairs 3"]  # 1 where a domain was operated


@dataclass(frozen=True)
class Truths:
    """What is known of the operations of a part: see `pair.Truth`."""

    amounts: Float32[np.ndarray, "pairs 3"]
    flow: Float32[np.ndarray, "pairs height width 2"]
    regions: UInt8[np.ndarray, "pairs height width"]
    drawn: Int[np.ndarray, " pairs"]
    landmarks: Float32[np.ndarray, "pairs points 2"]
    fine: UInt8[np.ndarray, "pairs rows columns 3"]

    def __getitem__(self, rows: Int[np.ndarray, " rows"]) -> Truths:
        return Truths(*(taken(getattr(self, name), rows) for name in _TRUTHS))


_TRUTHS = ("amounts", "flow", "regions", "drawn", "landmarks", "fine")


@dataclass(frozen=True)
class Part:
    """The pairs of one part of the data, by name; `truth` where the operations were made here."""

    names: tuple[str, ...]
    before: Images
    after: Images
    labels: Labels
    truth: Truths | None = None

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> Part:
        """Return the first so many pairs."""
        return self.rows(np.arange(min(count, len(self))))

    def rows(self, rows: Int[np.ndarray, " rows"]) -> Part:
        """Return the pairs at these places."""
        return Part(
            tuple(self.names[i] for i in rows),
            taken(self.before, rows),
            taken(self.after, rows),
            self.labels[rows],
            None if self.truth is None else self.truth[rows],
        )


def examples(config: DataConfig, reading: Reading[Pair]) -> Examples:
    """Return every part's pairs as examples; pairs of one patient stay together."""
    pairs = reading.items
    fractions = (config.split_seed, config.train_fraction, config.validation_fraction)
    chosen = split_groups([pair.patient for pair in pairs], *fractions)
    parts = {part: [pairs[i] for i in chosen[part]] for part in PARTS}
    whole = _summary(pairs)
    counts = ", ".join(f"{count} {name}" for name, count in whole["domains"].items())
    return Examples(
        {
            part: Later({pair.name: pair for pair in members}, _example)
            for part, members in parts.items()
        },
        {part: _summary(members) for part, members in parts.items()},
        f"{whole['pairs']} pairs of {whole['patients']} patients ({counts}); split by patient",
    )


def load(prepared: Prepared, part: str) -> Part:
    """Return one part, train, validation or test, in the order of the pairs' names."""
    columns = prepared.columns(part, "name")
    known = "flow" in columns
    return Part(
        names=columns["name"],
        before=columns["before"],
        after=columns["after"],
        labels=columns["labels"],
        truth=Truths(*(columns[name] for name in _TRUTHS)) if known else None,
    )


def _example(pair: Pair) -> Example:
    example = {
        "name": pair.name,
        "patient": pair.patient,
        "before": pair.before,
        "after": pair.after,
        "labels": np.array(pair.domains, np.uint8),
    }
    if pair.truth is None:
        return example
    return example | {name: getattr(pair.truth, name) for name in _TRUTHS}


def _summary(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return how many pairs and patients, and how many of every domain."""
    counts = Counter(
        name for pair in pairs for name, operated in zip(DOMAINS, pair.domains, strict=True)
        if operated
    )  # fmt: skip
    return {
        "pairs": len(pairs),
        "patients": len({pair.patient for pair in pairs}),
        "domains": {name: counts[name] for name in DOMAINS},
    }


def paired(part: Part) -> Source:
    """Return pairs: `before`, `after` of one patient."""
    return ArraySource({"before": part.before, "after": part.after})


def unpaired(part: Part) -> Source:
    """Return `before` of one patient and `after` of any."""
    return Unaligned(ArraySource({"before": part.before}), ArraySource({"after": part.after}))


def single(part: Part) -> Source:
    """Return all images alone with their labels: `image`, `label`; before surgery it is 0 0 0."""
    images, labels = _single(part)
    return ArraySource({"image": images, "label": labels})


def with_references(part: Part) -> Source:
    """Return images of a domain, and two of another domain each: for StarGANv2.

    `image`, `domain`; `reference`, `reference2`, `target`. Domains are 0 for before surgery, 1 to 3
    for eyes, nose, chin; a face with two operations is in both. Every domain is met equally often.
    """
    images, labels = _single(part)
    members = [np.flatnonzero(rows) for rows in _domains(labels)]
    members = [rows for rows in members if len(rows)]
    most = max(map(len, members))
    rows = np.concatenate([np.resize(rows, most) for rows in members])
    others = np.concatenate([np.resize(np.roll(rows, -1), most) for rows in members])
    present = [domain for domain, rows in enumerate(_domains(labels)) if rows.any()]
    domain = np.repeat(np.array(present, np.int32), most)
    return Unaligned(
        ArraySource({"image": taken(images, rows), "domain": domain}),
        ArraySource(
            {
                "reference": taken(images, rows),
                "reference2": taken(images, others),
                "target": domain,
            }
        ),
    )


def _single(part: Part) -> tuple[Images, Labels]:
    labels = np.concatenate([np.zeros_like(part.labels), part.labels])
    return joined(part.before, part.after), labels


def _domains(labels: Labels) -> list[Bool[np.ndarray, " images"]]:
    """Return which images are in each of StarGANv2's domains."""
    return [labels.sum(1) == 0, *(labels.T > 0)]
