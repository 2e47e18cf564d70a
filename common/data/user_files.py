"""Users' own files: found at --input, checked, and what is made of them written below --out."""

import io
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imageio.v3 as imageio
import numpy as np
import tifffile
from jaxtyping import UInt8
from tqdm import tqdm

from common.data.raw import BadFile, refusal
from common.errors import InputError
from common.files import write_atomic

TIFF = (".tif", ".tiff")

Looked = TypeVar("Looked")


@dataclass(frozen=True)
class Kinds:
    """Which files a study reads, and how the names end of what it makes of them.

    `nameless` tells by the content a file that may be read whatever its name is.
    """

    suffixes: tuple[str, ...]  # in lower case, a longer one before its end: .nii.gz, .nii
    made: tuple[str, ...]  # never read from a folder
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

    def find(self, source: Path) -> list[Path]:
        """Return the file at `source`, or all in the folder and below, in numeric order of names.

        Hidden files are left out, and names that end as what is made here does. Raises
        `InputError` where there is none.
        """
        kinds = ", ".join(self.suffixes)
        if source.is_file():
            if not self._readable(source):
                raise InputError(f"--input {source}: not a scan by its name; give one of {kinds}")
            return [source]
        if not source.is_dir():
            raise InputError(f"--input {source}: no such file or folder")
        files = [path for path in source.rglob("*") if self._wanted(path, source)]
        if not files:
            raise InputError(f"--input {source}: no scan there; give a folder with {kinds}")
        return sorted(files, key=numeric)

    def checked(
        self, source: Path, look: Callable[[Path], Looked], skip_bad: bool = False
    ) -> list[tuple[Path, Looked]]:
        """Return the files found at `source`, each with what `look` says of it.

        Raises:
            InputError: no file is there, or `look` raised `BadFile` for some (all are listed) and
                `skip_bad` is off: with it they are left out, and said on stderr.
        """
        found, bad = [], []
        for file in tqdm(self.find(source), "checking", unit="file", delay=2, disable=None):
            try:
                found.append((file, look(file)))
            except BadFile as reason:
                bad.append(f"{shown(file, source)}: {reason}")
        if bad and (not skip_bad or not found):
            raise refusal(f"--input {source}", bad)
        if bad:
            print(f"skipped {len(bad)} bad files: {', '.join(bad)}", file=sys.stderr)
        return found

    def _readable(self, file: Path) -> bool:
        return bool(self.suffix(file)) or self.nameless(file)

    def _wanted(self, path: Path, source: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        made = path.name.removesuffix(self.suffix(path)).endswith(self.made)
        return not hidden and not made and self._readable(path)


def shown(file: Path, source: Path) -> str:
    """Return how a file is named to people: its path below the folder `source`, or its name."""
    return str(file.relative_to(source)) if source.is_dir() else file.name


def numeric(path: Path) -> list[list[str | int]]:
    """Return what sorts paths part by part, numbers in them by value: slice_2, slice_10."""
    parts = [re.split(r"([0-9]+)", part) for part in path.parts]
    return [[int(one) if i % 2 else one for i, one in enumerate(part)] for part in parts]


def encoded(image: UInt8[np.ndarray, "height width *channels"], end: str = ".png") -> bytes:
    """Return a gray or RGB image as the content of a PNG or TIFF file, by the suffix `end`."""
    if end.lower() not in TIFF:
        return imageio.imwrite("<bytes>", image, plugin="pillow", extension=".png")
    content, kind = io.BytesIO(), "minisblack" if image.ndim == 2 else "rgb"
    tifffile.imwrite(content, image, photometric=kind, metadata=None)
    return content.getvalue()


def pages(images: UInt8[np.ndarray, "pages height width"]) -> bytes:
    """Return gray images as the content of one TIFF file, a page each, compressed (deflate)."""
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as file:
        for image in images:
            file.write(image, photometric="minisblack", compression="zlib", metadata=None)
    return content.getvalue()


def check_output(source: Path, out: Path, targets: Iterable[Path]) -> None:
    """Raise `InputError` unless `out` can take the targets and nothing of the input is harmed.

    That is where two targets are one file, or one is a file that lies beside or below the input.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
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


def write(files: dict[Path, bytes]) -> None:
    """Write files, each whole or not at all, or raise `InputError` where that is not possible."""
    for path, content in files.items():
        try:
            write_atomic(path, content)
        except OSError as error:
            raise InputError(f"--out: {path} cannot be written ({error.strerror})") from None
