"""Cam-CAN in the published layout: one NIfTI volume a subject and phenotype.csv."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.data.copies import Copies
from common.data.finder import MISNAMED, OTHER, Seen, look, suffix
from common.data.prepared import Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from common.data.tables import Row, alike, read_table
from common.data.volumes import read_turned
from common.errors import InputError
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.intensities import as_images
from papers.camcan_cfg.layout import SubjectSlices

TABLE = "phenotype.csv"
LYING = "LAS"  # how NIfTI volumes lie unless their header says otherwise; slices are axial
FILE = "sub-{}_defaced_T1.nii.gz"
NAME = re.compile(r"sub-(.+)_defaced_T1\.nii(\.gz)?", re.IGNORECASE)
VOLUMES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Listing:
    """What a folder holds; strings of `bad` and `ignored` are "name: reason"."""

    table: Path
    volumes: dict[str, Path]  # by subject
    refused: frozenset[str]  # subjects that are there and bad
    bad: list[str]
    ignored: list[str]

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [self.table, *self.volumes.values()]


def listing(raw: Path) -> Listing:
    """Return phenotype.csv and the volumes, in any folders; the table may also lie beside them.

    Raises `InputError` where there is no table or not one volume.
    """
    seen = look(raw)
    table, volumes = _table(seen), defaultdict(list)
    for path in sorted(seen.files):
        if match := NAME.fullmatch(path.name):
            volumes[match[1]].append(path)
    if not volumes:
        raise InputError(f"--raw {seen.root}: no {FILE.format('<Subject>')} there")
    others, refused, kept = alike(volumes), {}, {}
    for name, paths in volumes.items():
        if len(paths) > 1:
            places = " and ".join(map(seen.name, paths))
            refused[name] = f"has {len(paths)} volumes, {places}; keep one"
        elif name in others:
            there = seen.name(volumes[others[name]][0])
            refused[name] = f"{there} is there too; keep one, or name them apart"
        else:
            kept[name] = paths[0]
    met = [path for paths in volumes.values() for path in paths]
    ignored = seen.others([table, *met], lambda one: MISNAMED if suffix(one, VOLUMES) else OTHER)
    bad = [*seen.bad, *(f"{name}: {reason}" for name, reason in refused.items())]
    return Listing(table, kept, frozenset(refused), bad, ignored)


def read(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the subjects of the table that have a volume, in the table's order, as the source."""
    found = listing(raw)
    table = read_table(found.table, ("Subject", "Age", "Sex"))
    rows, copies = table.by("Subject"), Copies()
    subjects: list[SubjectSlices] = []
    absent, bad = [], [*found.bad, *table.bad]
    for name in tqdm(rows, "reading Cam-CAN", unit="subject", delay=2, disable=None):
        path = found.volumes.get(name)
        if name in found.refused:
            continue
        if path is None:
            absent.append(f"{name}: no {FILE.format(name)}")
            continue
        try:
            subject = _subject(name, rows.row(name), path, config)
            if (first := copies.first(path.name, subject.images)) != path.name:
                raise BadFile(f"shows the same as {first}; keep one")
            subjects.append(kept(subject))
        except BadFile as reason:
            bad.append(f"{path.name}: {reason}")
    known = set(rows)
    for name, path in found.volumes.items():
        if name not in known:
            try:
                rows.row(name)
            except BadFile as reason:
                bad.append(f"{path.name}: {reason}")
    return Reading(subjects, bad, absent, found.ignored)


def _table(seen: Seen) -> Path:
    inside, beside = seen.only(seen.beside(seen.root), TABLE), seen.root.parent / TABLE
    if inside is None and not beside.is_file():
        raise InputError(f"--raw {seen.root}: no {TABLE} (columns Subject, Age, Sex) there")
    return inside or beside


def _subject(name: str, row: Row, path: Path, config: DataConfig) -> SubjectSlices:
    age = row.needed("Age", row.number("Age", 0.0, 120.0))
    sex = row.needed("Sex", row.sex("Sex"))
    volume = read_turned(path, LYING)
    first = volume.shape[2] // 2 - config.slices // 2
    if first < 0 or first + config.slices > volume.shape[2]:
        raise BadFile(f"has {volume.shape[2]} axial slices, {config.slices} are used")
    numbers = np.arange(first, first + config.slices)
    slices = np.moveaxis(volume[:, :, numbers], 2, 0)
    return SubjectSlices(name, age, sex, numbers, as_images(slices, config))
