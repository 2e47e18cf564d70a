"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from common.data.copies import Copies
from common.data.finder import COPIED, Listing
from common.data.prepared import Dataset, Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from common.data.splits import in_turns
from papers.ultrasound_diconvae import fetal_planes_layout, hc18_layout
from papers.ultrasound_diconvae.config import DataConfig
from papers.ultrasound_diconvae.image import LabeledImage

COHORT_SEED = 0  # of the simulated images: the same for all runs
Entry = TypeVar("Entry", fetal_planes_layout.Entry, hc18_layout.Entry)


def fetal_planes(raw: Path, config: DataConfig) -> Reading[LabeledImage]:
    """Return the images of the planes that the config names, by name."""
    listing = fetal_planes_layout.listing(raw, config.planes)
    return _read(config, listing, fetal_planes_layout.read)


def fetal_planes_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return labelmaps, masks and images of the planes that the config names."""
    return fetal_planes_layout.listing(raw, config.planes).files


def hc18(raw: Path, config: DataConfig) -> Reading[LabeledImage]:
    """Return the images of HC18 by name."""
    return _read(config, hc18_layout.listing(raw), hc18_layout.read)


def hc18_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table, the images and the outlines of HC18."""
    return hc18_layout.listing(raw).files


def simulated(raw: None, config: DataConfig) -> Reading[LabeledImage]:
    """Return the simulated images."""
    from papers.ultrasound_diconvae.simulate import cohort

    drawn = cohort(config.images, COHORT_SEED, height=config.height, width=config.width)
    return Reading(list(map(kept, _progress(drawn, "simulating", config.images))))


DATASETS = {
    "fetal_planes": Dataset(
        "Large-scale annotation dataset for fetal head biometry",
        "Zenodo 8265464: fetal head ultrasound of four planes with masks of brain, CSP and LV",
        stand_in=False,
        read=fetal_planes,
        raw="the folders of the planes, each with images, masks and labelmap.txt",
        access="get https://zenodo.org/records/8265464, unpack the zip of each plane and the "
        "zip of masks (segmentation) in it",
        files=fetal_planes_files,
        license="CC BY 4.0",
    ),
    "hc18": Dataset(
        "HC18",
        "HC18: fetal heads with outlines and circumferences (van den Heuvel et al. 2018)",
        stand_in=False,  # the source mixed it into its data
        read=hc18,
        raw="training_set and training_set_pixel_size_and_HC.csv",
        access="get training_set.zip and the table from https://zenodo.org/records/1327317",
        files=hc18_files,
        license="CC BY 4.0",
    ),
    "simulated": Dataset(
        "simulated fetal heads",
        "simulated fetal heads: speckle from scatterers and a point-spread function",
        stand_in=True,
        read=simulated,
        license="MIT, as this project: drawn by it from nothing",
    ),
}


def _read(
    config: DataConfig,
    listing: Listing[Entry],
    read: Callable[[Entry, int, int], LabeledImage],
) -> Reading[LabeledImage]:
    """Return the images that the config uses; of equal ones of one subject the first is kept.

    An image that equals another one's, with other labels or of another subject, is bad.
    """
    entries, bad, ignored = listing.entries, list(listing.bad), list(listing.ignored)
    entries = in_turns(entries, lambda one: one.subject, lambda one: one.name, config.limit)
    images: dict[str, LabeledImage] = {}
    copies = Copies()
    for entry in _progress(entries, f"reading {config.dataset}", len(entries)):
        try:
            image = read(entry, config.height, config.width)
            key = f"{image.plane}/{image.name}"
            first = images.get(copies.first(key, image.image), image)
            if first is not image and not _same(first, image):
                raise BadFile(f"shows the same as {first.name}, with other labels or of another")
        except BadFile as reason:
            bad.append(f"{entry.image.name}: {reason}")
            continue
        if first is image:
            images[key] = kept(image)
        else:
            ignored.append(f"{entry.image.name}, as {first.name}: {COPIED}")
    return Reading(sorted(images.values(), key=lambda one: one.name), bad, ignored=ignored)


def _same(one: LabeledImage, other: LabeledImage) -> bool:
    """Return whether equal images are of one subject and labeled alike."""
    return one.subject == other.subject and np.array_equal(one.labels, other.labels)


def _progress(things: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return tqdm(things, what, count, unit="image", delay=2, disable=None)
