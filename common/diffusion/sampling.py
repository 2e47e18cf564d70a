"""Drawing many images at once: the whole reverse process is one program on the device.

An image is a function of its condition and its seed alone. Its noise comes from its own random
key, folded with the time, and every batch is filled up to the same size, so that the same compiled
program draws it whatever its neighbours are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt32

from common.diffusion.guidance import guided_eps
from common.diffusion.samplers import ddim_step, ddim_times, ddpm_step
from common.diffusion.schedule import Schedule


def sample(
    predict_eps: Callable,
    schedule: Schedule,
    conditions: Float[np.ndarray | Array, "n features"],
    seeds: Int[np.ndarray | Array, " n"],
    *,
    shape: tuple[int, int, int],
    guidance_scale: float | int | Float[Array, ""],
    unconditional: Float[np.ndarray | Array, " features"],
    steps: int | None = None,
    eta: float = 0.0,
    batch_size: int = 32,
    trajectory_every: int | None = None,
    mesh: Mesh | None = None,
    clip: float | None = 1.0,
    progress: Callable[[int], object] | None = None,
) -> tuple[
    Float[np.ndarray, "n height width channels"],
    Float[np.ndarray, "frames n height width channels"] | None,
]:
    """Return one image of `shape` per condition and seed, and how they came about where asked.

    `predict_eps(x, t, condition)` is the network. As a pytree (an NNX module, or
    `jax.tree_util.Partial` of a function and its parameters) its arrays are arguments of the
    compiled program, which then serves any parameters; a plain function is compiled anew.

    `steps` None is ancestral sampling over the whole schedule, a number is DDIM with its `eta`.
    The guidance scale follows equation (2) of `common.diffusion.guidance`; the numbers 0 and 1 cost
    one evaluation of the network a step, all others two, from one compilation. Estimates of the
    data are clipped to [-`clip`, `clip`]; None: not at all.

    The trajectory holds the start noise, the state after every `trajectory_every` steps, and the
    end. Over a `mesh` the batch is cut along its first axis, `batch_size` rounded up to a multiple
    of the devices. `progress` is called with the number of images after each batch.
    """
    conditions, seeds = np.asarray(conditions, np.float32), np.asarray(seeds)
    count = len(conditions)
    if count == 0 or seeds.min() < 0 or seeds.max() >= 2**32:
        raise ValueError("sampling needs at least one condition, and seeds in [0, 2^32)")
    unconditional = np.asarray(unconditional, np.float32)
    conditions, scale = _one_or_both(conditions, unconditional, guidance_scale)
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(predict_eps)):
        predict_eps = jax.tree_util.Partial(predict_eps)
    devices = mesh.size if mesh else 1
    size = -(-batch_size // devices) * devices
    constants = _place((predict_eps, schedule, unconditional, scale), mesh)
    images, frames = [], []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        kept = min(size, count - start)
        batch = _place((conditions[rows], seeds[rows].astype(np.uint32)), mesh, cut=True)
        drawn = _draw(*constants, *batch, shape, steps, eta, trajectory_every, clip, mesh)
        images.append(np.asarray(drawn[0])[:kept])
        if drawn[1] is not None:
            frames.append(np.asarray(drawn[1])[:, :kept])
        if progress:
            progress(kept)
    return np.concatenate(images), np.concatenate(frames, axis=1) if frames else None


def _one_or_both(
    conditions: np.ndarray, unconditional: np.ndarray, scale: float | int | Array
) -> tuple[np.ndarray, Array | None]:
    """Return the conditions to evaluate alone and None, or the given ones and the scale."""
    if not (isinstance(scale, float | int) and scale in (0, 1)):
        return conditions, jnp.float32(scale)
    return np.tile(unconditional, (len(conditions), 1)) if scale == 0 else conditions, None


def _place(tree: Any, mesh: Mesh | None, cut: bool = False) -> Any:
    """Return `tree` on the mesh: whole on every device, or `cut` along its first axis."""
    if mesh is None:
        return tree
    spec = PartitionSpec(mesh.axis_names) if cut else PartitionSpec()
    return jax.device_put(tree, NamedSharding(mesh, spec))


@partial(jax.jit, static_argnames=("shape", "steps", "eta", "every", "clip", "mesh"))
def _draw(
    predict_eps: Callable,
    schedule: Schedule,
    unconditional: Float[Array, " features"],
    scale: Float[Array, ""] | None,
    conditions: Float[Array, "batch features"],
    seeds: UInt32[Array, " batch"],
    shape: tuple[int, int, int],
    steps: int | None,
    eta: float,
    every: int | None,
    clip: float | None,
    mesh: Mesh | None,
) -> tuple[
    Float[Array, "batch height width channels"],
    Float[Array, "frames batch height width channels"] | None,
]:
    """Return a batch of images and their trajectory; no `scale` means one evaluation a step."""
    keys = jax.vmap(jax.random.key)(seeds)

    def noise(t: int | Int[Array, ""]) -> Float[Array, "batch height width channels"]:
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, t), shape))(keys)

    def step(carry: tuple, now: tuple) -> tuple[tuple, None]:
        x, frames = carry
        index, t, t_prev = now
        times = jnp.full(x.shape[:1], t)
        if scale is None:
            eps = predict_eps(x, times, conditions)
        else:
            eps = guided_eps(predict_eps, x, times, conditions, unconditional, scale)
        if steps is None:
            x = ddpm_step(schedule, eps, t, x, noise(t), clip)
        else:
            x = ddim_step(schedule, eps, t, t_prev, x, eta, clip, noise(t) if eta else None)
        if every is not None:
            # every step writes into the next frame, so that the last one of `every` stays
            frames = frames.at[index // every + 1].set(x)
        return (x, frames), None

    times = ddim_times(schedule.steps, steps or schedule.steps)
    indices = np.arange(len(times[0]), dtype=np.int32)
    x = noise(schedule.steps)  # a time that no step folds into the keys
    frames = None
    if every is not None:
        frames = jnp.zeros((1 - (-len(indices) // every), *x.shape)).at[0].set(x)
    drawn, _ = jax.lax.scan(step, (x, frames), (indices, *times))
    if mesh is not None:  # every process gets all images
        drawn = jax.lax.with_sharding_constraint(drawn, NamedSharding(mesh, PartitionSpec()))
    return drawn
