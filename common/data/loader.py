"""Batches whose order is a pure function of seed and step."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import grain
import numpy as np

from common.errors import InputError


@runtime_checkable
class Source(Protocol):
    """Examples that can be asked for by position, as `tfds.data_source` gives them."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: Any) -> Any: ...


class ArraySource:
    """Examples whose fields are rows of arrays in memory, all with the same first axis."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        if len({len(array) for array in arrays.values()}) != 1:
            raise ValueError(f"lengths differ: { {k: len(v) for k, v in arrays.items()} }")
        self._arrays = dict(arrays)

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def __getitem__(self, position: Any) -> dict[str, Any]:
        return {name: array[position] for name, array in self._arrays.items()}


class Picked:
    """Examples of a source at the positions that `rows` lists, as often as it does.

    A row of several positions makes one example of them, its fields stacked.
    """

    def __init__(self, source: ArraySource, rows: np.ndarray):
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: Any) -> dict[str, Any]:
        return self._source[self._rows[position]]


class Unaligned:
    """Sources whose examples meet at random: `batches` gives each an order of its own.

    An example has the fields of all of them; the shortest source says how many there are.
    """

    def __init__(self, *sources: Source):
        self.sources = sources

    def __len__(self) -> int:
        return min(map(len, self.sources))

    def __getitem__(self, position: Any) -> dict[str, Any]:
        return _together(tuple(source[position] for source in self.sources))


def _together(examples: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    return {name: value for example in examples for name, value in example.items()}


def batches(
    source: Source,
    batch_size: int,
    seed: int,
    *,
    process_index: int = 0,
    process_count: int = 1,
    epochs: int | None = None,
) -> grain.DatasetIterator:
    """Return an iterator of this process's rows of every batch; `epochs=None` never ends.

    `batch_size` counts the rows over all processes, which hold consecutive blocks of them: put
    one after another, the processes' rows are the batch of a single process. Every epoch is
    another permutation and leaves out what does not fill a last batch. `get_state` and
    `set_state` save and restore the position, which counts steps and so fits any number of
    processes. Raises `InputError` where there are fewer examples than a batch holds.
    """
    if batch_size % process_count:
        raise InputError(
            f"batch_size {batch_size} cannot be shared by {process_count} processes: "
            f"choose a multiple of {process_count}"
        )
    steps = len(source) // batch_size
    if not steps:
        raise InputError(f"batch_size {batch_size} is larger than the {len(source)} examples")
    if isinstance(source, Unaligned):
        orders = [_shuffled(one, [seed, i]) for i, one in enumerate(source.sources)]
        cut = [order[: steps * batch_size] for order in orders]
        order = grain.experimental.ZipMapDataset(cut).map(_together)
    else:
        order = _shuffled(source, seed)[: steps * batch_size]
    blocks = order.batch(batch_size // process_count)[process_index::process_count]
    return iter(blocks.repeat(epochs).to_iter_dataset(grain.ReadOptions(num_threads=0)))


def _shuffled(source: Source, seed: int | list[int]) -> grain.MapDataset:
    # Grain shuffles epoch e by seed + e: with the seeds 0, 1, 2 as they are, one run's second
    # epoch would be the next run's first.
    mixed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return grain.MapDataset.source(source).shuffle(mixed)
