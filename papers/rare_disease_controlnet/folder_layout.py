"""The user's own films: a folder for each class, below it PNG, JPEG or DICOM files.

    normal/0007.png                    "normal" or "no finding"; any other name is a finding's
    pneumothorax/ann/film_1.jpg        with a folder for each patient
    pneumothorax/bob_1.png             without: the name up to the first "_", or all of it
    pneumothorax/IM0003                DICOM without a suffix; the header's PatientID

A patient is the first folder below the class where there is one, whatever class it is in; else the
PatientID of a DICOM file; else the file's name up to the first "_", or all of it where it has none.

Names of files and patients are not kept: films and patients are called by hashes of them. A hash
is a pseudonym: who has a list of ids can find the one that it is of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from common.data.raw import BadFile, existing
from common.data.user_files import shown
from common.errors import InputError
from papers.rare_disease_controlnet import dicom
from papers.rare_disease_controlnet.gray_film import is_film
from papers.rare_disease_controlnet.listing import Entry, Listing, inside

NORMAL = ("normal", "no finding")
# Images of other kinds are named, so that none is left out without a word; other files are not.
OTHERS = (".bmp", ".gif", ".heic", ".jp2", ".nii", ".tif", ".tiff", ".webp")


def listing(raw: Path) -> Listing:
    """Return the films of all class folders.

    Raises `InputError` where there is no class folder, none with a finding, or not one film.
    """
    raw = existing(raw)
    classes = [path for path in inside(raw) if path.is_dir()]
    if not classes:
        raise InputError(f"--raw {raw}: no folder there; give one for each class, as normal/")
    entries, bad = [], []
    for path in inside(raw):
        if path.is_file() and is_film(path):
            bad.append(f"{path.name}: lies beside the class folders; put it into one")
    for folder in classes:
        finding = " ".join(folder.name.replace("_", " ").split()).lower()
        findings = () if finding in NORMAL else (folder.name,)
        for file in _below(folder):
            try:
                if file.suffix.lower() in OTHERS:
                    raise BadFile("is no PNG, JPEG or DICOM file; save it as one of these")
                if is_film(file):
                    entries.append(_entry(file, folder, findings))
            except BadFile as reason:
                bad.append(f"{shown(file, raw)}: {reason}")
    if not entries and not bad:
        raise InputError(f"--raw {raw}: no PNG, JPEG or DICOM file in its folders")
    if not any(entry.findings for entry in entries) and not bad:
        raise InputError(f"--raw {raw}: no folder but normal; give one for each finding")
    return Listing(entries, bad=bad)


def _entry(file: Path, folder: Path, findings: tuple[str, ...]) -> Entry:
    below = file.relative_to(folder).parts
    header, view = dicom.identity(file) if dicom.is_dicom(file) else ("", "")
    patient = below[0] if len(below) > 1 else header or file.stem.partition("_")[0] or file.stem
    name = file.relative_to(folder.parent).as_posix()
    return Entry(_hashed("film", name), _hashed("patient", patient), file, findings, view)


def _hashed(kind: str, name: str) -> str:
    return f"{kind}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}"


def _below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files of a folder and below, through linked folders too, but not in circles."""
    if folder.resolve() in above:
        return
    for path in inside(folder):
        if path.is_dir():
            yield from _below(path, (*above, folder.resolve()))
        elif path.is_file():
            yield path
