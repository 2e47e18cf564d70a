"""What every training does around its own step: resume, count, report, check, save.

::

    length = Length(epochs, batch_size, log_every, checkpoint_minutes)
    with Training(folder, state, source, length, seed=seed, label=label) as training:
        for report in training.reports(step, key):
            if report.epoch is not None:
                report["validation_loss"] = validate(training.state)
            training.record(report)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from common.data.loader import Source, batches
from common.errors import InputError
from common.training import network_files, network_metadata
from common.training.checkpoints import Checkpoints
from common.training.finite import check_finite
from common.training.mesh import data_mesh, replicate, shard
from common.training.state import State
from common.training.writer import MetricWriter

LOG = "train.jsonl"


@dataclass(frozen=True)
class Length:
    """How long a training is, and how often it is reported and saved."""

    epochs: int
    batch_size: int
    log_every: int  # steps
    checkpoint_minutes: float
    most_steps: int | None = None  # where the training ends within an epoch

    @classmethod
    def of_steps(
        cls,
        steps: int,
        batch_size: int,
        examples: int,
        log_every: int,
        checkpoint_minutes: float,
    ) -> Length:
        """Return the length of so many steps on so many examples."""
        epochs = -(-steps // max(1, examples // batch_size))
        return cls(epochs, batch_size, log_every, checkpoint_minutes, most_steps=steps)

    def steps_per_epoch(self, examples: int) -> int:
        """Return the steps of an epoch: what does not fill a batch is left out."""
        return examples // self.batch_size

    def steps(self, examples: int) -> int:
        """Return the steps of the whole training."""
        steps = self.epochs * self.steps_per_epoch(examples)
        return steps if self.most_steps is None else min(steps, self.most_steps)


class Report(dict[str, float]):
    """The mean of each loss since the last report, after `step` steps; takes other numbers too."""

    def __init__(self, step: int, epoch: int | None, last: bool, losses: Mapping[str, float]):
        super().__init__(losses)
        self.step, self.last = step, last
        self.epoch = epoch  # the number of the epoch that ends here, from 1 on; None: none does


class Training:
    """One training in its folder, from its last checkpoint on. A context manager.

    `state` is where the training is, whole on every device; `extra` is what else the loop must
    find again, as JSON; `checkpoints` keeps the last one unless others are given. The training has
    ended where the block does, unless by an error.
    """

    def __init__(
        self,
        folder: Path,
        state: PyTree,
        source: Source,
        length: Length,
        *,
        seed: int,
        label: str,
        checkpoints: Checkpoints | None = None,
    ):
        self.length, self.total = length, length.steps(len(source))
        self.mesh, self.extra = data_mesh(), dict[str, Any]()
        self._epoch, self._start = length.steps_per_epoch(len(source)), 0
        self._checkpoints = checkpoints or checkpoints_of(folder)
        self._iterator = batches(
            source,
            length.batch_size,
            seed,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        self.state = replicate(self.mesh, state)
        if restored := self._checkpoints.restore_last(self.state):
            self._start, self.state, self.extra = restored.step, restored.state, restored.extra
            self._iterator.set_state(restored.iterator)
        self._writer = MetricWriter(folder / LOG, self.total, label, self._start)
        self._saved = time.monotonic()

    def reports(
        self, step: Callable, *arguments: Any, each: Callable[[], tuple] = tuple
    ) -> Iterator[Report]:
        """Take all steps that are left, and yield a report after every so many and every epoch.

        Args:
            step: ``step(state, batch, index, *arguments, *each())`` returns the new state and a
                loss, or several by name; `index` counts from 0.
            arguments: the same for every step: random keys, weights of other networks.
            each: called before every step: what the loop changes on the way, such as a rate.

        Raises:
            Diverged: a loss is not finite.
        """
        losses: list[Any] = []
        for done in range(self._start + 1, self.total + 1):
            batch = shard(self.mesh, next(self._iterator))
            self.state, value = step(self.state, batch, np.int32(done - 1), *arguments, *each())
            losses.append(value if isinstance(value, Mapping) else {"loss": value})
            epoch = done // self._epoch if done % self._epoch == 0 else None
            if epoch is None and done % self.length.log_every and done < self.total:
                continue
            host = jax.device_get(losses)
            means = {name: float(np.mean([one[name] for one in host])) for name in host[0]}
            losses = []
            for mean in means.values():
                check_finite(done, mean, self._checkpoints)
            yield Report(done, epoch, done == self.total, means)

    def record(self, report: Report, *, save: bool | None = None) -> None:
        """Write the report's line; save a checkpoint if `save` or, if it is None, by the clock."""
        self._writer.write(report.step, **report)
        if save or (save is None and (report.last or self.is_late)):
            position = self._iterator.get_state()
            self._checkpoints.save(report.step, self.state, position, report, self.extra)
            self._saved = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether the last checkpoint is older than it should be."""
        return time.monotonic() - self._saved > 60 * self.length.checkpoint_minutes

    def __enter__(self) -> Training:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._writer.close()
        if kind is None:
            self._checkpoints.end()


def checkpoints_of(folder: Path, best: str | None = None) -> Checkpoints:
    """Return the checkpoints in a unit's folder: the last and, by the metric `best`, the best."""
    return Checkpoints(folder / "checkpoints", keep=1, best=best)


def trained_state(folder: Path, template: State, best: str | None = None) -> State:
    """Return the last state in a unit's folder, or the one that was best by the metric `best`.

    Where the folder is the place of a network in a file, it is the state that was exported
    (`common.training.network_files`). `template` may hold arrays or shapes; the arrays that come
    back lie on the first device.

    Raises:
        InputError: there is no checkpoint, it is of another model, or one of those is damaged or
            gone that the training ended with.
    """
    if network_metadata.is_in_file(folder):
        return jax.device_put(network_files.load(folder, template), jax.local_devices()[0])
    checkpoints = checkpoints_of(folder, best)
    if (restored := checkpoints.restore_ended(template)) is None:
        raise InputError(f"{checkpoints.folder}: no checkpoint; run --stage train first")
    return jax.device_put(restored.state, jax.local_devices()[0])
