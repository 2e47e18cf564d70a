"""The study's examples, made once of what was read, and loaded as the films of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from common.data.prepared import Example, Examples, Later, Prepared, Reading
from common.data.shelf import taken
from common.errors import InputError
from common.pipeline.trained import Trained
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.listing import FilmReading

PARTS = ("train", "validation", "review", "test")


@dataclass(frozen=True)
class Part:
    """The films of one part of the data, by name.

    A film without a label is normal. `masks` and `structures` are there for simulated films only:
    where the finding lies, and the film without it.
    """

    findings: tuple[str, ...]  # the columns of `labels`
    names: tuple[str, ...]
    patients: tuple[str, ...]
    images: UInt8[np.ndarray, "films height width 1"]
    labels: UInt8[np.ndarray, "films findings"]  # 0 or 1
    sides: tuple[str, ...]
    extents: Float32[np.ndarray, " films"]  # 0 to 1, NaN where nobody says
    views: tuple[str, ...]
    masks: Bool[np.ndarray, "films height width"] | None = None
    structures: UInt8[np.ndarray, "films height width 1"] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, rows: Int[np.ndarray, " rows"]) -> Part:
        """Return the films at these places."""
        return Part(
            self.findings,
            tuple(self.names[i] for i in rows),
            tuple(self.patients[i] for i in rows),
            taken(self.images, rows),
            self.labels[rows],
            tuple(self.sides[i] for i in rows),
            self.extents[rows],
            tuple(self.views[i] for i in rows),
            None if self.masks is None else taken(self.masks, rows),
            None if self.structures is None else taken(self.structures, rows),
        )


def findings_of(known: Prepared | Trained) -> tuple[str, ...]:
    """Return the findings that are told apart, in the order of the columns of labels.

    By the prepared data, or by networks that learned from it.
    """
    return tuple(known.parts["train"]["findings"])


def examples(config: DataConfig, reading: Reading[Film]) -> Examples:
    """Return every part's films as examples.

    The findings are those of the config in its order, or all that films have, by name. Raises
    `InputError` where a part has no film with the rare one, or films have no published part.
    """
    films = reading.items
    findings = config.findings or tuple(sorted({f for film in films for f in film.findings}))
    parts = split(config, films)
    _check_rare(config, parts)
    known = any(film.mask is not None for film in films)
    whole = _summary(films, findings)
    counts = ", ".join(f"{count} {finding}" for finding, count in whole["findings"].items())
    notes = [
        f"{whole['films']} films of {whole['patients']} patients ({whole['normal']} normal, "
        f"{counts})",
        _split_by(config, parts),
        *(reading.notes if isinstance(reading, FilmReading) else ()),
    ]
    return Examples(
        {
            part: Later(
                {film.name: film for film in members},
                lambda film: _example(film, findings, known),
            )
            for part, members in parts.items()
        },
        {part: _summary(members, findings) for part, members in parts.items()},
        "; ".join(notes),
    )


def split(config: DataConfig, films: Sequence[Film]) -> dict[str, list[Film]]:
    """Return the films of each part; those of one patient stay together.

    Patients with the rare finding are divided apart from the others, so that every part gets its
    share of them. "published" takes the publisher's test part as it is, with whatever patients it
    shares with the rest, and divides the rest by patient.
    """
    shares = {"validation": config.validation_fraction, "review": config.review_fraction}
    own, rest = [], list(films)
    if config.split == "published":
        if unsaid := [film.name for film in films if not film.part]:
            raise InputError(
                f"data.split: 'published', but {len(unsaid)} films of {config.dataset} have no "
                f"published part, as {unsaid[0]}; choose 'patient'"
            )
        own = [film for film in films if film.part == "test"]
        rest = [film for film in films if film.part != "test"]
        scale = config.train_fraction + sum(shares.values())
        shares = {part: share / scale for part, share in shares.items()}
    else:
        shares["test"] = 1 - config.train_fraction - sum(shares.values())
    random = np.random.RandomState(config.split_seed)  # the legacy stream, frozen by NumPy's policy
    rare = {film.patient for film in rest if config.rare in film.findings}
    part_of: dict[str, str] = {}
    for patients in (rare, {film.patient for film in rest} - rare):
        part_of |= _divided(sorted(patients), shares, random)
    parts = {part: [one for one in rest if part_of[one.patient] == part] for part in PARTS}
    return parts | ({"test": own} if config.split == "published" else {})


def load(prepared: Prepared, part: str) -> Part:
    """Return one part, train, validation, review or test, in the order of the films' names."""
    columns = prepared.columns(part, "name")
    known = "mask" in columns
    return Part(
        findings=findings_of(prepared),
        names=columns["name"],
        patients=columns["patient"],
        images=columns["image"],
        labels=columns["labels"],
        sides=columns["side"],
        extents=columns["extent"].astype(np.float32),
        views=columns["view"],
        masks=columns["mask"].view(bool) if known else None,  # of 0 and 1
        structures=columns["structure"] if known else None,
    )


def _divided(
    patients: Sequence[str], shares: dict[str, float], random: np.random.RandomState
) -> dict[str, str]:
    """Return the part of every patient: each has its share, at least one; the rest is train."""
    order = [patients[i] for i in random.permutation(len(patients))]
    part_of = dict.fromkeys(order, "train")
    first = 0
    for part, share in shares.items():
        count = max(1, round(share * len(order)))
        part_of |= dict.fromkeys(order[first : first + count], part)
        first += count
    return part_of


def _check_rare(config: DataConfig, parts: dict[str, list[Film]]) -> None:
    rare = {
        part: [film for film in members if config.rare in film.findings]
        for part, members in parts.items()
    }
    if not all(rare.values()):
        counts = ", ".join(f"{part} {len(members)}" for part, members in rare.items())
        patients = len({film.patient for members in rare.values() for film in members})
        raise InputError(
            f"data.rare: films with {config.rare!r} in each part: {counts}, of {patients} "
            "patients; every part needs one: choose a more frequent finding, or more films"
        )


def _split_by(config: DataConfig, parts: dict[str, list[Film]]) -> str:
    if config.split == "patient":
        return "split by patient"
    test = {film.patient for film in parts["test"]}
    others = {film.patient for part in PARTS[:-1] for film in parts[part]}
    return (
        f"test part as published, {len(test & others)} of its {len(test)} patients in other "
        "parts too; the rest split by patient"
    )


def _example(film: Film, findings: Sequence[str], known: bool) -> Example:
    """Return a film's example; `known` asks for its mask and structure, empty and its own."""
    example = {
        "name": film.name,
        "patient": film.patient,
        "image": film.image[..., None],
        "labels": np.array([finding in film.findings for finding in findings], np.uint8),
        "side": film.side,
        "extent": np.float32(film.extent),
        "view": film.view,
    }
    if not known:
        return example
    mask = np.zeros(film.image.shape, bool) if film.mask is None else film.mask
    structure = film.image if film.structure is None else film.structure
    return example | {"mask": mask.astype(np.uint8), "structure": structure[..., None]}


def _summary(films: Sequence[Film], findings: Sequence[str]) -> dict[str, Any]:
    """Return how many films and patients, how many normal, with each finding, of each view."""
    counts = Counter(finding for film in films for finding in film.findings)
    views = Counter(film.view for film in films if film.view)
    return {
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "normal": sum(not film.findings for film in films),
        "findings": {finding: counts[finding] for finding in findings},
        **({"views": dict(sorted(views.items()))} if views else {}),
    }
