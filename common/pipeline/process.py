"""The process that a command runs in, and further ones that do a share of its work."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common import interrupts, xla
from common.errors import UserError, of_system


def prepare_process() -> None:
    """Set what must be set before JAX starts, and silence the libraries' chatter."""
    xla.configure()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ["MPLBACKEND"] = "agg"  # a notebook's own is not there, and figures are files
    if matplotlib := importlib.util.find_spec("matplotlib"):  # its own settings, not the user's
        folder = Path(str(matplotlib.origin)).parent
        os.environ["MATPLOTLIBRC"] = str(folder / "mpl-data" / "matplotlibrc")
    for name in ("absl", "jax._src.distributed", "matplotlib", "orbax", "tensorflow_datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)


def share_out(count: int, threads: int, work: Callable[..., None], *arguments: Any) -> None:
    """Have `count` processes call `work`, each with so many threads, and wait for them.

    Two processes that have all cores each spend a sixth of their time in each other's way. What
    they do must be shared out by locks, and what one fails at be done here afterwards: what they
    raise is said by whoever meets it here.
    """
    spawn = multiprocessing.get_context("spawn")
    given = (threads, work, *arguments)
    helpers = [spawn.Process(target=_help, args=given, daemon=True) for _ in range(count)]
    with interrupts.held_back():
        resource_tracker.ensure_running()  # which lets signals through, else with the first helper
        with interrupts.held_back():
            for helper in helpers:
                helper.start()
                interrupts.end_too(helper.kill)
    try:
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _help(threads: int, work: Callable[..., None], *arguments: Any) -> None:
    interrupts.end_at_once(silent=True)
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    tqdm.set_lock(threading.RLock())  # its own is known to the system, which tells when it is left
    os.environ[xla.THREADS] = str(threads)
    prepare_process()
    try:
        work(*arguments)
    except UserError:
        pass
    except Exception as error:
        if of_system(error) is None:
            raise


def _end_with(parent: Any) -> None:
    """End this process when its parent ends, by whatever means."""
    parent.join()
    os._exit(1)
