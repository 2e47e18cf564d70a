"""The engine as the web sees it: which films can be asked of it, without loading any of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import InputError, nearest
from common.pipeline.trained import INDEX, TUNED, Trained, find, seeds_of
from common.study import config as configs
from papers.rare_disease_controlnet.config import Config, SynthesisConfig
from papers.rare_disease_controlnet.data import findings_of
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.spec import Asked, Followed
from papers.rare_disease_controlnet.networks import adaptation
from papers.rare_disease_controlnet.options import PRESETS
from papers.rare_disease_controlnet.prompts import NORMAL

STUDY = "rare_disease_controlnet"
FOLLOWED: tuple[Followed, ...] = ("canny", "depth")
STAGE = "engine.txt"  # in the desk's folder: what an engine that is being trained is at, in words


@dataclass(frozen=True)
class Known:
    """A trained engine."""

    trained: Trained

    @property
    def config(self) -> Config:
        """Return the study's config as the engine was trained with it."""
        config: Config = self.trained.config
        return config

    @property
    def options(self) -> SynthesisConfig:
        """Return how the engine draws where nothing else is asked."""
        return self.config.synthesis

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what a film can show: the rare finding first, a normal film last."""
        rare = self.config.data.rare
        others = [one for one in findings_of(self.trained) if one != rare]
        return (rare, *others, NORMAL)

    @property
    def controls(self) -> tuple[Followed, ...]:
        """Return what the engine can follow: a small one learned edges, a user's what it says."""
        name = self.config.engine.controlnet.lower() if self.config.engine.weights else "canny"
        named: list[Followed] = [one for one in FOLLOWED if one in name]
        return ("none", *(named or FOLLOWED))

    def check(self, asked: Asked) -> None:
        """Raise `InputError` for what this engine never learned."""
        if asked.label not in self.labels:
            raise InputError(
                f"label {asked.label}: not learned, {nearest(asked.label, self.labels)}"
            )
        if asked.control not in self.controls:
            raise InputError(
                f"control {asked.control}: the ControlNet of this engine never learned it, "
                f"choose one of {', '.join(self.controls)}"
            )

    def work(self, asked: Asked) -> str:
        """Return what kind of work a film is: all of a kind take the same time a step."""
        halves = "" if asked.guidance > 1 else ", unguided"
        engine = configs.digest(self.config.engine)
        return f"engine {engine}, {self.config.data.size} pixels, {asked.control}{halves}"


def known(desk: Desk) -> Known | None:
    """Return the engine that draws now; None while none is trained.

    Raises:
        InputError: the desk was told to use another, which is none.
    """
    folder = desk.settings.engine
    if folder is None:
        try:
            folder = seeds_of(STUDY)[0].parent
        except InputError:
            return None
    written = _written(folder)
    trained = _read(folder, written) if written else find(folder, STUDY, Config())
    whole = adaptation(trained.config.arms.main) in trained.folders
    return Known(trained) if whole else None


@lru_cache(maxsize=4)
def _read(folder: Path, written: tuple[Any, ...]) -> Trained:
    """Return what is trained in a folder; read once, and again when it was `written` anew."""
    return find(folder, STUDY, Config())


def _written(folder: Path) -> tuple[Any, ...]:
    """Return when the indices of a run's seeds, or of one seed, were written."""
    names = [where + name for where in ("", "*/") for name in (INDEX, TUNED)]
    files = sorted(file for name in names for file in folder.glob(name))
    return tuple((file, file.stat().st_mtime_ns) for file in files)


def stage(desk: Desk) -> str:
    """Return what the engine that is being trained is at, in words; empty where none is."""
    try:
        return (desk.settings.folder / STAGE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def presets() -> dict[str, dict[str, Any]]:
    """Return ways to draw by their names."""
    return {name: dict(values) for name, values in PRESETS.items() if name}


def version(trained: Trained) -> tuple[Path, int]:
    """Return what changes when an engine was trained anew in the same folder."""
    newest = max(folder.stat().st_mtime_ns for folder in trained.folders.values())
    return trained.source, newest
