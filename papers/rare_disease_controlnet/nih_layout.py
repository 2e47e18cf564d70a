"""ChestX-ray14 (Wang et al. 2017) as NIH publishes it: 112,120 frontal films of 30,805 patients.

    Data_Entry_2017.csv, or Data_Entry_2017_v2020.csv     one row a film; labels separated by |
    images/00000001_000.png                               1024 x 1024, or as the zips unpack:
    images_001/images/00000001_000.png                    … images_012
    train_val_list.txt, test_list.txt                     the official split, by patient
    BBox_List_2017.csv                                    boxes of 8 findings on 880 films

The labels were mined from reports by a program. The revised table comes before the first one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from common.data.raw import BadFile, existing, number, read_table
from common.data.user_files import shown
from common.errors import InputError, nearest
from papers.rare_disease_controlnet.listing import Entry, Listing, inside

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
FILE, LABELS, PATIENT, VIEW = "Image Index", "Finding Labels", "Patient ID", "View Position"
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
BOXES = "BBox_List_2017.csv"
SIDES = {"x": "Bbox [x", "y": "y", "w": "w", "h": "h]"}  # as commas cut the table's header
PIXELS = 1024.0  # a side, on which the boxes are given
NORMAL = "No Finding"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
RENAMED = {"Infiltrate": "Infiltration"}  # of the table of boxes

Box = tuple[str, float, float, float, float]  # finding, left, top, width, height


def listing(raw: Path, published: bool = False) -> Listing:
    """Return the films of the table that are there; `published` asks for the official split.

    Without the official lists films have no part. Raises `InputError` where there is no table or
    not one image, and where `published` is asked for and a list is missing.
    """
    raw = existing(raw)
    table = next((raw / name for name in TABLES if (raw / name).is_file()), None)
    if table is None:
        raise InputError(f"--raw {raw}: no {TABLES[1]} there; give the folder that it lies in")
    rows = read_table(table, (FILE, LABELS, PATIENT, VIEW))
    images = _images(raw)
    lists = [raw / name for name in LISTS.values() if (raw / name).is_file()]
    if published and len(lists) < len(LISTS):
        raise InputError(
            f"--raw {raw}: data.split=published needs {' and '.join(LISTS.values())} there"
        )
    parts = _parts(raw) if len(lists) == len(LISTS) else {}
    counts = Counter(path.name for path in images)
    there = {path.name: path for path in images}
    rows_of = Counter(row[FILE] for row in rows)
    entries, bad = [], []
    bad += [f"{shown(p, raw)}: no row in {table.name}" for p in images if p.name not in rows_of]
    for row in {row[FILE]: row for row in rows}.values():
        if row[FILE] not in there:
            continue
        try:
            if counts[row[FILE]] > 1:
                raise BadFile(f"lies there {counts[row[FILE]]} times; keep one")
            if rows_of[row[FILE]] > 1:
                raise BadFile(f"has {rows_of[row[FILE]]} rows in {table.name}; keep one")
            part = parts.get(row[FILE], "")
            if published and part not in LISTS:
                raise BadFile(f"is in {part or 'none'} of the official lists, expected one")
            part = part if part in LISTS else ""
            entries.append(_entry(row, there[row[FILE]], part))
        except BadFile as reason:
            bad.append(f"{shown(there[row[FILE]], raw)}: {reason}")
    absent = [f"{name}: no such image" for name in rows_of if name not in there]
    return Listing(entries, [table, *lists], bad, absent, [f"labels of {table.name}"])


def boxes(raw: Path, size: int) -> dict[str, list[Box]]:
    """Return the boxes by film (its file's name without suffix), in pixels of films at `size`.

    There are none where there is no table of them. Raises `InputError` for a bad row.
    """
    table = existing(raw) / BOXES
    found: dict[str, list[Box]] = {}
    if not table.is_file():
        return found
    for row in read_table(table, (FILE, "Finding Label", *SIDES.values())):
        try:
            finding = _finding(RENAMED.get(row["Finding Label"], row["Finding Label"]))
            x, y, w, h = (number(row[cut], n, 0.0, PIXELS) for n, cut in SIDES.items())
            if x + w > PIXELS + 1 or y + h > PIXELS + 1:
                raise BadFile(f"its box reaches over the film's {PIXELS:g} pixels")
        except BadFile as reason:
            raise InputError(f"{table}: {row[FILE]}: {reason}") from None
        scale = size / PIXELS
        box = (finding, x * scale, y * scale, w * scale, h * scale)
        found.setdefault(Path(row[FILE]).stem, []).append(box)
    return found


def _images(raw: Path) -> list[Path]:
    """Return the images of images/ and of images_001/images/ and so on."""
    folders = [raw / "images", *(path / "images" for path in sorted(raw.glob("images_*")))]
    images = [
        path
        for folder in folders
        if folder.is_dir()
        for path in inside(folder)
        if path.suffix.lower() == ".png" and path.is_file()
    ]
    if not images:
        raise InputError(f"--raw {raw}: no PNG in images/ or images_001/images/ there")
    return images


def _parts(raw: Path) -> dict[str, str]:
    """Return the part of every film of the official lists, "both" where it is in both."""
    parts: dict[str, str] = {}
    for part, name in LISTS.items():
        try:
            films = (raw / name).read_text(encoding="utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{raw / name}: cannot be read as text ({error})") from None
        for film in films:
            parts[film] = part if parts.get(film, part) == part else "both"
    return parts


def _entry(row: dict[str, str], file: Path, part: str) -> Entry:
    """Return a film as its row says, or raise `BadFile` where that cannot be."""
    findings = tuple(_finding(label.strip()) for label in row[LABELS].split("|"))
    if NORMAL in findings and len(findings) > 1:
        raise BadFile(f"{LABELS} {row[LABELS]!r}: {NORMAL} beside a finding")
    patient, named = row[PATIENT], file.stem.partition("_")[0]
    if not patient.isdecimal() or not named.isdecimal() or int(patient) != int(named):
        raise BadFile(f"{PATIENT} {patient!r} is not the one of its name")
    if row[VIEW] not in ("AP", "PA", ""):
        raise BadFile(f"{VIEW} {row[VIEW]!r}, expected AP or PA")
    findings = () if findings == (NORMAL,) else tuple(dict.fromkeys(findings))
    return Entry(file.stem, f"{int(patient):08d}", file, findings, row[VIEW], part)


def _finding(label: str) -> str:
    if label not in (*FINDINGS, NORMAL):
        raise BadFile(f"has the label {label!r}; {nearest(label, (*FINDINGS, NORMAL))}")
    return label
