"""Our side of `experiments.benchmarks.gpu`, which starts it; answers as `gpu_answering` says."""

from common import xla

xla.configure()  # before JAX is imported

import os  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import monitoring  # noqa: E402

from common.training.mesh import data_mesh, shard  # noqa: E402
from experiments.benchmarks import gpu_checks, gpu_rows  # noqa: E402
from experiments.benchmarks.gpu_answering import serve  # noqa: E402
from experiments.benchmarks.gpu_steps import Training, training_of  # noqa: E402
from papers.camcan_cfg import train as camcan  # noqa: E402
from papers.camcan_cfg.config import Config, ModelConfig  # noqa: E402

COMPILED = "/jax/core/compile/backend_compile_duration"
QUEUED = 10  # steps of the long run that are given to the device before their loss is waited for
programs: list[str] = []  # one entry for each program that was compiled
loaded: dict[str, Any] = {}


def about() -> dict[str, Any]:
    """Return what the figures depend on."""
    device = jax.devices()[0]
    return {
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "jax": jax.__version__,
        "driver": getattr(device.client, "platform_version", ""),
        "xla_flags": os.environ["XLA_FLAGS"],
        "precision": os.environ["JAX_DEFAULT_MATMUL_PRECISION"],
    }


def ceilings(tiny: bool) -> dict[str, Any]:
    """Return the best operations per second of square matrix products, and bytes of a copy."""
    size, length = (128, 2**16) if tiny else (8192, 2**28)
    found: dict[str, Any] = {}
    product, scaled = jax.jit(lambda a: a @ a), jax.jit(lambda x: 2 * x + 1)
    for dtype in ("bfloat16", "float32"):
        matrix = jax.random.uniform(jax.random.key(0), (size, size), jnp.float32, -1 / size)
        seconds = _fastest(product, matrix.astype(dtype))
        found[dtype] = 2 * size**3 / seconds
    array = jnp.arange(length, dtype=jnp.float32)
    return found | {"bandwidth": 2 * array.nbytes / _fastest(scaled, array)}


def _fastest(program: Callable, array: jax.Array, rounds: int = 5, repeated: int = 10) -> float:
    """Return the fewest seconds of one call out of several that are queued."""
    jax.block_until_ready(program(array))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeated):
            result = program(array)
        jax.block_until_ready(result)
        seconds.append((time.perf_counter() - start) / repeated)
    return min(seconds)


def checks(tiny: bool) -> dict[str, Any]:
    """Return the names of what `check` compares; `tiny`: two that compile in seconds."""
    names = list(gpu_checks.CHECKS)
    return {"names": [name for name in names if not tiny or name.startswith("ultrasound")]}


def inputs(row: str, tiny: bool, folder: str) -> dict[str, Any]:
    """Leave in the folder what both sides need of a row."""
    return {"images": gpu_rows.write_inputs(row, tiny, Path(folder))}


def load(row: str, folder: str, dtype: str) -> dict[str, Any]:
    """Compile a row's step, and take its first two steps, twice: the same bits?"""
    drop()
    training = training_of(row, Path(folder), dtype)
    training.given = jax.device_put(training.given)
    state = training.begin()
    start = time.perf_counter()
    lowered = training.step.lower(state, *training.given)
    program = lowered.compile()
    compiling = time.perf_counter() - start
    state, first = _two_steps(program, training, state)
    again, _ = _two_steps(program, training, training.begin())
    same = all(map(_equal, jax.tree.leaves(state), jax.tree.leaves(again)))
    del again
    loaded.update(program=program, state=state, given=training.given)
    return {
        "compile_seconds": compiling,
        "first_loss": first,
        "same_bits": same,
        "operations": _cost(lowered, "flops"),  # of the mathematics, whatever kernels do it
        "bytes": _cost(program, "bytes accessed"),  # after fusion
        "step_seconds": steps(2)["seconds"] / 2,
    }


def _two_steps(program: Any, training: Training, state: Any) -> tuple[Any, float]:
    state, first = program(state, *training.given)
    state, _ = program(state, *training.given)
    return state, _loss(first)


def _loss(value: Any) -> float:
    return float(value["loss"] if isinstance(value, dict) else value)


def _equal(a: Any, b: Any) -> bool:
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    return bool(jnp.array_equal(a, b))


def _cost(stage: Any, name: str) -> float | None:
    """Return what XLA says that a program costs, None where it does not say."""
    try:
        found = stage.cost_analysis()
    except (NotImplementedError, RuntimeError, TypeError):
        return None
    found = found[0] if isinstance(found, list) else found
    return float(found[name]) if found and found.get(name, 0) > 0 else None


def steps(count: int) -> dict[str, Any]:
    """Take steps one after the other; nothing may go to or come from the host between them.

    `queued_seconds`: until the host had given all of them to the device.
    """
    before, state, value = len(programs), loaded["state"], None
    start = time.perf_counter()
    with jax.transfer_guard("disallow"):
        for _ in range(count):
            state, value = loaded["program"](state, *loaded["given"])
        queued = time.perf_counter() - start
        jax.block_until_ready((state, value))
    seconds = time.perf_counter() - start
    loaded["state"] = state
    found = {"seconds": seconds, "queued_seconds": queued, "compiled": len(programs) - before}
    return found | {"loss": _loss(value)}


def drop() -> dict[str, Any]:
    """Forget a row, its memory and its programs."""
    loaded.clear()
    jax.clear_caches()
    return {}


def endure(seconds: float, tiny: bool) -> dict[str, Any]:
    """Train camcan's network with the study's own step and new batches until the time is over.

    Its compilation counts as time; what is returned is of the steps after the second.
    """
    called = time.perf_counter()
    drop()
    small = ModelConfig(channels=(16, 32), attention=(False, True), head_channels=(0, 8), groups=8)
    config = Config(model=small) if tiny else Config()
    shape = (16, 16) if tiny else (config.data.height, config.data.width)
    made = camcan.compiled(config, 10**6)
    key, random, mesh = jax.random.key(0), np.random.default_rng(0), data_mesh()
    size = config.train.batch_size
    batches = [
        {
            "image": random.random((size, *shape, 1), np.float32),
            "condition": random.random((size, 3), np.float32),
        }
        for _ in range(8)
    ]
    state, losses, host = made.init(key), [], 0.0
    before, begin, done = 0, 0.0, 0
    while done < 3 or time.perf_counter() - called < seconds:
        if done == 2:  # compiled, and once more where the first state lay otherwise
            jax.block_until_ready(losses)
            before, begin, host = len(programs), time.perf_counter(), 0.0
        start = time.perf_counter()
        batch = shard(mesh, batches[done % len(batches)])
        state, loss = made.step(state, batch, np.int32(done), key)
        host += time.perf_counter() - start
        losses.append(loss)
        done += 1
        if done > QUEUED:
            losses[done - QUEUED - 1].block_until_ready()
    jax.block_until_ready(state)
    took, measured = time.perf_counter() - begin, done - 2
    return {
        "steps": measured,
        "images": size,
        "dtype": config.model.dtype,
        "step_seconds": took / measured,
        "host_seconds": host / measured,
        "compiled": len(programs) - before,
        "first_loss": float(losses[0]),
        "last_loss": float(np.mean(jax.device_get(losses[-20:]))),
    }


def main() -> None:
    monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: programs.append(event) if event == COMPILED else None
    )
    actions = (about, ceilings, checks, gpu_checks.check, inputs, load, steps, drop, endure)
    serve({action.__name__: action for action in actions})


if __name__ == "__main__":
    main()
