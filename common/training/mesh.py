"""Data parallelism: a 1-D mesh of devices, the batch split over it, the state on all of them."""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from common.errors import InputError

AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return the 1-D mesh over `devices`, or over all devices of all processes."""
    return Mesh(np.array(devices if devices is not None else jax.devices()), (AXIS,))


def shard(mesh: Mesh, batch: PyTree) -> PyTree:
    """Return this process's rows of a batch as arrays whose first axis is split over the mesh.

    Every process gives an equal block of rows, in the order of the processes. Raises
    `InputError` where the whole batch does not share out over the devices.
    """
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    here = len(mesh.local_devices)

    def place(rows: Any) -> jax.Array:
        rows = np.asarray(rows)
        if len(rows) % here:
            raise InputError(
                f"batch of {len(rows) * mesh.size // here} rows cannot be shared by {mesh.size} "
                f"devices: set batch_size to a multiple of {mesh.size}"
            )
        return jax.make_array_from_process_local_data(sharding, rows)

    return jax.tree.map(place, batch)


def replicate(mesh: Mesh, tree: PyTree) -> PyTree:
    """Return the pytree with every leaf whole on every device of the mesh.

    All processes must give the same values. Where a leaf is on the mesh's only device already,
    it is not copied: a step that donates the result takes the given leaf with it.
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def place(leaf: Any) -> jax.Array:
        if sharding.is_fully_addressable or getattr(leaf, "sharding", None) == sharding:
            return jax.device_put(leaf, sharding)
        if jax.dtypes.issubdtype(jax.numpy.result_type(leaf), jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        # device_put would first compare the values of all processes, leaf by leaf
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def data_parallel(
    step: Callable, mesh: Mesh, donate: bool = True, save_memory: bool = False
) -> Callable:
    """Return `step(state, batch, …)` compiled for the mesh; `donate`: the old state's memory goes.

    `save_memory` concerns the CPU, whose programs would else turn the kernels of all convolutions
    for the backward pass at once: of a large network, as much memory again as its weights.

    The batch is split by rows, everything else that goes in and all that comes out is whole on
    every device. A mean over the batch inside `step` is a mean over all devices: XLA adds the
    communication.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    others = len(inspect.signature(step).parameters) - 2
    return jax.jit(
        step,
        in_shardings=(whole, NamedSharding(mesh, PartitionSpec(AXIS)), *[whole] * others),
        out_shardings=whole,
        donate_argnums=(0,) if donate else (),
        compiler_options=least_memory() if save_memory else None,
    )


@functools.cache
def least_memory() -> dict[str, str] | None:
    """Return the compiler options of a program that is scheduled for memory; None: there are none.

    For XLA's CPU backend, where the installed one knows them.
    """
    options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0).compile()
    except Exception:  # an older or newer XLA, which names what it does not know
        return None
    return options


def initialize_distributed(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Join the processes of one training; does nothing where the run is a single process.

    `coordinator` is the host:port of process 0; arguments left out come from the environment:
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID. With the address alone, or
    ``auto`` in its place, JAX finds the rest on the clusters it knows (SLURM, MPI, TPU pods).
    Call it before anything touches a device. Raises `InputError` where a value is no number or
    out of range.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if coordinator is None or jax.distributed.is_initialized():
        return
    if processes is None:
        processes = _number("JAX_NUM_PROCESSES")
    if process is None:
        process = _number("JAX_PROCESS_ID")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise InputError(
            f"process {process} of {processes} (JAX_PROCESS_ID, JAX_NUM_PROCESSES): "
            f"number them from 0 to {processes - 1}"
        )
    if coordinator == "auto":
        os.environ.pop("JAX_COORDINATOR_ADDRESS", None)
        coordinator = None
    jax.distributed.initialize(coordinator, processes, process)


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    if text is None:
        return None
    if not text.isdecimal():
        raise InputError(f"environment variable {variable}={text}: give a whole number")
    return int(text)
