"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from common.data import kaggle_lgg
from common.data.prepared import Dataset, Reading
from common.data.raw import BadFile, number, read_table
from papers.lgg_attention_unet.config import DataConfig

AGE, SEX = "age_at_initial_pathologic", "gender"
COHORT_SEED = 0  # of the simulated patients: the same for all runs


@dataclass(frozen=True)
class Stack:
    """One patient: slices from the lowest upwards, and where each shows tumor.

    The channels are pre-contrast, FLAIR, post-contrast. `age` in years and `sex`, 1 (female) or
    2 (male), are 0 where they are not known.
    """

    name: str
    images: UInt8[np.ndarray, "slices height width 3"]
    masks: Bool[np.ndarray, "slices height width"]
    age: float = 0.0
    sex: int = 0


def kaggle_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table, the slices and the masks."""
    return kaggle_lgg.files(raw)


def kaggle(raw: Path, config: DataConfig) -> Reading[Stack]:
    """Return the patients in the order of their names."""
    table, *paths = kaggle_lgg.files(raw)
    labels = {row["Patient"]: row for row in read_table(table, ("Patient", AGE, SEX))}
    stacks, bad = [], []
    patients = kaggle_lgg.by_patient(paths)
    for name, files in tqdm(patients.items(), "reading LGG", unit="patient", delay=2, disable=None):
        row = labels.get(name, {AGE: "", SEX: ""})
        try:
            age = number(row[AGE], f"{AGE} in {table.name}", 0.0, 120.0) if row[AGE] else 0.0
            sex = number(row[SEX], f"{SEX} in {table.name}", 1.0, 2.0) if row[SEX] else 0
            stacks.append(Stack(name, *kaggle_lgg.read_stack(files), age, int(sex)))
        except BadFile as reason:
            bad += [f"{name}: {text}" for text in reason.args]
    return Reading(stacks, bad)


def simulated(raw: None, config: DataConfig) -> Reading[Stack]:
    """Return simulated patients."""
    from papers.lgg_attention_unet.simulate import cohort  # opens the template

    drawn = cohort(config.patients, COHORT_SEED, height=config.height, width=config.width)
    shown = tqdm(drawn, "simulating", config.patients, unit="patient", delay=2, disable=None)
    return Reading([Stack(one.name, one.images, one.masks) for one in shown])


DATASETS = {
    "kaggle": Dataset(
        "LGG MRI Segmentation",
        "LGG MRI Segmentation: 110 patients of TCGA-LGG with tumor masks (Buda et al. 2019)",
        stand_in=False,
        read=kaggle,
        raw="kaggle_3m with one folder a patient and data.csv",
        access="get https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation",
        files=kaggle_files,
    ),
    "simulated": Dataset(
        "simulated gliomas in heads from the MNI152 template",
        "simulated patients: gliomas with exact masks in heads from the MNI152 template",
        stand_in=True,
        read=simulated,
    ),
}
