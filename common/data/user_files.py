"""Users' own files: found at --input, checked, and what is made of them written below --out."""

import csv
import filecmp
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import imageio.v3 as imageio
import numpy as np
import tifffile
from jaxtyping import Shaped, UInt8
from tqdm import tqdm

from common import outputs, terminal
from common.data.finder import COPIED, COPY, DRAWN, MADE, Account, Listing, look, numeric
from common.data.raw import BadFile, refusal
from common.errors import InputError
from common.text import cells

TIFF = (".tif", ".tiff")

Looked = TypeVar("Looked")


@dataclass(frozen=True)
class Checked(Generic[Looked]):
    """Files of the input, each with what was seen in it, and the account of all that lay there."""

    files: list[tuple[Path, Looked]]
    account: Account


class Rows(list[dict[str, Any]]):
    """What was predicted, a row for each file, with the account of all that lay in the input."""

    def __init__(self, rows: Iterable[dict[str, Any]], account: Account):
        super().__init__(rows)
        self.account = account


@dataclass(frozen=True)
class Kinds:
    """Which files a study reads, and how the names end of what it makes of them.

    `nameless` tells by the content a file that may be read whatever its name is.
    """

    suffixes: tuple[str, ...]  # in lower case, a longer one before its end: .nii.gz, .nii
    made: tuple[str, ...]  # never read from a folder
    drawn: tuple[str, ...] = ()  # never read: what people drew on a scan, as names end in any case
    nameless: Callable[[Path], bool] = lambda _: False

    def suffix(self, file: Path) -> str:
        """Return a file's suffix as it is written, all of .nii.gz; empty where it has none."""
        ends = [end for end in self.suffixes if file.name.lower().endswith(end)]
        return file.name[-len(ends[0]) :] if ends else ""

    def output(self, file: Path, source: Path, out: Path, end: str) -> Path:
        """Return where something made of `file` goes: below `out` as `file` is below `source`."""
        root = source if source.is_dir() else source.parent
        name = file.name.removesuffix(self.suffix(file)) + end
        return out / file.relative_to(root).with_name(name)

    def find(self, source: Path) -> Listing[Path]:
        """Return the file at `source`, or all in the folder and below, in numeric order of names.

        Ignored are names that end as what is made here does, and copies of a file beside them.
        Raises `InputError` where there is none.
        """
        kinds = ", ".join(self.suffixes)
        if source.is_file():
            if not self._readable(source):
                raise InputError(f"--input {source}: not a scan by its name; give one of {kinds}")
            if self._is_drawn(source):
                raise InputError(f"--input {source}: {DRAWN} by its name; give the scan itself")
            return Listing([source], [source], [], [])
        if not source.is_dir():
            raise InputError(f"--input {source}: no such file or folder")
        seen = look(source, "--input")
        made = {path: MADE for path in seen.files if self._is_made(path)}
        made |= {path: DRAWN for path in seen.files if self._is_drawn(path)}
        found = [path for path in seen.files if path not in made and self._readable(path)]
        copies = self._copies(found)
        ignored = seen.others([*found, *made]) + [
            f"{seen.name(p)}: {why}" for p, why in made.items()
        ]
        ignored += [f"{seen.name(p)}, as {seen.name(of)}: {COPIED}" for p, of in copies.items()]
        found = sorted((path for path in found if path not in copies), key=numeric)
        if not found:
            account = Account(0, tuple(seen.bad), tuple(ignored))
            listed = "".join(f"\n  {line}" for line in seen.bad)
            raise InputError(
                f"--input {source}: no scan there; give a folder with {kinds} ({account}){listed}"
            )
        return Listing([source / path.relative_to(seen.root) for path in found], found, seen.bad,
                       ignored)  # fmt: skip

    def checked(
        self, source: Path, look: Callable[[Path], Looked], skip_bad: bool = False
    ) -> Checked[Looked]:
        """Return the files found at `source`, each with what `look` says of it; say their number.

        Raises:
            InputError: no file is there, or some are bad: `look` raised `BadFile`, or a folder
                cannot be entered (all are listed) and `skip_bad` is off: with it they are left
                out, and said on stderr.
        """
        listing = self.find(source)
        found, bad = [], list(listing.bad)
        for file in tqdm(listing.entries, "checking", unit="file", delay=2, disable=None):
            try:
                found.append((file, look(file)))
            except BadFile as reason:
                bad.append(f"{shown(file, source)}: {reason}")
        account = Account(len(listing.files), tuple(bad), tuple(listing.ignored))
        terminal.note(f"--input {source}: {account}")
        if bad and (not skip_bad or not found):
            raise refusal(f"--input {source}", bad)
        if bad:
            terminal.note(f"skipped {len(bad)} bad files: {', '.join(bad)}")
        return Checked(found, account)

    def _readable(self, file: Path) -> bool:
        return bool(self.suffix(file)) or self.nameless(file)

    def _is_made(self, file: Path) -> bool:
        return file.name.removesuffix(self.suffix(file)).endswith(self.made)

    def _is_drawn(self, file: Path) -> bool:
        return file.name.removesuffix(self.suffix(file)).lower().endswith(self.drawn)

    def _copies(self, files: Sequence[Path]) -> dict[Path, Path]:
        """Return which files are copies by name and content, and of which file beside them."""
        there, copies = set(files), {}
        for file in files:
            end = self.suffix(file)
            match = COPY.fullmatch(file.name.removesuffix(end))
            original = file.with_name(match["name"] + end) if match else file
            if original != file and original in there and _are_equal(file, original):
                copies[file] = original
        return copies


def _are_equal(file: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(file, other, shallow=False)
    except OSError:  # whoever reads it says so
        return False


def shown(file: Path, source: Path) -> str:
    """Return how a file is named to people: its path below the folder `source`, or its name."""
    return str(file.relative_to(source)) if source.is_dir() else file.name


def encoded(image: UInt8[np.ndarray, "height width *channels"], end: str = ".png") -> bytes:
    """Return a gray or RGB image as the content of a PNG or TIFF file, by the suffix `end`."""
    if end.lower() not in TIFF:
        return imageio.imwrite("<bytes>", image, plugin="pillow", extension=".png")
    content, kind = io.BytesIO(), "minisblack" if image.ndim == 2 else "rgb"
    tifffile.imwrite(content, image, photometric=kind, metadata=None)
    return content.getvalue()


def pages(images: Shaped[np.ndarray, "pages height width"]) -> bytes:
    """Return gray images as the content of one TIFF file, a page each, compressed (deflate).

    They keep their type: 8 bits, or float32.
    """
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as file:
        for image in images:
            file.write(image, photometric="minisblack", compression="zlib", metadata=None)
    return content.getvalue()


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as the content of a CSV file, without the files that were written of each."""
    text = io.StringIO()
    columns = [name for name in rows[0] if name != "written"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(cells, rows))
    return text.getvalue().encode()


def check_table(table: Path) -> None:
    """Raise `InputError` unless the CSV file `table` can be written and nobody's file is lost."""
    if table.is_dir():
        raise InputError(f"--csv {table}: is a folder; give a file")
    outputs.check(table.parent, "--csv")
    outputs.check_targets(table.parent, [table], "--csv")


def check_output(source: Path, out: Path, targets: Iterable[Path]) -> None:
    """Raise `InputError` unless `out` can take the targets and nobody's file is harmed.

    That is where two targets are one file, one is a file that lies beside or below the input, or
    one is there and was not written here, or is not as it was written.
    """
    outputs.check(out)
    root = (source if source.is_dir() else source.parent).resolve()
    seen = set()
    for target in targets:
        if target in seen:
            raise InputError(f"--out {out}: two inputs would both become {target}; rename one")
        seen.add(target)
        if target.exists() and target.resolve().is_relative_to(root):
            raise InputError(
                f"--out {out}: {target} is there, among the input; give another folder"
            )
    outputs.check_targets(out, sorted(seen))
