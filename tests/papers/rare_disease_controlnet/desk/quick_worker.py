"""A worker whose engine is a few lines of NumPy: queue, rows and store are the real ones."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import numpy as np

from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import Corpus
from papers.rare_disease_controlnet.corpus.database import connect
from papers.rare_disease_controlnet.corpus.store import Folder
from papers.rare_disease_controlnet.desk.desk import Desk
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import Drawn, Watch, work
from papers.rare_disease_controlnet.desk.settings import Settings
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, SPEC

LEASE = timedelta(seconds=2)


def film(seed: int) -> bytes:
    """Return the film of a seed."""
    return png.encoded(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8))


@dataclass
class Quick:
    """An engine that draws noise: the estimate gets nearer to it, step by step."""

    pause: float = 0.01
    every: int = 5
    ready: bool = True
    drawn: list[int] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)

    def is_ready(self) -> bool:
        return self.ready

    def draw(self, asked: Asked, number: int, watch: Watch) -> Drawn:
        content = film(asked.seed + number)
        image = png.decoded(content, "film")
        for step in range(self.every, asked.steps + 1, self.every):
            time.sleep(self.pause)
            watch(step, (image * (step / asked.steps)).astype(np.uint8))
        self.drawn.append(asked.seed + number)
        spec = replace(SPEC, label=asked.label, seed=asked.seed + number)
        return Drawn(content, replace(LINEAGE, spec=spec, output=digest(content)), "quick", "cpu")

    def compare(self, films: Sequence[str]) -> None:
        self.compared += films

    def rest(self, worker: str, stopped: Callable[[], bool]) -> bool:
        return False


def opened(folder: Path, database: str | None) -> Desk:
    """Return a desk whose tables are there."""
    engine = connect(database or f"sqlite:///{folder / 'corpus.db'}")
    settings = Settings(folder, database=database)
    return Desk(settings, Corpus(engine, Folder(folder / "films")))


def main(folder: Path, database: str | None, name: str) -> None:
    """Work until SIGTERM, as a process of its own."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sys.stderr = (folder / f"{name}.log").open("w")
    work(opened(folder, database), Quick(), name, stop, lease=LEASE, pause=0.05)
