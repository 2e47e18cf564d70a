"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from common.data import kaggle_lgg
from common.data.copies import Copies
from common.data.prepared import Dataset, Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from common.data.tables import read_table
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
    return kaggle_lgg.listing(raw).files


def kaggle(raw: Path, config: DataConfig) -> Reading[Stack]:
    """Return the patients in the order of their names."""
    found = kaggle_lgg.listing(raw)
    table = read_table(found.table, ("Patient", AGE, SEX))
    rows, copies = table.by("Patient"), Copies()
    stacks, absent, bad = [], [], [*found.bad, *table.bad]
    patients = found.patients
    for name, files in tqdm(patients.items(), "reading LGG", unit="patient", delay=2, disable=None):
        try:
            images, masks = kaggle_lgg.read_stack(files)
            if (first := copies.first(name, images)) != name:
                raise BadFile(f"shows the same as {first}; keep one")
            age, sex = None, None
            if rows.knows(name):
                row = rows.row(name)
                age, sex = row.number(AGE, 0.0, 120.0), row.sex(SEX)
            else:
                absent.append(f"{name}: no row in {found.table.name}, age and sex are not known")
            stacks.append(kept(Stack(name, images, masks, age or 0.0, sex or 0)))
        except BadFile as reason:
            bad += [f"{name}: {text}" for text in reason.args]
    stacks, others = _of_one_size(stacks)
    return Reading(
        stacks, bad + others, absent, [*found.ignored, *kaggle_lgg.rows_alone(rows, found)]
    )


def _of_one_size(stacks: Sequence[Stack]) -> tuple[list[Stack], list[str]]:
    """Return the patients whose images have the size of most, and what is wrong with the others."""
    sizes = {one.name: one.masks.shape[1:] for one in stacks}
    usual = max(sizes.values(), key=list(sizes.values()).count, default=())
    others = [
        f"{name}: images of {size[0]}x{size[1]}, most are {usual[0]}x{usual[1]}; resize them"
        for name, size in sizes.items()
        if size != usual
    ]
    return [one for one in stacks if sizes[one.name] == usual], others


def simulated(raw: None, config: DataConfig) -> Reading[Stack]:
    """Return simulated patients."""
    from papers.lgg_attention_unet.simulate import cohort  # opens the template

    drawn = cohort(config.patients, COHORT_SEED, height=config.height, width=config.width)
    shown = tqdm(drawn, "simulating", config.patients, unit="patient", delay=2, disable=None)
    return Reading([kept(Stack(one.name, one.images, one.masks)) for one in shown])


DATASETS = {
    "kaggle": Dataset(
        "LGG MRI Segmentation",
        "LGG MRI Segmentation: 110 patients of TCGA-LGG with tumor masks (Buda et al. 2019)",
        stand_in=False,
        read=kaggle,
        raw="kaggle_3m with one folder a patient and data.csv",
        access="get https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation",
        files=kaggle_files,
        license="CC BY-NC-SA 4.0; images of TCIA TCGA-LGG: CC BY 3.0",
    ),
    "simulated": Dataset(
        "simulated gliomas in heads from the MNI152 template",
        "simulated patients: gliomas with exact masks in heads from the MNI152 template",
        stand_in=True,
        read=simulated,
        license="ICBM 152 template (McConnell Brain Imaging Centre): free to pass on with notice",
    ),
}
