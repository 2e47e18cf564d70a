"""The demo's engine: trained by the study's own pipeline, in minutes, with words on how far it is.

A run of the study's demo with fewer steps and one seed, and of it the parts that draw alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from common.pipeline import stages, units
from common.pipeline.plan import plan
from common.pipeline.trained import save_index
from common.pipeline.units import Training
from common.study.protocol import Run
from common.training.loop import LOG
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.networks import AUTOENCODER, CONTROLNET, DENOISER, adaptation
from papers.rare_disease_controlnet.study import STUDY

Tell = Callable[[str], None]
EXPERIMENT, SEED = "demo", 0
SETTINGS = (
    "engine.autoencoder_steps=600",
    "engine.steps=900",
    "engine.control_steps=250",
    "adapt.steps=250",
)
COSTS = {AUTOENCODER: 1.0, DENOISER: 1.6, CONTROLNET: 2.3}  # of a step; an adaptation's is 1.6
MINUTES = 8  # that it takes on two cores, until it is known better
_LOOK = 2.0  # seconds between two looks
_SURE = 0.05  # share of the work from which on the time left is told by the time that went by


def train(tell: Tell, experiment: str = EXPERIMENT, settings: Sequence[str] = SETTINGS) -> None:
    """Train what draws films; goes on where a process was stopped.

    Args:
        tell: shows how far it is, in words.
        experiment: of the study, whose run it is.
        settings: what differs from it.

    Raises:
        UserError: the films or the words cannot be fetched, or a loss stops being finite.
    """
    run: Run[Config] = plan(STUDY, experiment, settings=settings, seeds=(SEED,), processes=1)
    tell("the demo's engine is being trained: simulating the films that it learns from")
    prepared = stages.prepare(run)
    names = (adaptation(run.config.arms.main), CONTROLNET)
    found = {one.folder: one for name in names for one in units.trainings(run, prepared, name)}
    trainings = list(found.values())
    with _watched(trainings, tell):
        units.share(trainings)
    save_index(run, SEED, [one.unit for one in trainings], prepared.parts)


@contextmanager
def _watched(trainings: Sequence[Training], tell: Tell) -> Iterator[None]:
    """Tell how far trainings are for as long as the block runs."""
    stop, begun = threading.Event(), time.monotonic()
    before = share(trainings)

    def watch() -> None:
        while not stop.is_set():
            tell(words(trainings, before, time.monotonic() - begun))
            stop.wait(_LOOK)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()


def words(trainings: Sequence[Training], before: float, seconds: float) -> str:
    """Return how far trainings are.

    Args:
        trainings: in their order.
        before: the share of the work that was done when they began.
        seconds: that went by since.
    """
    done = share(trainings)
    if done - before > _SURE:
        minutes = seconds / 60 * (1 - done) / (done - before)
    else:
        minutes = MINUTES * (1 - done)
    number, current = next(
        ((number, one) for number, one in enumerate(trainings, 1) if not one.is_done()),
        (len(trainings), trainings[-1]),
    )
    name = current.unit.network.replace("_", " ")
    return (
        f"the demo's engine is being trained: part {number} of {len(trainings)} ({name}), step "
        f"{_step(current)} of {_steps(current)}; about {max(1, round(minutes))} min are left"
    )


def share(trainings: Sequence[Training]) -> float:
    """Return which share of the work is done."""
    costs = [_steps(one) * COSTS.get(one.unit.network, COSTS[DENOISER]) for one in trainings]
    parts = [1.0 if one.is_done() else _step(one) / _steps(one) for one in trainings]
    return sum(cost * part for cost, part in zip(costs, parts, strict=True)) / sum(costs)


def _steps(training: Training) -> int:
    config: Any = training.unit.config
    of = {
        AUTOENCODER: config.engine.autoencoder_steps,
        DENOISER: config.engine.steps,
        CONTROLNET: config.engine.control_steps,
    }
    return of.get(training.unit.network, config.adapt.steps)


def _step(training: Training) -> int:
    """Return the last step that a training has reported."""
    try:
        lines = (training.folder / LOG).read_text().splitlines()
        return int(json.loads(lines[-1])["step"])
    except (OSError, ValueError, IndexError, KeyError):
        return 0
