"""Several processes in one run (``jax.distributed``): one writes, all take the same turns."""

import jax
import numpy as np


def primary() -> bool:
    """Return whether this process is the one that writes."""
    return jax.process_index() == 0


def agreed(decision: bool) -> bool:
    """Return the first process's decision in every process."""
    if jax.process_count() == 1:
        return decision
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.asarray(decision)))


def barrier(name: str) -> None:
    """Wait until every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
