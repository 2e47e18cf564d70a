"""The study's data sets: prepared once as TFDS, loaded as the pictures of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float32, Shaped, UInt8
from tqdm import tqdm

import common
from common.data import builder, hashing
from common.data.raw import BadFile, refusal
from common.data.splits import PARTS, split_groups
from common.errors import InputError, nearest
from papers.ultrasound_diconvae import fetal_planes_layout, hc18_layout
from papers.ultrasound_diconvae.config import DataConfig
from papers.ultrasound_diconvae.picture import CLASSES, PLANES, Picture

COHORT_SEED = 0  # of the simulated pictures: the same for all runs
TITLES = {
    "fetal_planes": "Large-scale annotation dataset for fetal head biometry",
    "hc18": "HC18",
    "simulated": "simulated fetal heads",
}
ACCESS = {
    "fetal_planes": "get https://zenodo.org/records/8265464, unpack the zip of each plane and the "
    "zip of masks (segmentation) in it",
    "hc18": "get training_set.zip and the table from https://zenodo.org/records/1327317",
}
Entry = TypeVar("Entry", fetal_planes_layout.Entry, hc18_layout.Entry)


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be loaded, and what there is to know about it."""

    dataset: str
    folder: Path
    content_hash: str  # SHA-256 over all examples in the order of their keys
    stand_in: bool  # not the data that the source used
    description: str
    classes: tuple[str, ...]  # by label
    sizes: dict[str, int]  # pictures of every split
    parts: dict[str, dict[str, Any]]  # of every split: pictures, subjects, planes, classes seen
    skipped: tuple[str, ...]  # bad files that were left out, "name: reason"


@dataclass(frozen=True)
class Part:
    """The pictures of one part of the data, by name; `clean` is there for simulated ones only."""

    names: tuple[str, ...]
    subjects: tuple[str, ...]
    planes: tuple[str, ...]
    images: UInt8[np.ndarray, "pictures height width 1"]
    labels: UInt8[np.ndarray, "pictures height width"]
    mm: Float32[np.ndarray, "pictures 2"]  # height and width of a pixel; NaN where nobody says
    head_mm: Float32[np.ndarray, " pictures"]  # circumference; NaN where nobody says
    clean: UInt8[np.ndarray, "pictures height width 1"] | None = None

    def __len__(self) -> int:
        return len(self.names)


def prepare(config: DataConfig, folder: Path, raw: Path | None, skip_bad: bool = False) -> Prepared:
    """Write the data set into `folder` as TFDS, unless it is there whole; return what it is.

    Pictures and labels have the size that the config asks for.

    Raises:
        InputError: raw files are needed and not there, or some are bad (all of them are listed)
            and `skip_bad` is off: with it they are left out.
    """
    identity = {"config": hashing.digest(asdict(config)), "code": _code_digest()}
    if raw is not None and raw.exists() and config.dataset != "simulated":
        identity["raw"] = hashing.files_digest(_files(config, raw))
    record = builder.prepare_once(
        folder, identity, lambda draft: _make(config, draft, raw, skip_bad)
    )
    del record["identity"]
    if record["skipped"] and not skip_bad:
        raise refusal(f"--raw {raw}", record["skipped"])
    tuples = {name: tuple(record[name]) for name in ("classes", "skipped")}
    return Prepared(folder=folder, **record | tuples)


def classes_of(dataset: str) -> tuple[str, ...]:
    """Return the names of a data set's classes, by label; HC18's pictures show the head alone."""
    return CLASSES[:2] if dataset == "hc18" else CLASSES


def load(prepared: Prepared, part: str) -> Part:
    """Return one part, train, validation or test, in the order of the pictures' names."""
    examples = builder.read(prepared.dataset, prepared.folder, part)
    rows: list[Any] = [examples[i] for i in range(len(examples))]
    rows.sort(key=lambda row: (row["name"], row["plane"]))

    def stacked(name: str) -> Shaped[np.ndarray, "pictures ..."]:
        return np.stack([row[name] for row in rows])

    def words(name: str) -> tuple[str, ...]:
        return tuple(row[name].decode() for row in rows)

    return Part(
        names=words("name"),
        subjects=words("subject"),
        planes=words("plane"),
        images=stacked("image"),
        labels=stacked("labels"),
        mm=stacked("mm"),
        head_mm=stacked("head_mm").astype(np.float32),
        clean=stacked("clean") if "clean" in rows[0] else None,
    )


def _make(config: DataConfig, draft: Path, raw: Path | None, skip_bad: bool) -> dict[str, Any]:
    """Read, check, split and write one data set; return its record."""
    pictures, bad = _pictures(config, raw)
    if bad and not skip_bad:
        raise refusal(f"--raw {raw}", bad)
    subjects = [one.subject for one in pictures]
    split = split_groups(
        subjects, config.split_seed, config.train_fraction, config.validation_fraction
    )
    chosen = {part: [pictures[i] for i in split[part]] for part in PARTS}
    splits = {
        part: {f"{one.plane}/{one.name}": _example(one) for one in members}
        for part, members in chosen.items()
    }
    grey = builder.array_feature((config.height, config.width, 1), np.uint8)
    features = {
        "name": tfds.features.Text(),
        "subject": tfds.features.Text(),
        "plane": tfds.features.Text(),
        "image": grey,
        "labels": builder.array_feature((config.height, config.width), np.uint8),
        "mm": builder.array_feature((2,)),
        "head_mm": tfds.features.Scalar(np.float32),
    }
    if config.dataset == "simulated":
        features["clean"] = grey
    builder.write(config.dataset, draft, features, splits)
    everything = {f"{part}/{key}": e for part in PARTS for key, e in splits[part].items()}
    return {
        "dataset": config.dataset,
        "content_hash": hashing.content_hash(everything),
        "stand_in": config.dataset == "simulated",
        "description": _describe(config, pictures, bad),
        "classes": classes_of(config.dataset),
        "sizes": {part: len(examples) for part, examples in splits.items()},
        "parts": {part: _summary(members) for part, members in chosen.items()},
        "skipped": bad,
    }


def _pictures(config: DataConfig, raw: Path | None) -> tuple[list[Picture], list[str]]:
    """Return the data set's pictures by name, and the bad files, "name: reason"."""
    if config.dataset == "simulated":
        from papers.ultrasound_diconvae.simulate import cohort

        drawn = cohort(config.pictures, COHORT_SEED, height=config.height, width=config.width)
        return list(_shown(drawn, "simulating", config.pictures)), []
    if raw is None:
        raise InputError(
            f"data.dataset={config.dataset} needs raw files: {ACCESS[config.dataset]}, "
            "and give their folder with --raw DIR"
        )
    if config.dataset == "hc18":
        return _read(config, hc18_layout.listing(raw), hc18_layout.read)
    planes = _planes(config)
    return _read(config, fetal_planes_layout.listing(raw, planes), fetal_planes_layout.read)


def _read(
    config: DataConfig,
    listing: tuple[list[Entry], list[str]],
    read: Callable[[Entry, int, int], Picture],
) -> tuple[list[Picture], list[str]]:
    entries, bad = listing
    entries = _limited(entries, config.limit)
    pictures = []
    for entry in _shown(entries, f"reading {TITLES[config.dataset]}", len(entries)):
        try:
            pictures.append(read(entry, config.height, config.width))
        except BadFile as reason:
            bad.append(f"{entry.picture.name}: {reason}")
    return sorted(pictures, key=lambda one: one.name), bad


def _limited(entries: list[Entry], limit: int) -> list[Entry]:
    """Return `limit` of the entries (0: all): every subject's first one before any second one."""
    seen: Counter[str] = Counter()
    turns = []
    for entry in sorted(entries, key=lambda one: (one.subject, one.name)):
        turns.append((seen[entry.subject], entry.subject, entry.name, entry))
        seen[entry.subject] += 1
    turns.sort(key=lambda turn: turn[:3])
    return [entry for *_, entry in turns][: limit or None]


def _planes(config: DataConfig) -> tuple[str, ...]:
    for plane in config.planes:
        if plane not in PLANES:
            raise InputError(f"data.planes: {plane!r}; {nearest(plane, PLANES)}")
    return config.planes


def _files(config: DataConfig, raw: Path) -> list[Path]:
    if config.dataset == "hc18":
        return hc18_layout.files(raw)
    return fetal_planes_layout.files(raw, _planes(config))


def _example(one: Picture) -> builder.Example:
    example = {
        "name": one.name,
        "subject": one.subject,
        "plane": one.plane,
        "image": one.image,
        "labels": one.labels,
        "mm": np.array(one.mm, np.float32),
        "head_mm": np.float32(one.head_mm),
    }
    return example if one.clean is None else example | {"clean": one.clean}


def _summary(pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return how many pictures and subjects, how many of every plane and with every class."""
    planes = Counter(one.plane for one in pictures)
    heads = [one.head_mm for one in pictures if np.isfinite(one.head_mm)]
    return {
        "pictures": len(pictures),
        "subjects": len({one.subject for one in pictures}),
        "planes": {plane: planes[plane] for plane in PLANES if planes[plane]},
        "classes": {
            name: sum(bool((one.labels == label).any()) for one in pictures)
            for label, name in enumerate(CLASSES)
            if label
        },
        **({"head_mm_min": min(heads), "head_mm_max": max(heads)} if heads else {}),
    }


def _describe(config: DataConfig, pictures: Sequence[Picture], bad: list[str]) -> str:
    whole = _summary(pictures)
    line = (
        f"{TITLES[config.dataset]}: {whole['pictures']} pictures of {whole['subjects']} subjects; "
        "split by subject"
    )
    if config.dataset == "fetal_planes" and not config.limit:
        published = fetal_planes_layout.PUBLISHED
        found = [f"{whole['planes'].get(p, 0)} of {published[p]} {p}" for p in config.planes]
        line += "; found of those published: " + ", ".join(found)
    return line + (f"; {len(bad)} bad files left out" if bad else "")


def _shown(things: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return tqdm(things, what, count, unit="picture", delay=2, disable=None)


def _code_digest() -> str:
    """Return the digest of the code that makes the examples: other code may make others."""
    study, shared = Path(__file__).parent, Path(common.__path__[0])
    names = ("data.py", "picture.py", "colours.py", "*_layout.py", "simul*.py")
    ours = [path for name in names for path in study.glob(name)]
    ours += study.glob("simulation/*.py")
    theirs = [*shared.glob("data/*.py"), shared / "metrics" / "ellipse.py"]
    return hashing.files_digest([*ours, *theirs])
