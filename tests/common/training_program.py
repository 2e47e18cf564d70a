"""A small training, as a study's is: what the tests start, kill and resume.

``python training_program.py FOLDER [--steps N] [--stop N] [--every N] [--kill EVENT:PART:N]
[--pmap]`` trains to `steps` in all, or leaves after `stop` as if it had been stopped, with a
checkpoint every `every` steps. `--kill` sends SIGKILL to itself at the N-th file operation
(Python's audit event) whose path contains PART, or with ``step::N`` after step N.
Writes train.jsonl and final.npz.
"""

import argparse
import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from common.data.loader import ArraySource, batches
from common.errors import InputError
from common.training.checkpoints import Checkpoints
from common.training.ema import ema_update
from common.training.loop import Length, Training
from common.training.mesh import data_mesh, data_parallel, initialize_distributed, replicate, shard
from common.training.rng import Streams
from common.training.state import State
from common.training.stopping import EarlyStop, Plateau

BATCH, SEED = 16, 3


class Net(nnx.Module):
    """A convolution, a normalization and a linear layer."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(1, 8, (3, 3), rngs=rngs)
        self.norm = nnx.GroupNorm(8, num_groups=2, rngs=rngs)
        self.linear = nnx.Linear(8 * 8 * 8, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear(nnx.silu(self.norm(self.conv(x))).reshape(len(x), -1))


def source() -> ArraySource:
    """Return 80 images whose condition is learned from them."""
    rng = np.random.default_rng(0)
    conditions = rng.uniform(-1, 1, (80, 3)).astype(np.float32)
    basis = rng.standard_normal((3, 64)).astype(np.float32)
    images = (conditions @ basis).reshape(80, 8, 8, 1)
    return ArraySource({"image": images, "condition": conditions, "row": np.arange(80)})


def setup() -> tuple[State, Any]:
    """Return the state before the first step and `step(state, batch, index, rate)`."""
    streams = Streams(SEED)
    graph = nnx.graphdef(nnx.eval_shape(lambda: Net(nnx.Rngs(0))))
    optimizer = optax.scale_by_adam(eps=1e-3)
    key = streams.key("noise")

    def step(state: State, batch, index, rate, axis: str | None = None):
        keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.fold_in(key, index), row))
        noise = jax.vmap(lambda k: jax.random.normal(k, (8, 8, 1)))(keys(batch["row"]))

        def loss(params):
            predicted = nnx.merge(graph, params)(batch["image"] + 0.1 * noise)
            return jnp.mean(jnp.square(predicted - batch["condition"]))

        value, gradients = jax.value_and_grad(loss)(state.params)
        if axis is not None:  # pmap's step averages by hand
            value, gradients = jax.lax.pmean((value, gradients), axis)
        updates, opt_state = optimizer.update(gradients, state.opt_state)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return State(params, opt_state, ema=ema_update(state.ema, params, 0.9, index)), value

    @jax.jit
    def init(key) -> State:
        params = nnx.state(Net(nnx.Rngs(key)))
        return State(params, optimizer.init(params), ema=jax.tree.map(jnp.copy, params))

    return init(streams.key("parameters")), step


def train(folder: Path, steps: int, stop: int | None = None, every: int = 5, kill: int = 0) -> None:
    """Train up to step `steps`, or leave at `stop`."""
    state, step = setup()
    compiled = data_parallel(lambda s, b, i, r: step(s, b, i, r), data_mesh())
    rows = source()
    length = Length(steps * BATCH // len(rows), BATCH, log_every=1, checkpoint_minutes=0.0)
    plateau, early = Plateau(0.05, factor=0.5, patience=1, threshold=0.1), EarlyStop(9)
    checkpoints = Checkpoints(folder / "checkpoints", best="distance")
    with Training(
        folder, state, rows, length, seed=SEED, label="train", checkpoints=checkpoints
    ) as training:
        if extra := training.extra:
            plateau, early = Plateau(**extra["plateau"]), EarlyStop(**extra["early"])
        reports = training.reports(compiled, each=lambda: (np.float32(plateau.rate),))
        for report in reports:
            done, loss = report.step, report["loss"]
            if done % 3 == 0:  # off the checkpoints' rhythm
                plateau, early = plateau.update(loss), early.update(loss)
            report["rate"] = plateau.rate
            report["distance"] = abs(loss - 0.5)  # so that the best is not the last
            training.extra = {
                k: dataclasses.asdict(v) for k, v in (("plateau", plateau), ("early", early))
            }
            training.record(report, save=done % every == 0 or done == stop or report.last)
            if done == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if done == stop:
                return
        if jax.process_index() == 0:
            best = checkpoints.restore_best(training.state)
            leaves = jax.tree.leaves((training.state, best.state))
            np.savez(folder / "final.npz", *leaves, np.array(best.step))


def against_pmap(folder: Path, steps: int) -> None:
    """Write the losses and parameters of the jitted step and of a pmap of the same function."""
    mesh, count = data_mesh(), jax.device_count()
    state, step = setup()
    compiled = data_parallel(lambda s, b, i, r: step(s, b, i, r), mesh, donate=False)
    mapped = jax.pmap(
        lambda s, b, i, r: step(s, b, i, r, "data"), "data", in_axes=(0, 0, None, None)
    )
    split = lambda x: x.reshape(count, -1, *x.shape[1:])  # noqa: E731
    ours, theirs = replicate(mesh, state), jax.tree.map(lambda x: jnp.stack([x] * count), state)
    losses = []
    for index, batch in zip(range(steps), batches(source(), BATCH, SEED), strict=False):
        ours, a = compiled(ours, shard(mesh, batch), np.int32(index), np.float32(0.02))
        theirs, b = mapped(theirs, jax.tree.map(split, batch), index, 0.02)
        losses.append((float(a), float(b[0])))
    leaves = [
        np.stack([x, y[0]]) for x, y in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True)
    ]
    np.savez(folder / "pmap.npz", np.array(losses), *leaves)
    try:
        shard(mesh, np.zeros((BATCH - 4, 1)))
    except InputError as error:
        (folder / "shard.txt").write_text(str(error))


def arm(event: str, part: str, count: int) -> None:
    """Send SIGKILL to this process at the `count`-th audit event `event` on a path with `part`."""
    left = [count]

    def hook(name: str, arguments: tuple) -> None:
        if name == event and any(part in str(argument) for argument in arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--kill", default="step::0")
    parser.add_argument("--pmap", action="store_true")
    options = parser.parse_args()
    initialize_distributed()
    event, part, count = options.kill.split(":")
    if event != "step":
        arm(event, part, int(count))
    if options.pmap:
        against_pmap(options.folder, 10)
    kill = int(count) if event == "step" else 0
    train(options.folder, options.steps, options.stop, options.every, kill)


if __name__ == "__main__":
    main()
