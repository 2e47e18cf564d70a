"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.data.prepared import Dataset, Reading
from common.data.shelf import kept
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import SubjectSlices, slice_numbers

COHORT_SEED = 0  # of the simulated cohort: one cohort for all runs


def camcan(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return Cam-CAN's subjects."""
    from papers.camcan_cfg import camcan_layout  # here and below: readers take a second to import

    return camcan_layout.read(raw, config)


def camcan_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table and the volumes of Cam-CAN."""
    from papers.camcan_cfg import camcan_layout

    return camcan_layout.listing(raw).files


def bids(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the subjects of a cohort in BIDS."""
    from papers.camcan_cfg import bids_layout

    return bids_layout.read(raw, config)


def bids_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the tables and the volumes of a cohort in BIDS."""
    from papers.camcan_cfg import bids_layout

    return bids_layout.listing(raw).files


def lgg_flair(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the patients of LGG MRI Segmentation with their tumor-free slices."""
    from papers.camcan_cfg import lgg_layout

    return lgg_layout.read(raw, config)


def lgg_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the table, the slices and the masks of LGG MRI Segmentation."""
    from common.data import kaggle_lgg

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
        read=camcan,
        raw="sub-<Subject>_defaced_T1.nii.gz files and phenotype.csv (Subject, Age, Sex)",
        access="apply at https://camcan-archive.mrc-cbu.cam.ac.uk/dataaccess",
        files=camcan_files,
        license="Cam-CAN's data user agreement: for research, not to be passed on",
    ),
    "bids": Dataset(
        "your own T1 cohort",
        "your own cohort: T1-weighted MRI in BIDS, with age and sex",
        stand_in=True,
        read=bids,
        raw="participants.tsv (participant_id, age, sex or gender) and sub-*/anat/*_T1w.nii.gz",
        access="lay your own volumes out as BIDS (https://bids.neuroimaging.io)",
        files=bids_files,
        private=True,
    ),
    "lgg_flair": Dataset(
        "LGG MRI Segmentation, tumor-free FLAIR slices",
        "LGG MRI Segmentation: tumor-free FLAIR slices of glioma patients aged 20 to 75",
        stand_in=True,
        read=lgg_flair,
        raw="kaggle_3m with one folder a patient and data.csv",
        access="get https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation",
        files=lgg_files,
        license="CC BY-NC-SA 4.0; images of TCIA TCGA-LGG: CC BY 3.0",
    ),
    "simulated": Dataset(
        "simulated cohort from the MNI152 template",
        "simulated cohort from the MNI152 template: anatomy, aging and sex by published rates",
        stand_in=True,
        read=simulated,
        license="ICBM 152 template (McConnell Brain Imaging Centre): free to pass on with notice",
    ),
}
