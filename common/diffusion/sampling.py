"""Drawing many images at once: the whole reverse process is one program on the device.

An image is a function of its condition and its seed alone. Its noise comes from its own random
key, folded with the time, and every batch is filled up to the same size, so that the same compiled
program draws it whatever its neighbors are.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree, UInt32

from common.diffusion.guidance import AnyArray, guided_eps, unconditioned
from common.diffusion.samplers import Sampler, predicted_x0
from common.diffusion.schedule import Schedule, add_noise

Shape = tuple[int, int, int]
Images = Float[Array, "batch height width channels"]
Drawn = tuple[Images, Float[Array, "frames batch height width channels"] | None]


def sample(
    predict_eps: Callable,
    schedule: Schedule,
    conditions: PyTree[AnyArray],
    seeds: Int[AnyArray, " n"],
    *,
    sampler: Sampler,
    shape: Shape,
    guidance_scale: float | int | Float[Array, ""],
    unconditional: PyTree[AnyArray],
    stepwise: PyTree[AnyArray] = None,
    noise: Float[AnyArray, "n height width channels"] | None = None,
    initial: Float[AnyArray, "n height width channels"] | None = None,
    start: int = 0,
    region: Float[AnyArray, "n height width 1"] | None = None,
    batch_size: int = 32,
    trajectory_every: int | None = None,
    chunk: int | None = None,
    on_chunk: Callable[[int, np.ndarray], object] | None = None,
    progress: Callable[[int], object] | None = None,
    mesh: Mesh | None = None,
) -> tuple[
    Float[np.ndarray, "n height width channels"],
    Float[np.ndarray, "frames n height width channels"] | None,
]:
    """Return one image of `shape` per condition and seed, and how they came about where asked.

    `predict_eps(x, t, condition)` is the network. As a pytree (an NNX module, or
    `jax.tree_util.Partial` of a function and its parameters) its arrays are arguments of the
    compiled program, which then serves any parameters; a plain function is compiled anew.

    `conditions` is any pytree of arrays [n, ...], `unconditional` the same without the first axis,
    with None in place of an array that both evaluations of an image share. The guidance scale
    follows equation (2) of `common.diffusion.guidance`; the numbers 0 and 1 cost one evaluation of
    the network a step, all others two, from one compilation.

    `stepwise` is a pytree of arrays [evaluations, ...] of what changes on the way, such as the
    weight of a ControlNet: the network is then called `predict_eps(x, t, condition, row)`. `noise`
    is what to begin with, else it is drawn from the seeds. With `initial` images the process begins
    at evaluation `start` with these images and as much noise as belongs to its time (Meng et al.
    2022, SDEdit, arXiv:2108.01073); any start is the same program. With a `region`, 1 where images
    may change and 0 where not, what lies outside is put back after every step with as much noise as
    belongs to the next time, and without any at the end (Lugmayr et al. 2022, RePaint,
    arXiv:2201.09865, equation 8, without its resampling).

    With a `chunk`, the host gets control after every so many steps: `on_chunk` is called with the
    number of steps done and the data, unclipped, that the last of them implies for the batch, and
    cancels the process by raising. None is the whole process in one program. On the CPU, chunks
    change no bit of the images; being watched may change the last bit.

    The trajectory holds the start noise, the images after every `trajectory_every` steps, and the
    end. Over a `mesh` the batch is cut along its first axis, `batch_size` rounded up to a multiple
    of the devices. `progress` is called with the number of images after each batch. ValueError
    where the arguments do not go together.
    """
    seeds, conditions = np.asarray(seeds), jax.tree.map(np.asarray, conditions)
    begun = {"noise": noise, "initial": initial, "region": region}
    begun = {name: np.asarray(given) for name, given in begun.items() if given is not None}
    _check(schedule, sampler, {**begun, "conditions": conditions}, seeds, chunk)
    if on_chunk and chunk is None:
        raise ValueError("on_chunk needs chunk, the steps between its calls")
    if initial is None and start:
        raise ValueError(f"start is {start} without initial images")
    if initial is None and region is not None:
        raise ValueError("a region without initial images, which stay outside of it")
    if not 0 <= start < len(sampler.times) or (start and trajectory_every is not None):
        raise ValueError(
            f"start is {start}: expected 0 to {len(sampler.times) - 1}, and 0 for a trajectory"
        )
    scale = None
    if not (isinstance(guidance_scale, float | int) and guidance_scale in (0, 1)):
        scale = jnp.float32(guidance_scale)
    elif guidance_scale == 0:
        conditions = jax.tree.map(np.asarray, unconditioned(conditions, unconditional))
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(predict_eps)):
        predict_eps = jax.tree_util.Partial(predict_eps)
    size = -(-batch_size // mesh.size) * mesh.size if mesh else batch_size
    constants = _place((predict_eps, schedule, sampler, unconditional, scale, stepwise), mesh)
    first = None if initial is None else np.int32(start)
    images, frames = [], []
    for row in range(0, len(seeds), size):
        rows = np.minimum(np.arange(row, row + size), len(seeds) - 1)
        kept = min(size, len(seeds) - row)
        of_images = (conditions, seeds.astype(np.uint32), begun)
        batch = jax.tree.map(operator.itemgetter(rows), of_images)
        process = _Process(*(*constants, *_place(batch, mesh, cut=True), first))
        if chunk is None:
            drawn = _whole(process, shape, trajectory_every, mesh)
        else:
            drawn = _in_chunks(process, shape, trajectory_every, mesh, start, chunk, kept, on_chunk)
        images.append(np.asarray(drawn[0])[:kept])
        if drawn[1] is not None:
            frames.append(np.asarray(drawn[1])[:, :kept])
        if progress:
            progress(kept)
    return np.concatenate(images), np.concatenate(frames, axis=1) if frames else None


def _check(
    schedule: Schedule,
    sampler: Sampler,
    of_images: PyTree[np.ndarray],
    seeds: np.ndarray,
    chunk: int | None,
) -> None:
    """Raise ValueError where the arguments of `sample` do not go together."""
    if len(seeds) == 0 or seeds.min() < 0 or seeds.max() >= 2**32:
        raise ValueError("sampling needs at least one seed, and seeds in [0, 2^32)")
    for rows in jax.tree.leaves(of_images):
        if rows.shape[:1] != seeds.shape:
            raise ValueError(f"a condition has shape {rows.shape} for {len(seeds)} seeds")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}: expected at least 1 step")
    if np.max(sampler.times) >= schedule.steps:
        raise ValueError(f"{sampler} visits times after the {schedule.steps} of the schedule")


def _place(tree: Any, mesh: Mesh | None, cut: bool = False) -> Any:
    """Return `tree` on the mesh: whole on every device, or `cut` along its first axis."""
    if mesh is None:
        return tree
    spec = PartitionSpec(mesh.axis_names) if cut else PartitionSpec()
    return jax.device_put(tree, NamedSharding(mesh, spec))


def noise_of_seeds(
    seeds: UInt32[AnyArray, " batch"], t: int | Int[Array, ""], shape: tuple[int, ...]
) -> Float[Array, "batch ..."]:
    """Return standard normal noise of this shape for each seed, another one at each time `t`."""
    keys = jax.vmap(jax.random.key)(seeds)
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, t), shape))(keys)


class _Process(NamedTuple):
    """The reverse process of a batch; no `scale` means one evaluation of the network a step.

    `begun` holds the noise, the initial images and the region that are given; no `start` is the
    first step.
    """

    predict_eps: Callable
    schedule: Schedule
    sampler: Sampler
    unconditional: PyTree
    scale: Float[Array, ""] | None
    stepwise: PyTree
    conditions: PyTree
    seeds: UInt32[Array, " batch"]
    begun: dict[str, Images]
    start: Int[Array, ""] | None

    def noise(self, t: int | Int[Array, ""], shape: tuple[int, ...]) -> Images:
        """Return the standard normal noise of time `t`."""
        return noise_of_seeds(self.seeds, t, shape)

    def start_noise(self, shape: tuple[int, ...]) -> Images:
        """Return the noise that the images begin with."""
        given = self.begun.get("noise")
        # drawn at a time that no step visits
        return self.noise(self.schedule.steps, shape) if given is None else given

    def begin(self, shape: Shape) -> Images:
        """Return what the first evaluation of the network sees."""
        x = self.start_noise(shape)
        if self.start is None:
            return x
        first = jnp.asarray(self.sampler.times)[self.start]
        return add_noise(self.schedule, self.begun["initial"], x, jnp.full(x.shape[:1], first))

    def kept(self, x: Images, index: Int[Array, ""]) -> Images:
        """Return the images after evaluation `index` with what lies outside of the region."""
        if "region" not in self.begun:
            return x
        times, initial = jnp.asarray(self.sampler.times), self.begun["initial"]
        t = jnp.full(x.shape[:1], times[jnp.minimum(index + 1, len(times) - 1)])
        noisy = add_noise(self.schedule, initial, self.start_noise(initial.shape[1:]), t)
        outside = jnp.where(index + 1 < len(times), noisy, initial)
        return outside + self.begun["region"] * (x - outside)

    def eps(self, x: Images, t: Int[Array, ""], index: Int[Array, ""]) -> Images:
        """Return the predicted noise in `x` at time `t`, evaluation `index`."""
        times = jnp.full(x.shape[:1], t)
        row = jax.tree.map(lambda rows: jnp.asarray(rows)[index], self.stepwise)
        shared = () if self.stepwise is None else (row,)
        if self.scale is None:
            return self.predict_eps(x, times, self.conditions, *shared)
        return guided_eps(
            self.predict_eps, x, times, self.conditions, self.unconditional, self.scale, *shared
        )


def _begin(process: _Process, shape: Shape, every: int | None) -> tuple[Any, Array | None]:
    """Return the sampler's state at the start, and room for the trajectory."""
    x, frames = process.begin(shape), None
    if every is not None:
        count = 1 - (-len(process.sampler.times) // every)
        frames = jnp.zeros((count, *x.shape)).at[0].set(x)
    return process.sampler.init(x), frames


def _advance(
    process: _Process, carry: tuple, start: int | Array, stop: int | Array, every: int | None
) -> tuple:
    """Return state, trajectory and estimate (or None) after the steps `start` ... `stop` - 1."""
    sampler, times = process.sampler, jnp.asarray(process.sampler.times)

    def step(index: Int[Array, ""], carry: tuple) -> tuple:
        (state, frames, estimate), t = carry, times[index]
        eps = process.eps(state.x, t, index)
        if estimate is not None:
            estimate = predicted_x0(process.schedule, eps, t, state.x, None)
        noise = process.noise(t, eps.shape[1:]) if sampler.stochastic else None
        state = sampler.update(process.schedule, state, eps, index, noise)
        state = state._replace(x=process.kept(state.x, index))
        if every is not None:
            # every step writes into the next frame, so that the last one of `every` stays
            frames = frames.at[index // every + 1].set(sampler.finalize(state))
        return state, frames, estimate

    return jax.lax.fori_loop(start, stop, step, carry)


def _end(process: _Process, state: Any, frames: Array | None, mesh: Mesh | None) -> Drawn:
    """Return images and trajectory, on every process."""
    return _everywhere((process.sampler.finalize(state), frames), mesh)


def _everywhere(tree: Any, mesh: Mesh | None) -> Any:
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


@partial(jax.jit, static_argnames=("shape", "every", "mesh"))
def _whole(process: _Process, shape: Shape, every: int | None, mesh: Mesh | None) -> Drawn:
    carry = (*_begin(process, shape, every), None)
    start = 0 if process.start is None else process.start
    state, frames, _ = _advance(process, carry, start, len(process.sampler.times), every)
    return _end(process, state, frames, mesh)


@partial(jax.jit, static_argnames=("every", "watched", "mesh"))
def _chunk(
    process: _Process,
    state: Any,
    frames: Array | None,
    start: int | Array,
    stop: int | Array,
    every: int | None,
    watched: bool,
    mesh: Mesh | None,
) -> tuple[Any, Array | None, Images | None]:
    """Return state, trajectory, and where `watched` the estimate of the data on every process."""
    carry = (state, frames, jnp.zeros_like(state.x) if watched else None)
    state, frames, estimate = _advance(process, carry, start, stop, every)
    return state, frames, _everywhere(estimate, mesh)


def _in_chunks(
    process: _Process,
    shape: Shape,
    every: int | None,
    mesh: Mesh | None,
    first: int,
    chunk: int,
    kept: int,
    on_chunk: Callable[[int, np.ndarray], object] | None,
) -> Drawn:
    """Return what `_whole` does, `chunk` steps a program; `on_chunk` sees the `kept` images."""
    count, watched = len(process.sampler.times), on_chunk is not None
    state, frames = _begin_alone(process, shape, every)
    if "region" not in process.begun:
        process = process._replace(begun={})  # however it began, the chunks are the same
    process = process._replace(start=None)
    for start in range(first, count, chunk):
        stop = min(start + chunk, count)
        state, frames, estimate = _chunk(
            process, state, frames, np.int32(start), np.int32(stop), every, watched, mesh
        )
        if on_chunk:
            on_chunk(stop, np.asarray(estimate)[:kept])
    return _end_alone(process, state, frames, mesh)


_begin_alone = partial(jax.jit, static_argnames=("shape", "every"))(_begin)
_end_alone = partial(jax.jit, static_argnames="mesh")(_end)
