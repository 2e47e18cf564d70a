"""One's own cohort in BIDS: participants.tsv, and a T1-weighted volume of every subject.

    participants.tsv                              participant_id, age, sex (or gender)
    participants.json                             optional: what codes of sex mean (Levels)
    sub-01/anat/sub-01_T1w.nii.gz                 or sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz

Of several volumes of a subject the first session's first one is read. Volumes lie as their
headers say, in any order of their axes: see `placement`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from common import terminal
from common.data.copies import Copies
from common.data.finder import OTHER, OUTSIDE, Seen, look, numeric
from common.data.prepared import Reading
from common.data.raw import BadFile
from common.data.shelf import kept
from common.data.tables import NUMBER, Row, Table, alike, is_known, read_table
from common.data.volumes import read_placed
from common.errors import InputError
from common.structured import read_json
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.intensities import as_images
from papers.camcan_cfg.layout import SubjectSlices, slice_numbers
from papers.camcan_cfg.placement import place

TABLE, MEANINGS, ID = "participants.tsv", "participants.json", "participant_id"
AGES = ("age", "age_years", "age_at_scan")
SEXES = ("sex", "gender", "gender_text", "gender_code")
NEITHER = ("o", "other", "x", "d", "diverse", "nonbinary", "non-binary", "intersex")
VOLUME = re.compile(r"sub-([^_]+)(_.+)?_T1w\.nii(\.gz)?", re.IGNORECASE)
ANY_VOLUME = re.compile(r".+_T1w\.nii(\.gz)?", re.IGNORECASE)
CONTRAST = "_ce-"  # in the name of a volume with a contrast agent, which is another image
AGAIN, ENHANCED = "of a later session or run", "with a contrast agent"


@dataclass(frozen=True)
class Listing:
    """What a folder holds; strings of `bad` and `ignored` are "name: reason"."""

    tables: list[Path]  # participants.tsv, and what says its codes where it is there
    volumes: dict[str, Path]  # by subject, without sub-
    refused: frozenset[str]  # subjects that are there and bad
    bad: list[str]
    ignored: list[str]

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        return [*self.tables, *self.volumes.values()]


def listing(raw: Path) -> Listing:
    """Return the tables and a volume of every subject, given the folder of participants.tsv.

    Raises `InputError` where there is no table or not one volume.
    """
    seen = look(raw)
    tables = _tables(seen)
    found: dict[str, list[Path]] = defaultdict(list)
    reasons: dict[Path, str] = {}
    bad = list(seen.bad)
    for path in sorted(seen.files, key=numeric):
        subject = _subject_of(path, seen.root)
        if subject is None or not ANY_VOLUME.fullmatch(path.name):
            outside = subject is None and ANY_VOLUME.fullmatch(path.name)
            reasons[path] = OUTSIDE if outside else OTHER
        elif CONTRAST in path.name:
            reasons[path] = ENHANCED
        elif (match := VOLUME.fullmatch(path.name)) and match[1] == subject:
            found[subject].append(path)
        else:
            bad.append(f"{seen.name(path)}: named as another subject's; it lies in sub-{subject}")
            reasons[path] = ""
    if not found and not bad:
        raise InputError(f"--raw {seen.root}: no sub-*/anat/sub-*_T1w.nii.gz there")
    others = alike(found)
    bad += [
        f"sub-{one}: sub-{others[one]} is there too; keep one" for one in found if one in others
    ]
    volumes = {one: paths[0] for one, paths in found.items() if one not in others}
    reasons |= {path: AGAIN for paths in found.values() for path in paths[1:]}
    taken = [*tables, *(paths[0] for paths in found.values()),
             *(path for path, reason in reasons.items() if not reason)]  # fmt: skip
    return Listing(tables, volumes, frozenset(others), bad, seen.others(taken, reasons.__getitem__))


def read(raw: Path, config: DataConfig) -> Reading[SubjectSlices]:
    """Return the subjects of the table that have a volume, an age and a sex, in its order."""
    found = listing(raw)
    people = _People.of(found)
    rows, copies = people.table.by(ID, _without_prefix), Copies()
    subjects: list[SubjectSlices] = []
    absent, bad, by_header = list[str](), [*found.bad, *people.table.bad], 0
    unlisted = [name for name in found.volumes if name not in set(rows)]
    for name in tqdm([*rows, *unlisted], "reading", unit="subject", delay=2, disable=None):
        path = found.volumes.get(name)
        if name in found.refused:
            continue
        if path is None:
            absent.append(f"sub-{name}: no anat/*_T1w.nii.gz")
            continue
        try:
            row = rows.row(name)
            age, sex = people.age(row), people.sex(row)
            if age is None or sex is None:
                missing = "age" if age is None else "sex that is female or male"
                absent.append(f"sub-{name}: no {missing} in {TABLE}")
                continue
            numbers = slice_numbers(config.slices)
            placed = place(read_placed(path), numbers, config.levels)
            one = SubjectSlices(name, age, sex, numbers, as_images(placed.slices, config))
            if (first := copies.first(path.name, one.images)) != path.name:
                raise BadFile(f"shows the same as {first}; keep one")
            subjects.append(kept(one))
            by_header += placed.by_header
        except BadFile as reason:
            bad.append(f"{path.name}: {reason}")
    own = len(subjects) - by_header
    how = {"head": "the head's crown", "middle": "the volume's middle"}[config.levels]
    terminal.note(f"levels of {by_header} volumes by template space, of {own} by {how}")
    return Reading(subjects, bad, absent, found.ignored)


@dataclass(frozen=True)
class _People:
    """The table of participants: the names of its columns, and what its codes of sex mean."""

    table: Table
    age_column: str
    sex_column: str
    meanings: Mapping[str, str]  # of codes of sex, by code

    @staticmethod
    def of(found: Listing) -> "_People":
        """Return the table; raises `InputError` where a column is missing, or ages are no years."""
        path = found.tables[0]
        table = read_table(path, (ID,), (*AGES, *SEXES))
        there = table.rows[0].cells if table.rows else {}
        age, sex = (next((name for name in names if name in there), "") for names in (AGES, SEXES))
        for name, names in ((age, AGES), (sex, SEXES)):
            if not name:
                raise InputError(f"{path}: no column {' or '.join(names)}; name one of them so")
        said = {key.lower(): value for key, value in _said(found.tables[1:]).items()}
        units = str(said.get(age, {}).get("Units", "years"))
        if not units.lower().startswith("y"):
            raise InputError(f"{found.tables[1]}: {age} has Units {units!r}; give ages in years")
        levels = said.get(sex, {}).get("Levels", {})
        meanings = levels if isinstance(levels, dict) else {}
        return _People(table, age, sex, {key: _word(text) for key, text in meanings.items()})

    def age(self, row: Row) -> float | None:
        """Return the age in years, None where it is not known."""
        return row.number(self.age_column, 0.0, 120.0)

    def sex(self, row: Row) -> int | None:
        """Return 1 (female) or 2 (male), None where it is not known or another."""
        text = row[self.sex_column]
        word = self.meanings.get(text, text)
        if NUMBER.fullmatch(word):
            raise BadFile(
                f"{self.sex_column} is {word}, a code whose meaning {MEANINGS} does not say "
                f"(Levels); write F or M (line {row.line} of {row.table})"
            )
        if word.lower() in NEITHER or not is_known(word):
            return None
        return Row(row.table, row.line, {self.sex_column: word}).sex(self.sex_column)


def _word(text: object) -> str:
    """Return the first word of what a code means."""
    return str(text).strip().partition(" ")[0].rstrip(",;.")


def _said(files: list[Path]) -> dict[str, dict[str, object]]:
    content = read_json(files[0]) if files else {}
    return {name: value for name, value in content.items() if isinstance(value, dict)}


def _tables(seen: Seen) -> list[Path]:
    beside = seen.beside(seen.root)
    table = seen.only(beside, TABLE)
    if table is None:
        raise InputError(
            f"--raw {seen.root}: no {TABLE} there; give the folder that holds it and sub-*"
        )
    meanings = seen.only(beside, MEANINGS)
    return [table, *([meanings] if meanings else [])]


def _subject_of(path: Path, root: Path) -> str | None:
    """Return whose folder of anatomy a file lies in, without sub-; None if in no such folder."""
    parts = path.relative_to(root).parts[:-1]
    session = len(parts) == 3 and parts[1].startswith("ses-")
    if (session or len(parts) == 2) and parts[0].startswith("sub-") and parts[-1] == "anat":
        return parts[0].removeprefix("sub-")
    return None


def _without_prefix(name: str) -> str:
    return name.removeprefix("sub-")
