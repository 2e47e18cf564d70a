"""The processes beside `experiments.benchmarks.review_desk`'s visitors: the pages, and an engine.

python -m experiments.benchmarks.review_desk_sides pages|engine FOLDER
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import uvicorn

from experiments.benchmarks.review_desk_content import image, lineage, settings_of
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.desk.app import build
from papers.rare_disease_controlnet.desk.commands import keeper
from papers.rare_disease_controlnet.desk.jobs.spec import Asked
from papers.rare_disease_controlnet.desk.jobs.worker import Drawn, Watch, work
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.pages import prepare

EVERY = 3  # steps between two looks
_STEP = 0.25  # seconds
_SIDE = 1024  # of matrices that keep all cores busy


class Busy:
    """An engine that draws nothing new, and takes all cores for each step as a real one does."""

    def is_ready(self) -> bool:
        """Return that it is."""
        return True

    def draw(self, asked: Asked, number: int, watch: Watch) -> Drawn:
        """Return a film of noise, after as many steps as were asked for."""
        film = image(asked.seed + number)
        for step in range(1, asked.steps + 1):
            _work(_STEP)
            if step % EVERY == 0:
                watch(step, (film * (step / asked.steps)).astype(np.uint8))
        content = png.encoded(film)
        made = lineage(asked.label, asked.seed + number, content)
        return Drawn(content, made, "matrix products", "cpu")

    def compare(self, films: Sequence[str]) -> None:
        """Compare with nothing."""

    def rest(self, worker: str, stopped: Callable[[], bool]) -> bool:
        """Do nothing."""
        return False


def _work(seconds: float) -> None:
    matrix, end = np.ones((_SIDE, _SIDE), np.float32), time.monotonic() + seconds
    while time.monotonic() < end:
        matrix @ matrix


def pages(folder: Path) -> None:
    """Show a desk's pages at a free port, which is printed."""
    prepare()
    server = uvicorn.Server(
        uvicorn.Config(build(open_desk(settings_of(folder))), port=0, lifespan="off",
                       log_level="warning", access_log=False)
    )  # fmt: skip
    threading.Thread(target=_tell, args=(server,), daemon=True).start()
    server.run()


def _tell(server: uvicorn.Server) -> None:
    while not server.started:
        time.sleep(0.02)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)


def engine(folder: Path) -> None:
    """Work at a desk's jobs until this process is ended, as the one beside the pages does."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.nice(keeper.NICE)
    work(open_desk(settings_of(folder)), Busy(), keeper.name(), stop)


if __name__ == "__main__":
    {"pages": pages, "engine": engine}[sys.argv[1]](Path(sys.argv[2]))
