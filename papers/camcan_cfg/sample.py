"""Slices drawn by a trained network for the ages, sexes and slice numbers that its user names."""

from __future__ import annotations

import gzip
import itertools
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from jaxtyping import UInt8

from common import outputs, terminal
from common.data.user_files import as_csv, encoded
from common.errors import InputError
from common.pipeline.trained import Trained, find
from common.results.figures import png
from common.study import config as configs
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.figures import SEX, image_grid
from papers.camcan_cfg.layout import MIDDLE
from papers.camcan_cfg.options import Sampling
from papers.camcan_cfg.sampling import Sampler
from papers.camcan_cfg.shipped import DENOISER
from papers.camcan_cfg.train import load_network

STUDY = "camcan_cfg"
NOTICE = "Synthetic slices of nobody: research code, no medical device"
GRID, TABLE = "grid.png", "samples.csv"
ROWS, COLUMNS = 24, 12  # of the grid, at most
SEXES = {"f": 1, "female": 1, "m": 2, "male": 2}
CENTER = (0.0, -18.0, 18.0)  # mm in MNI152 space, of the slice in the middle of a volume
# mm that a slice shows from left to right, negative from right to left, and from back to front, and
# mm from slice to slice; of other data each slice has a window of its own
SPANS = {
    "simulated": (160.0, 213.4, 1.0),
    "camcan": (-182.0, 218.0, 2.0),
    "bids": (-182.0, 218.0, 2.0),
}

Slices = UInt8[np.ndarray, "n height width"]


class Condition(NamedTuple):
    """What a slice is drawn for: `sex` is 1 (female) or 2 (male)."""

    age: float
    sex: int
    number: int

    @property
    def name(self) -> str:
        """How its files' names begin."""
        return f"age{self.age:g}_{SEX[self.sex]}_slice{self.number}"


@dataclass(frozen=True)
class Learned:
    """The range of ages and of slice numbers in the data that a network learned from."""

    ages: tuple[float, float]
    numbers: tuple[int, int]

    @classmethod
    def of(cls, trained: Trained) -> Learned:
        """Return what is known of a network's training part."""
        part = trained.parts["train"]
        return cls((part["age_min"], part["age_max"]), (part["slice_min"], part["slice_max"]))


def sample(checkpoint: Path, out: Path, choice: Sampling) -> list[dict[str, Any]]:
    """Write every slice as PNG and NIfTI, a grid of them, and a table; return a row for each slice.

    A row holds `image`, `age`, `sex`, `slice`, `guidance`, `seed` and `written`. Slices of equal
    seeds have the same noise. Raises `InputError` for what the network did not learn, and where a
    file would be overwritten.
    """
    trained = find(checkpoint, STUDY, Config())
    config: Config = trained.config
    if choice.steps is not None:
        asked_for = {"sample.steps": choice.steps, "sample.sampler": "ddim"}
        config = configs.override(config, asked_for, "--steps")
    asked = conditions_of(choice, Learned.of(trained))
    seeds = np.arange(choice.seed, choice.seed + choice.count)
    each = list(itertools.product(asked, seeds.tolist()))
    names = [f"{condition.name}_seed{seed}" for condition, seed in each]
    files = {name: (out / f"{name}.png", out / f"{name}.nii.gz") for name in names}
    outputs.check_new(out, [*itertools.chain(*files.values()), out / GRID, out / TABLE])
    terminal.note(f"network: {trained.folder(DENOISER)}")
    draw = Sampler(config, load_network(trained.folder(DENOISER), config))
    rows_of = np.array([condition for condition, _ in each], np.float32)
    images, _ = draw(rows_of, np.tile(seeds, len(asked)), choice.guidance)
    rows = []
    for name, (condition, seed), image in zip(names, each, images, strict=True):
        shown, volume = files[name]
        outputs.write({shown: encoded(np.rot90(image)),
                       volume: nifti(image, condition.number, config.data.dataset)})  # fmt: skip
        rows.append(
            {
                "image": shown.name,
                "age": condition.age,
                "sex": SEX[condition.sex],
                "slice": condition.number,
                "guidance": choice.guidance,
                "seed": seed,
                "written": [str(file) for file in files[name]],
            }
        )
    grid = png(sheet(images, asked, seeds.tolist(), choice.guidance))
    outputs.write({out / GRID: grid, out / TABLE: as_csv(rows)})
    return rows


def conditions_of(choice: Sampling, learned: Learned) -> list[Condition]:
    """Return what is asked for; raises `InputError` for what was not learned or is no number."""
    low, high = learned.ages
    ages = _listed("--age", choice.age, float) or [
        float(round(low + share * (high - low))) for share in (0.25, 0.5, 0.75)
    ]
    numbers = _listed("--slice", choice.slice, int) or [sum(learned.numbers) // 2]
    sexes = [_sex(word.strip()) for word in choice.sex.split(",")]
    for flag, values, (first, last) in (
        ("--age", ages, learned.ages), ("--slice", numbers, learned.numbers)
    ):  # fmt: skip
        for value in values:
            if not first <= value <= last:
                raise InputError(
                    f"{flag} {value:g}: not learned; give one from {first:g} to {last:g}"
                )
    every = itertools.product(ages, sexes, numbers)
    return list(dict.fromkeys(Condition(*one) for one in every))


def nifti(image: UInt8[np.ndarray, "height width"], number: int, dataset: str) -> bytes:
    """Return a slice as a compressed NIfTI file, in its place in the head where that is known."""
    voxels = image[..., None]
    if dataset not in SPANS:
        volume = nibabel.Nifti1Image(voxels, None)
    else:
        sides = np.array(SPANS[dataset]) / (*image.shape, 1)
        middle = np.array([*(np.array(image.shape) - 1) / 2, MIDDLE - number])
        affine = np.diag([*sides, 1.0])
        affine[:3, 3] = CENTER - sides * middle
        volume = nibabel.Nifti1Image(voxels, affine)
        volume.header.set_xyzt_units("mm")
    return gzip.compress(volume.to_bytes(), mtime=0)


def sheet(images: Slices, asked: Sequence[Condition], seeds: Sequence[int], scale: float) -> Any:
    """Return a figure of the slices: a row for each condition, a column for each seed."""
    whole = images.reshape(len(asked), len(seeds), *images.shape[1:])
    figure = image_grid(
        whole[:ROWS, :COLUMNS],
        [f"{one.age:g} {SEX[one.sex]}\nslice {one.number}" for one in asked[:ROWS]],
        [f"seed {seed}" for seed in seeds[:COLUMNS]],
        f"w = {scale:g}",
    )
    notice = textwrap.fill(NOTICE, int(18 * figure.get_figwidth()))
    figure.supxlabel(notice, fontsize=6, weight="bold", color="#b00020")
    return figure


def _listed(flag: str, text: str, kind: Callable[[str], Any]) -> list[Any]:
    """Return the numbers of a list with commas; empty for an empty text."""
    try:
        return [kind(word) for word in text.split(",")] if text.strip() else []
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{flag} {text}: give {what}, separated by commas") from None


def _sex(word: str) -> int:
    if word.lower() not in SEXES:
        raise InputError(f"--sex {word}: give F, M, or F,M")
    return SEXES[word.lower()]
