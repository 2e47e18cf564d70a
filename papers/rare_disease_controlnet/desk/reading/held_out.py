"""Real films for sets that nobody has to bring: those that the engine's data set keeps for tests.

The engine and its classifiers never learned from them. They are there where the data was prepared
on this machine, as it is after the engine was trained here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import paths
from common.data.folders import holding
from common.errors import InputError
from common.pipeline.trained import find, seeds_of
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.desk.reading.sets import Real
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.prompts import NORMAL

STUDY, PART = "rare_disease_controlnet", "test"


@dataclass(frozen=True)
class HeldOut:
    """The test part of prepared data: where it lies, and how many films of each label it has."""

    dataset: str
    folder: Path
    findings: tuple[str, ...]
    counts: Mapping[str, int]  # by label

    def drawn(self, label: str, count: int, seed: Sequence[int]) -> list[Real]:
        """Return films of a label, drawn by lot: the same ones for the same seed.

        Raises:
            InputError: there is no film of this label.
        """
        if label not in self.counts or count < 1:
            raise InputError(
                f"test films: {count} of {label!r} asked for; choose one of "
                f"{', '.join(self.counts)}, and how many"
            )
        from common.data.builder import read  # TFDS, which takes seconds to import

        source = read(self.dataset, self.folder, PART)
        films: list[Real] = []
        for row in np.random.default_rng(list(seed)).permutation(len(source)):
            if len(films) == count:
                break
            film = source[int(row)]
            if self._label(film) == label:
                films.append(Real(film["image"][..., 0], label, film["name"].decode()))
        return films

    def _label(self, film: Mapping[str, Any]) -> str:
        pairs = zip(self.findings, film["labels"], strict=True)
        return next((name for name, is_there in pairs if is_there), NORMAL)


def held_out(settings: Settings) -> HeldOut | None:
    """Return the test films of the data that the engine learned from; None if they are not here."""
    try:
        trained = find(settings.engine or seeds_of(STUDY)[0].parent, STUDY, Config())
    except InputError:  # no engine, as on a desk where films are only read
        return None
    found = holding(paths.data() / STUDY, trained.content_hash)
    if found is None:
        return None
    folder, record = found
    part = record["parts"][PART]
    counts = {NORMAL: part["normal"], **part["findings"]}
    present = {label: count for label, count in counts.items() if count}
    return HeldOut(record["dataset"], folder, tuple(part["findings"]), present)
