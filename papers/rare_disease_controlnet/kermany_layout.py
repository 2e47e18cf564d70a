"""Chest films of children (Kermany, Zhang, Goldbaum 2018) in the published layout.

    chest_xray/train/NORMAL/IM-0115-0001.jpeg, NORMAL2-IM-0592-0001.jpeg
    chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg, person1000_virus_1681.jpeg
    chest_xray/test/…, and on Kaggle chest_xray/val/… with 16 films, which are the train part's

A patient is the number behind "person", or what begins with IM- up to its number. Numbers of
bacterial and of viral films, and of train and test, are taken as one person's: nobody says whether
they were counted apart. So what `leak` counts is the most that there can be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from common.data.finder import IMAGES, OTHER, SECOND, Seen, look, numeric, size, suffix
from common.data.user_files import shown
from common.errors import InputError
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.gray_film import JPEG, PNG
from papers.rare_disease_controlnet.listing import Entry, Listing

FOLDERS = {"train": "train", "val": "train", "test": "test"}  # the part of each
NORMAL, PNEUMONIA = "NORMAL", "PNEUMONIA"
KINDS = {"bacteria": "bacterial pneumonia", "virus": "viral pneumonia"}
NAMES = {
    NORMAL: re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)(-\d+)+"),
    PNEUMONIA: re.compile(r"(?P<patient>person\d+)_(?P<kind>bacteria|virus)_\d+"),
}


def listing(raw: Path) -> Listing:
    """Return the films, given chest_xray or a folder around it.

    Bad are images that are not named as published, have another's name, or lie elsewhere. Raises
    `InputError` where train or test, or a class of them, is missing or empty.
    """
    seen = look(raw)
    root = _root(seen)
    entries, bad, files = [], list(seen.bad), set[Path]()
    for folder, part in FOLDERS.items():
        place = seen.only(seen.folders(root), folder)
        if place is None and folder == "val":
            continue
        for label, pattern in NAMES.items():
            films = _films(seen, place or root / folder, label)
            files.update(films)
            for file in films:
                match = pattern.fullmatch(file.stem)
                if match is None:
                    example = "IM-<n>-<n>" if label == NORMAL else "person<n>_bacteria_<n>"
                    bad.append(f"{shown(file, root)}: not named as published, {example}")
                    continue
                findings = (KINDS[match["kind"]],) if label == PNEUMONIA else ()
                entries.append(Entry(file.stem, match["patient"], file, findings, "AP", part))
    misplaced = _elsewhere(seen, files)
    where = "lies outside of NORMAL/ and PNEUMONIA/, or is no JPEG or PNG; remove it"
    bad += [f"{seen.name(path)}: {where}" for path in misplaced]
    counts = Counter(entry.name for entry in entries)
    bad += [
        f"{shown(entry.file, root)}: another film has this name; keep one"
        for entry in entries
        if counts[entry.name] > 1
    ]
    entries = [entry for entry in entries if counts[entry.name] == 1]
    shared = leak(entries)
    note = f"{shared['both']} of {shared['patients']} patients in the published train and test part"
    used = files.union(misplaced)
    ignored = seen.others(used, lambda path: SECOND if suffix(path, IMAGES) else OTHER)
    return Listing(entries, bad=bad, notes=[note], ignored=ignored)


def leak(films: Iterable[Entry | Film]) -> dict[str, int]:
    """Return how many patients there are, in each published part, and in both.

    `test_films` and `leaked_test_films` count the films of the test part, and those of them that
    are of patients whose other films are in the train part.
    """
    films = list(films)
    train = {film.patient for film in films if film.part == "train"}
    test = [film.patient for film in films if film.part == "test"]
    return {
        "patients": len(train | {*test}),
        "train": len(train),
        "test": len({*test}),
        "both": len(train & {*test}),
        "test_films": len(test),
        "leaked_test_films": sum(patient in train for patient in test),
    }


def _root(seen: Seen) -> Path:
    root: Path | None = seen.root
    while root is not None and seen.only(seen.folders(root), "train") is None:
        root = seen.only(seen.folders(root), "chest_xray")
    if root is None:
        raise InputError(f"--raw {seen.root}: no chest_xray there with train/ and test/")
    return root


def _films(seen: Seen, folder: Path, label: str) -> list[Path]:
    place = seen.only(seen.folders(folder), label)
    if place is None:
        raise InputError(f"{folder / label}: no such folder; give chest_xray whole")
    films = [path for path in seen.beside(place) if suffix(path, JPEG + PNG)]
    if not films:
        raise InputError(f"{place}: no JPEG there")
    return sorted(films, key=numeric)


def _elsewhere(seen: Seen, films: set[Path]) -> list[Path]:
    """Return which images lie outside of the classes' folders, or are of another kind.

    But not those that are there a second time, as Kaggle's archive has them.
    """
    sizes = {path.name: size(path) for path in films}
    rest = [path for path in seen.files if suffix(path, IMAGES) and path not in films]
    return [path for path in rest if sizes.get(path.name) != size(path)]
