"""Drawing images from a trained network: the sets that are measured and the ones in figures."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from common import provenance
from common.diffusion.samplers import DDIM, DDPM
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule, noise_of_velocity
from common.results.cache import cached
from common.study import config as configs
from common.training.mesh import data_mesh
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import Slices, as_uint8
from papers.camcan_cfg.train import UNCONDITIONAL, from_network_range, normalize_condition

FRAMES = 10  # of the sampling process, after the noise: every 100 of 1000 steps
PROCESS = np.array([[48, 2, z] for z in (25, 35, 45, 55)], np.float32)
AGES = np.array([[[a, s, 45] for a in range(18, 89, 10)] for s in (1, 2)], np.float32)
GRID_SCALES = (7.0, 5.0, 3.0, 1.0)
GRID_COLUMNS = 8
SHOWN_SCALE = 3.0  # of the process and the ages: the source's best for brain age


def epsilon(network: Callable, schedule: Schedule, x: Array, t: Array, condition: Array) -> Array:
    """Return the noise in `x` at time `t` that a network of velocities implies."""
    return noise_of_velocity(schedule, network(x, t, condition), x, t)


class Sampler:
    """Draws images from a trained network in the way that the config says."""

    def __init__(self, config: Config, network: Callable):
        self.config, self.schedule = config, Schedule.linear(config.sample.train_steps)
        self.predict_eps: Any = network
        if config.train.prediction == "velocity":
            self.predict_eps = jax.tree_util.Partial(epsilon, network, self.schedule)

    def __call__(
        self,
        conditions: Float[np.ndarray, "n 3"],
        seeds: Int[np.ndarray, " n"],
        scale: float,
        frames: int | None = None,
    ) -> tuple[
        UInt8[np.ndarray, "n height width"], UInt8[np.ndarray, "frames n height width"] | None
    ]:
        """Return images and, where `frames` are asked for, how they came about from the noise.

        `conditions` are age, sex and slice number; a seed picks the noise of its image.
        """
        config = self.config
        steps, total = config.sample.steps, config.sample.train_steps
        clip = max(map(abs, config.train.image_range))
        sampler: Any = DDPM(total, clip)
        if config.sample.sampler == "ddim":
            sampler = DDIM(steps, config.sample.eta, total, clip=clip)
        bar = tqdm(total=len(conditions), desc=f"sample, w = {scale:g}", disable=None, leave=False)
        with bar:
            images, trajectory = sample(
                self.predict_eps,
                self.schedule,
                normalize_condition(conditions, config.train),
                seeds,
                sampler=sampler,
                shape=(config.data.height, config.data.width, 1),
                guidance_scale=scale,
                unconditional=np.full(3, UNCONDITIONAL, np.float32),
                batch_size=config.sample.batch_size,
                trajectory_every=max(1, steps // frames) if frames else None,
                mesh=data_mesh(),
                progress=bar.update,
            )
        drawn = as_uint8(from_network_range(images, config.train))
        if trajectory is None:
            return drawn, None
        return drawn, as_uint8(from_network_range(trajectory, config.train))


def generate(
    sampler: Sampler,
    conditions: Float[np.ndarray, "n 3"],
    seeds: Int[np.ndarray, " n"],
    folder: Path,
) -> dict[str, np.ndarray]:
    """Return the generated set of every guidance scale; those kept in `folder` are not redrawn."""
    options = dataclasses.asdict(sampler.config.sample)
    scales = options.pop("guidance_scales")
    code = provenance.digest(Sampler, normalize_condition)
    asked = [conditions.tolist(), seeds.tolist()]
    key = configs.digest(options, asked, code)

    def drawn(scale: float) -> dict[str, np.ndarray]:
        return cached(
            folder, f"w_{scale}", key, lambda: {"images": sampler(conditions, seeds, scale)[0]}
        )

    return {str(scale): drawn(scale)["images"] for scale in scales}


def figure_images(
    sampler: Sampler, sets: dict[str, np.ndarray], real: Slices, chosen: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return the arrays of the figures: process, ages, and the guidance grid beside real slices.

    `chosen` are the rows of `real` whose conditions the `sets` were drawn for; the grid shows
    those of its slices that lie nearest to slice 45, youngest to oldest.
    """
    _, process = sampler(PROCESS, np.full(len(PROCESS), seed), SHOWN_SCALE, FRAMES)
    ages, _ = sampler(AGES.reshape(-1, 3), np.full(AGES[..., 0].size, seed), SHOWN_SCALE)
    conditions = real.conditions[chosen]
    near = np.argsort(np.abs(conditions[:, 2] - 45), kind="stable")[: 4 * GRID_COLUMNS]
    by_age = near[np.argsort(conditions[near, 0], kind="stable")]
    columns = by_age[np.linspace(0, len(by_age) - 1, GRID_COLUMNS).round().astype(int)]
    scales = [w for w in GRID_SCALES if str(w) in sets]
    assert process is not None
    total = sampler.config.sample.train_steps
    return {
        "process": np.moveaxis(process, 0, 1),
        "process_conditions": PROCESS,
        "process_times": np.linspace(total, 0, len(process)).round().astype(int),
        "ages": ages.reshape(*AGES.shape[:2], *ages.shape[1:]),
        "ages_conditions": AGES,
        "grid": np.stack([sets[str(w)][columns] for w in scales]),
        "grid_scales": np.array(scales),
        "grid_conditions": conditions[columns],
        "real_grid": as_uint8(real.images[chosen[columns]]),
    }
