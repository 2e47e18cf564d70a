"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from common.data.prepared import Dataset, Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from papers.surgical_vision import pairs_layout
from papers.surgical_vision.config import DataConfig
from papers.surgical_vision.pair import DOMAINS, LADDER, Pair, Truth

COHORT_SEED = 0  # of the rendered patients and the warps: the same for all runs


def pairs(raw: Path, config: DataConfig) -> Reading[Pair]:
    """Return the user's pairs, by name."""
    found = pairs_layout.listing(raw)
    entries, bad = found.entries, list(found.bad)
    patients = list(dict.fromkeys(entry.patient for entry in entries))[: config.limit or None]
    entries = [entry for entry in entries if entry.patient in patients]
    copies = pairs_layout.copies(entries)
    bad += copies.values()
    entries = [entry for entry in entries if entry.name not in copies]
    read = []
    for entry in _progress(entries, "reading pairs", len(entries)):
        try:
            read.append(kept(pairs_layout.read(entry, config.size)))
        except BadFile as reason:
            bad.append(str(reason))
    return Reading(read, bad, ignored=found.ignored)


def heads(raw: None, config: DataConfig) -> Reading[Pair]:
    """Return the rendered patients."""
    drawn = (_rendered(index, config) for index in range(config.patients))
    return Reading(list(map(kept, _progress(drawn, "rendering faces", config.patients))))


def photos(raw: Path, config: DataConfig) -> Reading[Pair]:
    """Return the faces of a folder's portraits, each with its warped counterpart."""
    from papers.surgical_vision.photos import reading

    found = reading.read(raw, config.size, config.limit)
    made = (_warped(face, index, config) for index, face in enumerate(found.items))
    pairs = list(map(kept, _progress(made, "warping faces", len(found.items))))
    return Reading(pairs, found.bad, ignored=found.ignored)


def photo_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the images of a folder and below."""
    from papers.surgical_vision.photos import reading

    return reading.listing(raw).files


DATASETS = {
    "pairs": Dataset(
        "pairs of photographs",
        "the user's own: before and after surgery, as the source had them from clinics",
        stand_in=False,
        read=pairs,
        raw="before/ and after/ with equal names, and labels.csv (name, eyes, nose, chin)",
        access="the source's pairs are not public; bring your own, with their owners' consent",
        files=lambda raw, config: pairs_layout.listing(raw).files,
    ),
    "heads": Dataset(
        "rendered heads",
        "faces of nobody, rendered from a CC0 head, before and after a known operation",
        stand_in=True,
        read=heads,
        license="CC0 1.0",
    ),
    "photos": Dataset(
        "warped portraits",
        "portraits, before and after a warp as of an operation, whose displacement is known",
        stand_in=True,
        read=photos,
        raw="portraits, one face each, in any folders",
        access="any portraits that may be shown, such as generated ones",
        files=photo_files,
    ),
}


def ladders(config: DataConfig, truths: Any) -> UInt8[np.ndarray, "pairs shares height width 3"]:
    """Return every patient at the first visit with the shares LADDER of the operation."""
    if config.dataset == "heads":
        from papers.surgical_vision.faces.patient import ladder

        made = (
            ladder(int(index), COHORT_SEED, config.size, LADDER, visits=config.visits)
            for index in truths.drawn
        )
    else:
        from papers.surgical_vision.photos import pairs as warps
        from papers.surgical_vision.photos.face import Face

        made = (
            warps.ladder(Face("", fine, landmarks, 1.0), amounts, LADDER)
            for fine, landmarks, amounts in zip(
                truths.fine, truths.landmarks, truths.amounts, strict=True
            )
        )
    return np.stack(list(_progress(made, "shares of the operation", len(truths.drawn))))


def _rendered(index: int, config: DataConfig) -> Pair:
    from papers.surgical_vision.faces.patient import patient

    drawn = patient(index, COHORT_SEED, config.size, visits=config.visits)
    name = f"head-{index + 1:04d}"
    return Pair(
        name=name,
        patient=name,
        before=drawn.before,
        after=drawn.after,
        domains=_domains(drawn.domains),
        truth=Truth(
            amounts=drawn.amounts,
            flow=drawn.flow,
            regions=drawn.regions,
            drawn=index,
            landmarks=drawn.landmarks[:, 0],
            fine=np.zeros((1, 1, 3), np.uint8),
        ),
    )


def _warped(face: Any, index: int, config: DataConfig) -> Pair:
    from papers.surgical_vision.photos.pairs import pair

    made = pair(face, COHORT_SEED, index, visits=config.visits)
    return Pair(
        name=made.name,
        patient=made.name,
        before=made.before,
        after=made.after,
        domains=_domains(made.domains),
        truth=Truth(
            amounts=made.amounts,
            flow=made.flow,
            regions=made.regions,
            drawn=index,
            landmarks=face.landmarks,
            fine=face.fine,
        ),
    )


def _domains(names: Iterable[str]) -> tuple[bool, bool, bool]:
    eyes, nose, chin = (name in set(names) for name in DOMAINS)
    return eyes, nose, chin


def _progress(items: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return tqdm(items, what, total=count, unit="face", delay=2, disable=None)
