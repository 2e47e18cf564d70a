"""Checkpoints: state, data iterator and step together, through Orbax.

`FOLDER/<step>/state` holds the leaves of the state one after another, in one array a dtype, and
`FOLDER/<step>/record` their names and shapes, the iterator's position, the metrics, which step is
the best so far, and whatever else the loop carries, as JSON; and a digest of each array and of the
record itself, since no other checksum tells a flipped bit (0.1 s for 100 MB). One array a dtype
because Orbax takes more than a millisecond a leaf: 0.9 s for the 600 leaves of a small U-Net with
Adam, which take a fifth of that packed.

Orbax writes into a folder of another name and renames it when all is there, so a folder named by
a step is whole, whenever the process was killed. Which ones to keep is decided here and not by
Orbax's CheckpointManager, which deletes a folder in place, so that a kill leaves a half that
bears a step's name, and which cannot pass over a checkpoint that the disk has damaged.
"""

import math
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from common import sealed
from common.errors import InputError
from common.files import write_atomic
from common.training.finite import Diverged
from common.training.packing import describe, difference, digest, pack, unpack

VERSION = 3  # of what is written here
_DELETED = ".deleted-"
_ENDED = "ended.json"  # the checkpoints that a training ended with, by the digests of their records


@dataclass(frozen=True)
class Restored:
    """What `Checkpoints.save` was given, read back."""

    step: int
    state: PyTree
    iterator: dict[str, Any]
    metrics: dict[str, float]
    extra: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training: the last `keep` and, by the metric named `best`, the best.

    Every process of a training calls `save` with the same state, and process 0 writes it; any
    process may read. `mode` says whether the least or the greatest value is the best; of equal
    values the earliest is.
    """

    def __init__(
        self,
        folder: Path,
        keep: int = 2,
        best: str | None = None,
        mode: Literal["min", "max"] = "min",
    ):
        self.folder, self._keep, self._best = Path(folder).absolute(), max(keep, 1), best
        self._sign = 1 if mode == "min" else -1
        self._writer = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        me = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
        )
        # reads wait for no other process
        self._reader = ocp.Checkpointer(
            ocp.CompositeCheckpointHandler(
                composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
            ),
            multiprocessing_options=alone,
        )
        self._values: dict[int, float | None] = {}  # by step; None: its record is damaged
        for step in self.steps():
            metrics = self._metrics(step)
            self._values[step] = None if metrics is None else self._value(metrics)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, in ascending order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def last_good(self) -> Path | None:
        """Return the folder of the newest checkpoint, None where there is none."""
        steps = self.steps()
        return self.folder / str(steps[-1]) if steps else None

    def save(
        self,
        step: int,
        state: PyTree,
        iterator: Mapping[str, Any],
        metrics: Mapping[str, SupportsFloat],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the checkpoint of `step` steps done; it is on disk when this returns.

        `state` is a pytree of arrays, whole on every device; `iterator` is what `get_state`
        returned, the same for every process; `extra` is what else the loop must find again (early
        stop, plateau), as JSON. Raises `Diverged`, and writes nothing, where the state is not
        finite: what can be restored is always good.
        """
        arrays = pack(state)
        for array in arrays.values():
            if jnp.issubdtype(array.dtype, jnp.inexact) and not np.isfinite(array).all():
                raise Diverged(step, self.last_good(), "the training state is not finite")
        self._values[step] = self._value(metrics)
        known = [one for one in self._values if one <= step]
        record = {
            "version": VERSION,
            "step": step,
            "digests": {dtype: digest(array) for dtype, array in arrays.items()},
            "best": [self._best, self._sign, self._best_step(known)],
            "leaves": describe(state),
            "iterator": dict(iterator),
            "metrics": {name: float(value) for name, value in metrics.items()},
            "extra": dict(extra or {}),
        }
        record[sealed.DIGEST] = sealed.digest(record)
        self._writer.save(
            self.folder / str(step),
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(arrays), record=ocp.args.JsonSave(record)
            ),
            force=True,  # over one that was passed over as damaged
        )
        if jax.process_index() == 0:
            self._prune(step)

    def end(self) -> None:
        """Note that the training has ended with the checkpoints that are there."""
        if jax.process_index() == 0 and self.steps():
            records = {str(step): self._record(step)[sealed.DIGEST] for step in self.steps()}
            write_atomic(self.folder / _ENDED, sealed.seal({"records": records}))

    def restore_ended(self, template: PyTree) -> Restored | None:
        """Return what the training ended with: the best, where that is judged, else the last.

        None where there is none. Raises `InputError` unless all checkpoints are there and whole
        that it ended with.
        """
        if not (steps := self.steps()) and not (self.folder / _ENDED).exists():
            return None
        remedy = f"delete {self.folder.parent} and train again"
        for step, known in sealed.read(self.folder / _ENDED, remedy)["records"].items():
            if self._digest_of(int(step)) != known:
                raise self._damaged(int(step))
        if self._best is not None:
            return self.restore_best(template)
        try:
            return self._restored(steps[-1], *self._read(steps[-1]), template)
        except InputError:
            raise
        except Exception as error:
            raise self._damaged(steps[-1]) from error

    def _digest_of(self, step: int) -> str | None:
        """Return the digest of a checkpoint's record, None where that is damaged or gone."""
        try:
            return self._record(step)[sealed.DIGEST]
        except InputError:
            raise
        except Exception:
            return None

    def restore_last(self, template: PyTree) -> Restored | None:
        """Return the newest checkpoint that can be read, None where there is none.

        The state comes back with the structure, the shapes and the shardings of `template`, which
        may be arrays or `jax.ShapeDtypeStruct`s, on any number of devices. A damaged checkpoint
        is passed over with a warning. Raises `InputError` where another model or version wrote it,
        and where the best one so far is damaged: without it the training would end with another.
        """
        for step in reversed(self.steps()):
            try:
                record, arrays = self._read(step)
            except InputError:
                raise
            except Exception as error:
                first = str(error).partition("\n")[0]
                warnings.warn(
                    f"checkpoint {self.folder / str(step)} is damaged and passed over: {first}",
                    stacklevel=2,
                )
            else:
                self._check_best(record, step)
                return self._restored(step, record, arrays, template)
        return None

    def restore_best(self, template: PyTree) -> Restored | None:
        """Return the checkpoint with the best metric, None where none has that metric.

        Raises `InputError` where it is damaged: the second best would be another result.
        """
        if self._best is None:
            raise ValueError("Checkpoints was made without the name of a metric to judge by")
        steps = self.steps()
        for one in steps:
            if self._values.get(one) is None:
                raise self._damaged(one)
        if (step := self._best_step(steps)) is None:
            return None
        try:
            record, arrays = self._read(step)
            self._check_best(self._record(steps[-1]), steps[-1])
        except InputError:
            raise
        except Exception as error:
            raise self._damaged(step) from error
        return self._restored(step, record, arrays, template)

    def _check_best(self, record: Mapping[str, Any], step: int) -> None:
        """Raise `InputError` unless the checkpoint is there that this one calls the best."""
        metric, sign, best = record["best"]
        if (metric, sign) != (self._best, self._sign) or best in (None, step):
            return
        if self._values.get(best) is None or not (self.folder / str(best)).is_dir():
            raise self._damaged(best)

    def _damaged(self, step: int) -> InputError:
        return InputError(
            f"checkpoint {self.folder / str(step)} is damaged or gone: "
            f"delete {self.folder.parent} and train again"
        )

    def _read(self, step: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the record and the packed state; raises whatever a damaged file leads to."""
        args = ocp.args.Composite(state=ocp.args.StandardRestore())
        record = self._record(step)
        arrays = self._reader.restore(self.folder / str(step), args=args)["state"]
        if {dtype: digest(array) for dtype, array in arrays.items()} != record["digests"]:
            raise ValueError("its arrays are not those that were written")
        return record, arrays

    def _record(self, step: int) -> dict[str, Any]:
        """Return the record of a checkpoint; raises whatever a damaged file leads to.

        Raises `InputError` where another version of the program wrote it.
        """
        args = ocp.args.Composite(record=ocp.args.JsonRestore())
        record = self._reader.restore(self.folder / str(step), args=args)["record"]
        if record.get("version") != VERSION:
            raise InputError(
                f"checkpoint {self.folder / str(step)} was written by another version of this "
                f"program; delete {self.folder} to train anew"
            )
        if record[sealed.DIGEST] != sealed.digest(record) or record["step"] != step:
            raise ValueError("its record is not the one that was written")
        return record

    def _restored(
        self, step: int, record: dict[str, Any], arrays: dict[str, np.ndarray], template: PyTree
    ) -> Restored:
        if differing := difference(record["leaves"], describe(template)):
            raise InputError(
                f"checkpoint {self.folder / str(step)} was written by another model: "
                f"{differing}; delete {self.folder} to train anew"
            )
        kept = {name: record[name] for name in ("iterator", "metrics", "extra")}
        return Restored(step, unpack(arrays, template), **kept)

    def _metrics(self, step: int) -> dict[str, float] | None:
        """Return a checkpoint's metrics, None where its record is damaged: the restores say so."""
        try:
            return self._record(step)["metrics"]
        except Exception:
            return None

    def _value(self, metrics: Mapping[str, SupportsFloat]) -> float:
        """Return what is least for the best checkpoint, infinity where the metric is missing."""
        value = self._sign * float(metrics.get(self._best or "", math.inf * self._sign))
        return math.inf if math.isnan(value) else value

    def _best_step(self, steps: list[int]) -> int | None:
        values = ((self._values.get(step), step) for step in steps)
        ranked = [(value, step) for value, step in values if value is not None]
        value, step = min(ranked, default=(math.inf, 0))
        return None if value == math.inf else step

    def _prune(self, current: int) -> None:
        """Delete all but the last and the best, what a killed save left behind, and what is newer.

        A checkpoint newer than the one just saved was damaged: the training resumed from before.
        """
        steps = [step for step in self.steps() if step <= current]
        kept = {str(step) for step in (*steps[-self._keep :], self._best_step(steps))}
        for path in sorted(self.folder.iterdir()):
            if path.name.isdecimal() and path.name not in kept:
                # under another name first: half of it must not bear the name of a step
                path = path.rename(path.with_name(_DELETED + path.name))
            if path.name.startswith(_DELETED) or ocp.utils.TMP_DIR_SUFFIX in path.name:
                shutil.rmtree(path, ignore_errors=True)
