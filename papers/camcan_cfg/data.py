"""The study's data sets: prepared once as TFDS, loaded as slices with their condition."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, Shaped
from tqdm import tqdm

from common import anatomy
from common import data as common_data
from common.data import builder, hashing, kaggle_lgg
from common.data.loader import ArraySource
from common.data.raw import refusal
from common.data.splits import PARTS, split_groups, split_indices
from common.errors import InputError
from papers.camcan_cfg import camcan_layout, lgg_layout
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SEXES, Reading, SubjectSlices, slice_numbers

COHORT_SEED = 0  # of the simulated cohort: one cohort for all runs


@dataclass(frozen=True)
class Layout:
    """How one of the published data sets lies on disk and where it comes from."""

    title: str
    access: str
    stand_in: bool
    files: Callable[[Path], list[Path]]
    read: Callable[[Path, DataConfig], Reading]


LAYOUTS = {
    "camcan": Layout(
        "Cam-CAN T1",
        "apply at https://camcan-archive.mrc-cbu.cam.ac.uk/dataaccess",
        False,
        camcan_layout.files,
        camcan_layout.read,
    ),
    "lgg_flair": Layout(
        "LGG MRI Segmentation, tumour-free FLAIR slices",
        "get https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation",
        True,
        kaggle_lgg.files,
        lgg_layout.read,
    ),
}


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be loaded, and what there is to know about it."""

    dataset: str
    folder: Path
    content_hash: str  # SHA-256 over all examples in the order of their keys
    stand_in: bool  # not the data that the source used
    description: str
    sizes: dict[str, int]  # slices of every split
    parts: dict[str, dict[str, Any]]  # of every split: slices, subjects, age range, sexes
    skipped: tuple[str, ...]  # bad files that were left out, "name: reason"
    absent: tuple[str, ...]  # subjects without a file or a label, left out as in the source


@dataclass(frozen=True)
class Slices:
    """Slices in the order of subject and position, lowest first.

    Images are in [0, 1] (Cam-CAN's, which the source does not clip, may overshoot); a condition
    is age in years, sex 1 (female) or 2 (male), and the slice number of `layout`.
    """

    images: Float[np.ndarray, "slices height width 1"]
    conditions: Float[np.ndarray, "slices 3"]
    subjects: Shaped[np.ndarray, " slices"]  # names

    def __len__(self) -> int:
        return len(self.images)

    def spread(self, count: int) -> "Slices":
        """Return `count` slices taken evenly from the whole, or all where there are fewer."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int))
        return Slices(self.images[chosen], self.conditions[chosen], self.subjects[chosen])

    def as_source(self) -> ArraySource:
        """Return the slices as a source of examples with `image` and `condition`."""
        return ArraySource({"image": self.images, "condition": self.conditions})


def prepare(config: DataConfig, folder: Path, raw: Path | None, skip_bad: bool = False) -> Prepared:
    """Write the data set into `folder` as TFDS, unless it is there whole; return what it is.

    It is written again where config, preparing code or raw files are others than last time; a
    raw folder that is gone since does not matter.

    Raises:
        InputError: raw files are needed and not there, or some are bad (all of them are listed)
            and `skip_bad` is off.
    """
    identity = {"config": hashing.digest(asdict(config)), "code": _code_digest()}
    if raw is not None and raw.exists() and config.dataset in LAYOUTS:
        identity["raw"] = hashing.files_digest(LAYOUTS[config.dataset].files(raw))
    record = builder.prepare_once(
        folder, identity, lambda draft: _make(config, draft, raw, skip_bad)
    )
    del record["identity"]
    if record["skipped"] and not skip_bad:
        raise refusal(f"--raw {raw}", record["skipped"])
    record |= {name: tuple(record[name]) for name in ("skipped", "absent")}
    return Prepared(folder=folder, **record)


def load(prepared: Prepared, split: str) -> Slices:
    """Return a split (train, validation or test) whole, in memory."""
    source = builder.read(prepared.dataset, prepared.folder, split)
    rows = sorted(
        (source[i] for i in range(len(source))), key=lambda row: (row["subject"], row["position"])
    )
    return Slices(
        np.stack([row["image"] for row in rows]),
        np.stack([row["condition"] for row in rows]),
        np.array([row["subject"].decode() for row in rows]),
    )


def _make(config: DataConfig, draft: Path, raw: Path | None, skip_bad: bool) -> dict[str, Any]:
    """Read, check, split and write one data set; return its record."""
    layout = LAYOUTS.get(config.dataset)
    reading = _published(config, layout, raw) if layout else _simulated(config)
    if reading.bad and not skip_bad:
        raise refusal(f"--raw {raw}", reading.bad)
    if not reading.subjects:
        left_out = "; ".join((*reading.bad, *reading.absent)[:3])
        raise InputError(f"--raw {raw}: no subject is left to work with ({left_out}, …)")
    splits = _split(config, reading.subjects)
    features = {
        "image": builder.array_feature((config.height, config.width, 1)),
        "condition": builder.array_feature((3,)),
        "subject": tfds.features.Text(),
        "position": tfds.features.Scalar(np.int32),
    }
    builder.write(config.dataset, draft, features, splits)
    parts = {part: _summary(examples) for part, examples in splits.items()}
    everything = {f"{part}/{key}": e for part in PARTS for key, e in splits[part].items()}
    return {
        "dataset": config.dataset,
        "content_hash": hashing.content_hash(everything),
        "stand_in": layout.stand_in if layout else True,
        "description": _describe(config, layout, reading),
        "sizes": {part: len(examples) for part, examples in splits.items()},
        "parts": parts,
        "skipped": reading.bad,
        "absent": reading.absent,
    }


def _published(config: DataConfig, layout: Layout, raw: Path | None) -> Reading:
    if raw is None:
        raise InputError(
            f"data.dataset={config.dataset} needs raw files: {layout.access}, "
            "and give their folder with --raw DIR"
        )
    return layout.read(raw, config)


def _simulated(config: DataConfig) -> Reading:
    """Return the simulated cohort, numbered like all others."""
    from papers.camcan_cfg.simulate import cohort  # opens the template: only when it is needed

    numbers = slice_numbers(config.slices)
    drawn = cohort(
        config.subjects,
        COHORT_SEED,
        height=config.height,
        width=config.width,
        slices=config.slices,
    )
    subjects = [
        SubjectSlices(one.name, float(one.age), int(one.sex), numbers, np.asarray(one.images))
        for one in tqdm(drawn, "simulating", config.subjects, unit="subject", delay=2, disable=None)
    ]
    return Reading(subjects, [], [])


def _split(
    config: DataConfig, subjects: list[SubjectSlices]
) -> dict[str, dict[str, builder.Example]]:
    """Return every part's examples by key.

    A split over slices shuffles all slices in the order of subjects and positions, as the source
    does: with its data and seed 0 this is its split. A split over subjects shuffles them.
    """
    owners = [one.name for one in subjects for _ in one.numbers]
    fractions = (config.split_seed, config.train_fraction, config.validation_fraction)
    if config.split == "slice":
        parts = split_indices(len(owners), *fractions)
    else:
        parts = split_groups(owners, *fractions)
    examples = list(_examples(subjects))
    return {part: dict(examples[i] for i in parts[part]) for part in PARTS}


def _examples(subjects: list[SubjectSlices]) -> Iterator[tuple[str, builder.Example]]:
    for one in subjects:
        for position, (number, image) in enumerate(zip(one.numbers, one.images, strict=True)):
            yield (
                f"{one.name}/{position:03d}",
                {
                    "image": image[..., None].astype(np.float32),
                    "condition": np.array([one.age, one.sex, number], np.float32),
                    "subject": one.name,
                    "position": position,
                },
            )


def _summary(examples: dict[str, builder.Example]) -> dict[str, Any]:
    """Return how many slices, and of whom: subjects, ages in years, subjects of each sex."""
    people = {e["subject"]: e["condition"] for e in examples.values()}
    ages = [float(age) for age, _, _ in people.values()]
    sexes = [int(sex) for _, sex, _ in people.values()]
    return {
        "slices": len(examples),
        "subjects": len(people),
        "age_min": min(ages),
        "age_max": max(ages),
        "slice_min": int(min(e["condition"][2] for e in examples.values())),
        "slice_max": int(max(e["condition"][2] for e in examples.values())),
        **{name: sexes.count(code) for code, name in SEXES.items()},
    }


def _describe(config: DataConfig, layout: Layout | None, reading: Reading) -> str:
    title = layout.title if layout else "simulated cohort from the MNI152 template"
    numbers = np.concatenate([one.numbers for one in reading.subjects])
    line = (
        f"{title}: {len(numbers)} slices, numbers {numbers.min()} to {numbers.max()}, "
        f"of {len(reading.subjects)} subjects; split by {config.split}"
    )
    if reading.absent:
        line += f"; {len(reading.absent)} subjects without a file, label or slice"
    return line + (f"; {len(reading.bad)} bad left out" if reading.bad else "")


def _code_digest() -> str:
    """Return the digest of the code that makes the examples: other code may make others."""
    study = Path(__file__).parent
    own = ("data.py", "*layout.py", "simul*.py", "simul*/*.py")
    shared = (*common_data.__path__, *anatomy.__path__)
    files = [path for part in own for path in study.glob(part)]
    return hashing.files_digest(files + [p for s in shared for p in Path(s).glob("*.py")])
