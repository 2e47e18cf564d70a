"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from common.data.prepared import Dataset, Reading
from papers.study_name import layout, simulate
from papers.study_name.config import DataConfig
from papers.study_name.scan import Scan

COHORT_SEED = 0  # of the simulated images: the same for all runs


def simulated(raw: None, config: DataConfig) -> Reading[Scan]:
    """Return simulated images."""
    return Reading(simulate.cohort(config.images, COHORT_SEED, config.size))


DATASETS = {
    "published": Dataset(
        "the published images",
        "the images of the source, one label for each",
        stand_in=False,
        read=layout.read,
        raw=f"{layout.TABLE} and the images that it names",
        access="say here where the data of the source is to be had",
        files=layout.files,
        license="say here what the data may be used for",
    ),
    "simulated": Dataset(
        "simulated spots",
        "simulated images: noise, and a bright spot in every second one",
        stand_in=True,
        read=simulated,
        license="MIT, as this project: drawn by it from nothing",
    ),
}
