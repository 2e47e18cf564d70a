"""Networks of the study whose answers are known, or that are untrained, and what they are shown."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from common.pipeline.trained import save_index, save_network
from common.study import experiment as experiments
from common.study.protocol import Run, Unit
from common.training.loop import checkpoints_of
from common.training.rng import Streams
from papers.ultrasound_diconvae.config import (
    Config,
    DataConfig,
    DenoiserConfig,
    EvaluateConfig,
    SegmenterConfig,
)
from papers.ultrasound_diconvae.models.denoiser import DiConvAE
from papers.ultrasound_diconvae.models.segnet import SegNet
from papers.ultrasound_diconvae.study import STUDY
from papers.ultrasound_diconvae.train import compiled, kind_of

CONFIG = replace(
    Config(),
    data=DataConfig(dataset="simulated", height=32, width=48),
    denoiser=DenoiserConfig(filters=(4, 4), dilations=(2, 2)),
    segmenter=SegmenterConfig(filters=(4, 8), convolutions=(1, 1)),
    evaluate=EvaluateConfig(batch_size=2),
)
GRAYS = np.array([40, 110, 180, 250])  # of background, brain, CSP, LV


def units_in(home: Path, seed: int = 0) -> tuple[Run, list[Unit]]:
    """Return a run whose files lie in `home`, and its units of a seed that prediction needs."""
    smoke = experiments.load(STUDY.experiments, "smoke")
    run = Run(STUDY, smoke, CONFIG, (0,), home / "out", home=home)
    return run, [Unit(run, seed, name, "a hash") for name in ("denoiser", "segmenter_raw")]


def saved(home: Path, seeds: tuple[int, ...] = (0,)) -> Path:
    """Return a run's folder with untrained networks, laid out as training does."""
    for seed in seeds:
        run, units = units_in(home, seed)
        for unit in units:
            programs = compiled(kind_of(unit.network), CONFIG, 1)
            save_network(unit)
            checkpoints = checkpoints_of(unit.folder)
            checkpoints.save(1, programs.init(Streams(seed).key("parameters")), {}, {})
            checkpoints.end()
        save_index(run, seed, units)
    return run.work


class ByGray(SegNet):
    """A segmenter to which a pixel's class is that with the next gray."""

    def __init__(self):
        pass

    def __call__(self, images, train=False):
        assert images.shape[1:] == (32, 48, 1)
        return -10 * jnp.abs(255 * images - GRAYS)


class Darker(DiConvAE):
    """A denoiser that halves every value."""

    def __init__(self):
        pass

    def __call__(self, images, train=False, key=None):
        assert images.shape[1:] == (32, 48, 1)
        return images / 2


def head(height: int, width: int) -> np.ndarray:
    """Return labels: a head with semi-axes of 0.35 and 0.3 of the sides, with CSP and LV in it."""
    rows, columns = np.mgrid[:height, :width]
    down, right = (rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5
    labels = (np.hypot(down / 0.35, right / 0.3) <= 1).astype(np.uint8)
    labels[(np.abs(down) < 0.08) & (np.abs(right - 0.1) < 0.08)] = 2
    labels[(np.abs(down) < 0.08) & (np.abs(right + 0.1) < 0.08)] = 3
    return labels


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
