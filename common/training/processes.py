"""Several processes in one run (``jax.distributed``): one decides and writes, all do the same.

What the first process refuses every process refuses: nobody is left waiting for the others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax

from common import terminal
from common.errors import InputError, UserError, of_system
from common.locks import folder_lock

T = TypeVar("T")
_COUNT = itertools.count()  # of what was broadcast: the same in every process
_PATIENCE = 30 * 24 * 3600 * 1000  # milliseconds


def is_primary() -> bool:
    """Return whether this process is the one that writes."""
    return jax.process_index() == 0


def is_one_of_several() -> bool:
    """Return whether other processes take part in this run."""
    return jax.process_count() > 1


def broadcast_from_primary(work: Callable[[], T]) -> T:
    """Call `work` in the first process; return its value, as JSON holds it, in every process.

    Raises:
        UserError: `work` raised one; every process raises it.
        RuntimeError: `work` raised anything else; the first process raises that itself.
    """
    if not is_one_of_several():
        return work()
    told: dict[str, Any] = {}
    failure: BaseException | None = None
    if is_primary():
        try:
            told = {"value": work()}
        except UserError as error:
            told, failure = {"refused": str(error), "input": isinstance(error, InputError)}, error
        except Exception as error:
            refused = of_system(error)
            failed = {"failed": f"{type(error).__name__}: {error}"}
            told = {"refused": str(refused), "input": True} if refused else failed
            failure = error
    told = _broadcast(told)
    if failure is not None:
        raise failure
    if "refused" in told:
        raise (InputError if told["input"] else UserError)(told["refused"])
    if "failed" in told:
        raise RuntimeError(f"the first process failed: {told['failed']}")
    return told["value"]


def on_primary(work: Callable[[], object]) -> None:
    """Call `work` in the first process, the others waiting; errors as `broadcast_from_primary`."""
    broadcast_from_primary(lambda: bool(work()) and None)


@contextlib.contextmanager
def exclusive(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a folder's lock in the first process of a run; yield in all whether it is held."""
    with contextlib.ExitStack() as held:

        def acquire() -> bool:
            return held.enter_context(folder_lock(folder, wait=wait))

        yield broadcast_from_primary(acquire)


def log(line: str) -> None:
    """Print a line to the standard error output, once for all processes."""
    if is_primary():
        terminal.note(line)


def _broadcast(told: dict[str, Any]) -> dict[str, Any]:
    """Return the first process's value in every process, however long the others wait for it.

    It goes through JAX's coordination service. A collective of the devices would give up after half
    a minute (gloo), and the first process may read raw files, or wait for a lock, for hours. Where
    the first process dies, the service ends the others.
    """
    from orbax.checkpoint import multihost

    service, key = multihost.get_jax_distributed_client(), f"told/{next(_COUNT)}"
    if is_primary():
        service.key_value_set(key, json.dumps(told))
    return json.loads(service.blocking_key_value_get(key, _PATIENCE))
