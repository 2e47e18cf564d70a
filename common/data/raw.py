"""Reading raw files so that a bad one is named with its reason instead of stopping everything."""

import csv
from collections.abc import Iterable
from pathlib import Path

import imageio.v3 as imageio
import nibabel
import numpy as np
import tifffile
from jaxtyping import Float, Shaped, UInt8

from common.errors import InputError

SEPARATORS = ",;\t"


class BadFile(Exception):
    """A raw file that cannot be used; the message says why, without the file's name."""


def existing(raw: Path) -> Path:
    """Return the raw folder as an absolute path or raise `InputError` where there is none."""
    if not raw.is_dir():
        raise InputError(f"--raw {raw}: no such folder")
    return raw.absolute()


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Return a table's rows as `{column: text}` for the `columns`, named as given here.

    The separator (comma, semicolon or tab) is the one that the header holds most of; the header's
    case and the spaces around cells do not matter; an absent cell is an empty text.
    Raises `InputError` where the file cannot be read or a column is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    header = lines[0] if lines else ""
    rows = list(csv.reader(lines, delimiter=max(SEPARATORS, key=header.count)))
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if missing := [name for name in columns if name.lower() not in names]:
        raise InputError(
            f"{path}: no column {missing[0]!r} in its first line {header[:80]!r}; "
            "separate the columns by comma, semicolon or tab"
        )
    places = {name: names.index(name.lower()) for name in columns}
    return [
        {name: row[place].strip() if place < len(row) else "" for name, place in places.items()}
        for row in rows[1:]
        if any(cell.strip() for cell in row)
    ]


def number(text: str, name: str, low: float, high: float) -> float:
    """Return the number that a table's cell holds, from `low` to `high`, or raise `BadFile`."""
    if not text:
        raise BadFile(f"{name} is missing")
    try:
        value = float(text)
    except ValueError:
        raise BadFile(f"{name} {text!r} is not a number") from None
    if not low <= value <= high:
        raise BadFile(f"{name} {text} is outside {low:g} to {high:g}")
    return value


def read_nifti(path: Path) -> Float[np.ndarray, "x y z"]:
    """Return a NIfTI volume in its stored order, scaled by its header, or raise `BadFile`."""
    try:
        volume = nibabel.load(path).get_fdata(dtype=np.float32)  # type: ignore[attr-defined]
    except Exception as error:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise unreadable(error) from None
    if volume.ndim != 3:
        raise BadFile(f"has {volume.ndim} dimensions {volume.shape}, a volume has 3")
    if not np.isfinite(volume).all():
        raise BadFile("holds values that are not finite")
    return volume


def read_tiff(path: Path) -> Shaped[np.ndarray, "..."]:
    """Return a TIFF image as it is stored, or raise `BadFile`."""
    try:
        return tifffile.imread(path)
    except Exception as error:  # as many kinds of error as there are ways to damage a TIFF
        raise unreadable(error) from None


def read_png(path: Path) -> Shaped[np.ndarray, "..."]:
    """Return a PNG image as it is stored, a palette as its colors, or raise `BadFile`."""
    try:
        content = path.read_bytes()
        image = imageio.imread(content, plugin="pillow")
    except Exception as error:  # as many kinds of error as there are ways to damage a PNG
        raise unreadable(error) from None
    if content[24:26] == b"\x10\x02":  # bit depth, color type: pillow would keep 8 of the bits
        raise BadFile("has three channels of 16 bits, which are read from TIFF only")
    return image


def read_jpeg(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a JPEG image as RGB, whatever colors it holds, or raise `BadFile`."""
    try:
        return imageio.imread(path.read_bytes(), plugin="pillow", mode="RGB")
    except Exception as error:
        raise unreadable(error) from None


def refusal(where: str, bad: Iterable[str]) -> InputError:
    """Return the error that lists every bad file, each on a line of its own as "name: reason"."""
    bad = list(bad)
    head = f"{where}: {len(bad)} bad; fix them, or skip them with --skip-bad:"
    return InputError("\n  ".join([head, *bad]))


def unreadable(error: Exception) -> BadFile:
    """Return what a reader's error makes of a file: its kind and the first line of its message."""
    parts = [type(error).__name__, *str(error).strip().splitlines()[:1]]
    return BadFile(f"cannot be read ({': '.join(parts)[:150]})")
