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
from collections.abc import Sequence
from pathlib import Path

from common.data.dicom import holds_dicom
from common.data.finder import Seen, look, numeric, suffix
from common.data.raw import BadFile
from common.data.tables import alike
from common.errors import InputError
from papers.rare_disease_controlnet import dicom
from papers.rare_disease_controlnet.gray_film import is_film
from papers.rare_disease_controlnet.listing import Entry, Listing

NORMAL = ("normal", "no finding")
# Images of other kinds are named, so that none is left out without a word; other files are not.
OTHERS = (".bmp", ".gif", ".heic", ".jp2", ".nii", ".tif", ".tiff", ".webp")


def listing(raw: Path) -> Listing:
    """Return the films of all class folders.

    Raises `InputError` where there is no class folder, none with a finding, two of one class, or
    not one film.
    """
    seen = look(raw)
    classes = sorted(seen.folders(seen.root), key=numeric)
    if not classes and not seen.bad:
        raise InputError(f"--raw {seen.root}: no folder there; give one for each class, as normal/")
    findings = _findings(seen, classes)
    bad, faulty = list(seen.bad), []
    patients: dict[Path, tuple[str, str]] = {}  # of each film the patient, and the view
    for file in sorted(seen.files, key=numeric):
        try:
            if suffix(file, OTHERS):
                raise BadFile("is no PNG, JPEG or DICOM file; save it as one of these")
            if not is_film(file):
                continue
            if file.parent == seen.root:
                raise BadFile("lies beside the class folders; put it into one")
            patients[file] = _patient(file, _class(file, seen))
        except BadFile as reason:
            faulty.append(file)
            bad.append(f"{seen.name(file)}: {reason}")
    spelled = alike(patient for patient, _ in patients.values())
    entries = []
    for file, (patient, view) in patients.items():
        folder = _class(file, seen)
        if patient in spelled:
            both = f"{patient!r} is {spelled[patient]!r} elsewhere; write it alike"
            bad.append(f"{seen.name(file)}: its patient {both}")
        name = _hashed("film", file.relative_to(seen.root).as_posix())
        entries.append(Entry(name, _hashed("patient", patient), file, findings[folder], view))
    entries = [entry for entry in entries if patients[entry.file][0] not in spelled]
    if not entries and not bad:
        raise InputError(f"--raw {seen.root}: no PNG, JPEG or DICOM file in its folders")
    if not any(entry.findings for entry in entries) and not bad:
        raise InputError(f"--raw {seen.root}: no folder but normal; give one for each finding")
    used = {_class(file, seen) for file in patients}
    ignored = [f"{folder.name}: without a film" for folder in classes if folder not in used]
    return Listing(entries, bad=bad, ignored=[*seen.others([*patients, *faulty]), *ignored])


def _findings(seen: Seen, classes: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
    """Return what the films of each class folder show."""
    known: dict[str, Path] = {}
    findings: dict[Path, tuple[str, ...]] = {}
    for folder in classes:
        name = " ".join(folder.name.replace("_", " ").split()).lower()
        if known.setdefault(name, folder) != folder:
            raise InputError(
                f"--raw {seen.root}: {known[name].name}/ and {folder.name}/ are one class; keep one"
            )
        findings[folder] = () if name in NORMAL else (folder.name,)
    return findings


def _class(file: Path, seen: Seen) -> Path:
    return seen.root / file.relative_to(seen.root).parts[0]


def _patient(file: Path, folder: Path) -> tuple[str, str]:
    """Return whose film it is, and its view, empty where nobody says."""
    below = file.relative_to(folder).parts
    header, view = dicom.identity(file) if holds_dicom(file) else ("", "")
    name = file.stem.partition("_")[0] or file.stem
    return (below[0] if len(below) > 1 else header or name), view


def _hashed(kind: str, name: str) -> str:
    return f"{kind}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}"
