"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.data import kaggle_lgg
from common.data.prepared import Dataset, Reading
from common.data.shelf import kept
from papers.camcan_cfg import camcan_layout, lgg_layout
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SubjectSlices, slice_numbers

COHORT_SEED = 0  # of the simulated cohort: one cohort for all runs


def camcan_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table and the volumes of Cam-CAN."""
    return camcan_layout.listing(raw).files


def lgg_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table, the slices and the masks of LGG MRI Segmentation."""
    return kaggle_lgg.listing(raw).files


def simulated(raw: None, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the simulated cohort, numbered like all others."""
    from papers.camcan_cfg.simulate import cohort  # opens the template: only when it is needed

    numbers = slice_numbers(config.slices)
    size = {"height": config.height, "width": config.width, "slices": config.slices}
    drawn = cohort(config.subjects, COHORT_SEED, **size)
    subjects = [
        kept(SubjectSlices(one.name, float(one.age), int(one.sex), numbers, np.asarray(one.images)))
        for one in tqdm(drawn, "simulating", config.subjects, unit="subject", delay=2, disable=None)
    ]
    return Reading(subjects)


DATASETS = {
    "camcan": Dataset(
        "Cam-CAN T1",
        "Cam-CAN: T1-weighted MRI of adults aged 18 to 88 (access on application)",
        stand_in=False,
        read=camcan_layout.read,
        raw="sub-<Subject>_defaced_T1.nii.gz files and phenotype.csv (Subject, Age, Sex)",
        access="apply at https://camcan-archive.mrc-cbu.cam.ac.uk/dataaccess",
        files=camcan_files,
    ),
    "lgg_flair": Dataset(
        "LGG MRI Segmentation, tumor-free FLAIR slices",
        "LGG MRI Segmentation: tumor-free FLAIR slices of glioma patients aged 20 to 75",
        stand_in=True,
        read=lgg_layout.read,
        raw="kaggle_3m with one folder a patient and data.csv",
        access="get https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation",
        files=lgg_files,
    ),
    "simulated": Dataset(
        "simulated cohort from the MNI152 template",
        "simulated cohort from the MNI152 template: anatomy, aging and sex by published rates",
        stand_in=True,
        read=simulated,
    ),
}
