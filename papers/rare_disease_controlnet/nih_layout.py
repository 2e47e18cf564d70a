"""ChestX-ray14 (Wang et al. 2017) as NIH publishes it: 112,120 frontal films of 30,805 patients.

    Data_Entry_2017.csv, or Data_Entry_2017_v2020.csv     one row a film; labels separated by |
    images/00000001_000.png                               1024 x 1024, or as the zips unpack:
    images_001/images/00000001_000.png                    … images_012
    train_val_list.txt, test_list.txt                     the official split, by patient
    BBox_List_2017.csv                                    boxes of 8 findings on 880 films

The labels were mined from reports by a program. The revised table comes before the first one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from common.data.finder import Seen, look, numeric, suffix
from common.data.raw import BadFile, existing
from common.data.tables import Row, is_known, read_table, read_text
from common.errors import InputError, nearest
from papers.rare_disease_controlnet.listing import Entry, Listing

PNG, NAME = (".png",), re.compile(r"[0-9]{8}_[0-9]{3}")
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
    seen = look(raw)
    there = {path.name.lower(): path for path in seen.beside(seen.root)}
    table = next((there[name.lower()] for name in TABLES if name.lower() in there), None)
    if table is None:
        raise InputError(f"--raw {raw}: no {TABLES[1]} there; give the folder that it lies in")
    listed = read_table(table, (FILE, LABELS, PATIENT, VIEW))
    rows = listed.by(FILE, _stem)
    images, misplaced = _images(seen)
    bad = [*seen.bad, *listed.bad]
    bad += [f"{seen.name(p)}: lies outside of images/ and images_001/images/" for p in misplaced]
    lists = {part: there[name] for part, name in LISTS.items() if name in there}
    if published and len(lists) < len(LISTS):
        raise InputError(
            f"--raw {raw}: data.split=published needs {' and '.join(LISTS.values())} there"
        )
    parts = _parts(lists) if len(lists) == len(LISTS) else {}
    entries = []
    for name, paths in images.items():
        try:
            row = rows.row(name)
            if len(paths) > 1:
                raise BadFile(f"lies there {len(paths)} times; keep one")
            part = parts.get(name, "")
            if published and part not in LISTS:
                raise BadFile(f"is in {part or 'none'} of the official lists, expected one")
            entries.append(_entry(row, paths[0], part if part in LISTS else ""))
        except BadFile as reason:
            bad.append(f"{seen.name(paths[-1])}: {reason}")
    order = {name: i for i, name in enumerate(rows)}
    entries.sort(key=lambda entry: order[entry.name])
    absent = [f"{name}.png: no such image" for name in rows if name not in images]
    films = [path for paths in images.values() for path in paths]
    ignored = seen.others([table, *lists.values(), *films, *misplaced])
    return Listing(
        entries, [table, *lists.values()], bad, absent, [f"labels of {table.name}"], ignored
    )


def boxes(raw: Path, size: int) -> dict[str, list[Box]]:
    """Return the boxes by film (its file's name without suffix), in pixels of films at `size`.

    There are none where there is no table of them. Raises `InputError` for a bad row.
    """
    table = existing(raw) / BOXES
    found: dict[str, list[Box]] = {}
    if not table.is_file():
        return found
    listed = read_table(table, (FILE, "Finding Label", *SIDES.values()))
    if listed.bad:
        raise InputError(f"{table.parent}: {listed.bad[0]}")
    for row in listed.rows:
        try:
            finding = _finding(RENAMED.get(row["Finding Label"], row["Finding Label"]))
            x, y, w, h = (_pixels(row, cut) for cut in SIDES.values())
            if x + w > PIXELS + 1 or y + h > PIXELS + 1:
                raise BadFile(f"its box reaches over the film's {PIXELS:g} pixels")
        except BadFile as reason:
            raise InputError(f"{table}: {row[FILE]}: {reason}") from None
        scale = size / PIXELS
        box = (finding, x * scale, y * scale, w * scale, h * scale)
        found.setdefault(Path(row[FILE]).stem, []).append(box)
    return found


def _images(seen: Seen) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the images of images/ and of images_001/images/ and so on, and those elsewhere.

    By name without suffix, in numeric order.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    misplaced = []
    for path in sorted((path for path in seen.files if suffix(path, PNG)), key=numeric):
        *above, folder = path.relative_to(seen.root).parts[:-1] or ("",)
        zipped = len(above) == 1 and above[0].lower().startswith("images_")
        if folder.lower() == "images" and (zipped or not above):
            found[path.stem].append(path)
        elif NAME.fullmatch(path.stem):
            misplaced.append(path)
    if not found:
        raise InputError(f"--raw {seen.root}: no PNG in images/ or images_001/images/ there")
    return found, misplaced


def _parts(lists: dict[str, Path]) -> dict[str, str]:
    """Return the part of every film of the official lists, "both" where it is in both."""
    parts: dict[str, str] = {}
    for part, path in lists.items():
        for film in map(_stem, read_text(path).split()):
            parts[film] = part if parts.get(film, part) == part else "both"
    return parts


def _stem(film: str) -> str:
    return film[:-4] if film.lower().endswith(PNG) else film


def _pixels(row: Row, column: str) -> float:
    return row.needed(column, row.number(column, 0.0, PIXELS))


def _entry(row: Row, file: Path, part: str) -> Entry:
    """Return a film as its row says, or raise `BadFile` where that cannot be."""
    findings = tuple(_finding(label.strip()) for label in row[LABELS].split("|"))
    if NORMAL in findings and len(findings) > 1:
        raise BadFile(f"{LABELS} {row[LABELS]!r}: {NORMAL} beside a finding")
    patient, named = row[PATIENT], file.stem.partition("_")[0]
    if not patient.isdecimal() or not named.isdecimal() or int(patient) != int(named):
        raise BadFile(f"{PATIENT} {patient!r} is not the one of its name")
    view = row[VIEW] if is_known(row[VIEW]) else ""
    if view not in ("AP", "PA", ""):
        raise BadFile(f"{VIEW} {view!r}, expected AP or PA")
    findings = () if findings == (NORMAL,) else tuple(dict.fromkeys(findings))
    return Entry(file.stem, f"{int(patient):08d}", file, findings, view, part)


def _finding(label: str) -> str:
    if label not in (*FINDINGS, NORMAL):
        raise BadFile(f"has the label {label!r}; {nearest(label, (*FINDINGS, NORMAL))}")
    return label
