"""Zenodo 8265464, "Large-scale annotation dataset for fetal head biometry in ultrasound images".

Published (Alzubaidi et al. 2023, Data in Brief 51, 109708): 3,832 pictures, 959 x 661 pixels, in
four planes, each a zip with the pictures and eleven exports of the annotation; classes Brain, CSP
(cavum septi pellucidi), LV (lateral ventricle). The export read here is CVAT's "segmentation mask
1.1". Unpacked, as public code that reads the record shows it:

    Trans-thalamic/Trans-thalamic/Patient00168_Plane3_1_of_3.png
    Trans-thalamic/Trans-thalamic-Segmentation/labelmap.txt          Brain:255,0,0:: …
    Trans-thalamic/Trans-thalamic-Segmentation/SegmentationClass/Patient00168_Plane3_1_of_3.png
    Diverse Fetal Head Images/Orginal_train_images_to_959_661/010_2HC.png
    Diverse Fetal Head Images/Test-Dataset-Segmentation/SegmentationClass/010_2HC.png

Not confirmed on the real files, which were not at hand: so folders are looked for, not taken for
granted, and colours are read from labelmap.txt (CSP is said to be green in three planes and yellow
in the fourth). A picture may have another size than its mask: the source read 800 x 540 pictures
with 959 x 661 masks, and both show the same field.

The "diverse" pictures are those of HC18, under the same numbers: subjects are named alike. The
record's tables of pixel sizes are not read: they do not say on which grid they count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.raw import BadFile, existing, read_png
from common.errors import InputError
from papers.ultrasound_diconvae.colours import Colour, decode, read_labelmap
from papers.ultrasound_diconvae.picture import Picture, read_grey, resize_image, resize_labels

FOLDERS = {
    "thalamic": "Trans-thalamic",
    "ventricular": "Trans-ventricular",
    "cerebellum": "Trans-cerebellum",
    "diverse": "Diverse Fetal Head Images",
}
PUBLISHED = {"thalamic": 1565, "ventricular": 584, "cerebellum": 684, "diverse": 999}  # pictures
LABELMAP, MASKS = "labelmap.txt", "SegmentationClass"
RESIZED = "959_661"  # in the name of the folder with pictures of the masks' size
STRETCH = 1.05  # most that proportions of a picture and its mask differ: 800/540 is not 959/661
PATIENT = re.compile(r"(Patient\d+|\d+)_")


@dataclass(frozen=True)
class Entry:
    """One picture of the listing, its mask, and what the mask's colours mean."""

    picture: Path
    mask: Path
    plane: str
    colours: dict[Colour, int]

    @property
    def name(self) -> str:
        """The picture's name without its suffix; the planes have none in common."""
        return self.picture.stem

    @property
    def subject(self) -> str:
        """Who is shown, the same in all planes; a number alone is HC18's."""
        found = PATIENT.match(self.name)
        who = found[1] if found else self.name
        return f"HC18-{who}" if who.isdigit() else who


def files(raw: Path, planes: Iterable[str]) -> list[Path]:
    """Return every file that is read: labelmaps, masks and pictures of the planes."""
    found = []
    for plane in planes:
        export, pictures = _export(raw, plane)
        found += [export / LABELMAP, *_pngs(export / MASKS), *_pngs(pictures)]
    return found


def listing(raw: Path, planes: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """Return the pictures of the planes by name, and those without a mask, "name: reason".

    Raises `InputError` where a plane's folder, its export or its pictures are not there.
    """
    entries, bad = [], []
    for plane in planes:
        export, folder = _export(raw, plane)
        colours = read_labelmap(export / LABELMAP)
        pictures = {path.name: path for path in _pngs(folder)}
        masks = {path.name: path for path in _pngs(export / MASKS)}
        bad += [f"{FOLDERS[plane]}/{name}: has no mask" for name in pictures if name not in masks]
        bad += [f"{FOLDERS[plane]}/{name}: a mask only" for name in masks if name not in pictures]
        both = sorted(pictures.keys() & masks.keys())
        entries += [Entry(pictures[name], masks[name], plane, colours) for name in both]
    return entries, bad


def read(entry: Entry, height: int, width: int) -> Picture:
    """Return one picture at the given size with its labels, or raise `BadFile`."""
    image = read_grey(entry.picture)
    try:
        labels = decode(_rgb(entry.mask), entry.colours)
    except BadFile as reason:
        raise BadFile(f"{MASKS}/{entry.mask.name} {reason}") from None
    stretch = image.shape[1] * labels.shape[0] / (image.shape[0] * labels.shape[1])
    if not 1 / STRETCH < stretch < STRETCH:
        raise BadFile(f"is {image.shape}, its mask {labels.shape}: not the same field")
    return Picture(
        name=entry.name,
        subject=entry.subject,
        plane=entry.plane,
        image=resize_image(image, height, width),
        labels=resize_labels(labels, height, width),
    )


def _export(raw: Path, plane: str) -> tuple[Path, Path]:
    """Return the folder of a plane's masks in colours, and that of its pictures."""
    name = FOLDERS[plane]
    root = existing(raw) / name
    if not root.is_dir():
        unpack = f"unpack {name}.zip" if (raw / f"{name}.zip").is_file() else "download the record"
        raise InputError(f"--raw {raw}: no folder {name!r}; {unpack}, or leave {plane!r} out")
    exports = [path.parent for path in sorted(root.rglob(LABELMAP))]
    exports = [path for path in exports if (path / MASKS).is_dir()]
    if not exports:
        raise InputError(f"{root}: no {LABELMAP} beside {MASKS}; unpack the zip of masks in it")
    # Several exports have both: the one named after its format comes first, PASCAL's is as good.
    export = min(exports, key=lambda path: "segmentation" not in path.name.lower())
    wanted = {path.name for path in _pngs(export / MASKS)}
    folders = [export / "JPEGImages", root / name, *sorted(root.glob(f"*{RESIZED}*"))]
    folders += [path for path in sorted(root.iterdir()) if path.is_dir() and path not in exports]
    for folder in folders:
        if wanted & {path.name for path in _pngs(folder)}:
            return export, folder
    raise InputError(f"{root}: no folder in it has the pictures of {export.name}/{MASKS}")


def _pngs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def _rgb(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a mask's colours; of a grey one all three channels are equal."""
    mask = read_png(path)
    if mask.ndim == 2:
        mask = np.repeat(mask[..., None], 3, -1)
    if mask.dtype != np.uint8 or mask.ndim != 3 or mask.shape[2] != 3:
        raise BadFile(f"is {mask.dtype} {mask.shape}, not RGB of 8 bits")
    return mask
