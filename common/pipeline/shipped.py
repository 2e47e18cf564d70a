"""Which networks prediction and sampling go by where the user names none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from common.errors import InputError
from common.pipeline.trained import seeds_of
from common.study import experiment as experiments
from common.study.experiment import Scale
from common.study.protocol import Study


def checkpoint_of(study: Study[Any], given: Path | None) -> Path:
    """Return the folder or file of the networks to be used.

    That is the one given; else the shipped networks, of several experiments those nearest to the
    published scale; else the run that was trained last here.

    Raises:
        InputError: none is given, shipped or trained.
    """
    if found := given or _shipped(study):
        return found
    try:
        return seeds_of(study.name)[0].parent
    except InputError:
        raise InputError(
            f"--checkpoint: no networks are shipped with {study.name}, and none is trained here; "
            f"train with `just replicate {study.name}`, or give the folder of a seed that was "
            "trained elsewhere"
        ) from None


def seeds_to_use(study: Study[Any]) -> list[Path]:
    """Return all networks of a seed there are: trained here, the newest first, and shipped ones.

    Raises:
        InputError: there is none.
    """
    shipped = [
        file for name in experiments.names(study.experiments) for file in study.shipped_files(name)
    ]
    try:
        return seeds_of(study.name) + shipped
    except InputError:
        if not shipped:
            raise
        return shipped


def _shipped(study: Study[Any]) -> Path | None:
    """Return the folder of the shipped networks that count, None where there are none."""
    scales = get_args(Scale)  # in ascending order
    there = [
        (scales.index(experiments.load(study.experiments, name).scale), name)
        for name in experiments.names(study.experiments)
        if study.shipped_files(name)
    ]
    return study.shipped_networks(max(there)[1]) if there else None
