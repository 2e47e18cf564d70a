"""Zenodo 8265464, "Large-scale annotation dataset for fetal head biometry in ultrasound images".

Published (Alzubaidi et al. 2023, Data in Brief 51, 109708): 3,832 images, 959 x 661 pixels, in
four planes, each a zip with the images and eleven exports of the annotation; classes Brain, CSP
(cavum septi pellucidi), LV (lateral ventricle). The export read here is CVAT's "segmentation mask
1.1". Unpacked, as public code that reads the record shows it:

    Trans-thalamic/Trans-thalamic/Patient00168_Plane3_1_of_3.png
    Trans-thalamic/Trans-thalamic-Segmentation/labelmap.txt          Brain:255,0,0:: …
    Trans-thalamic/Trans-thalamic-Segmentation/SegmentationClass/Patient00168_Plane3_1_of_3.png
    Diverse Fetal Head Images/Orginal_train_images_to_959_661/010_2HC.png
    Diverse Fetal Head Images/Test-Dataset-Segmentation/SegmentationClass/010_2HC.png

Not confirmed on the real files, which were not at hand: so folders are looked for, not taken for
granted, and colors are read from labelmap.txt (CSP is said to be green in three planes and yellow
in the fourth). An image may have another size than its mask: the source read 800 x 540 images
with 959 x 661 masks, and both show the same field.

The "diverse" images are those of HC18, under the same numbers: subjects are named alike. The
record's tables of pixel sizes are not read: they do not say on which grid they count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.image_files import read_image
from common.data.raw import BadFile, existing
from common.errors import InputError
from papers.ultrasound_diconvae.colors import Color, decode, read_labelmap
from papers.ultrasound_diconvae.image import LabeledImage, read_gray, resize_image, resize_labels

FOLDERS = {
    "thalamic": "Trans-thalamic",
    "ventricular": "Trans-ventricular",
    "cerebellum": "Trans-cerebellum",
    "diverse": "Diverse Fetal Head Images",
}
PUBLISHED = {"thalamic": 1565, "ventricular": 584, "cerebellum": 684, "diverse": 999}  # images
LABELMAP, MASKS = "labelmap.txt", "SegmentationClass"
RESIZED = "959_661"  # in the name of the folder with images of the masks' size
STRETCH = 1.05  # most that proportions of an image and its mask differ: 800/540 is not 959/661
PATIENT = re.compile(r"(Patient\d+|\d+)_")


@dataclass(frozen=True)
class Entry:
    """One image of the listing, its mask, and what the mask's colors mean."""

    image: Path
    mask: Path
    plane: str
    colors: dict[Color, int]

    @property
    def name(self) -> str:
        """The image's name without its suffix; the planes have none in common."""
        return self.image.stem

    @property
    def subject(self) -> str:
        """Who is shown, the same in all planes; a number alone is HC18's."""
        found = PATIENT.match(self.name)
        who = found[1] if found else self.name
        return f"HC18-{who}" if who.isdigit() else who


def files(raw: Path, planes: Iterable[str]) -> list[Path]:
    """Return every file that is read: labelmaps, masks and images of the planes."""
    found = []
    for plane in planes:
        export, images = _export(raw, plane)
        found += [export / LABELMAP, *_pngs(export / MASKS), *_pngs(images)]
    return found


def listing(raw: Path, planes: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """Return the images of the planes by name, and those without a mask, "name: reason".

    Raises `InputError` where a plane's folder, its export or its images are not there.
    """
    entries, bad = [], []
    for plane in planes:
        export, folder = _export(raw, plane)
        colors = read_labelmap(export / LABELMAP)
        images = {path.name: path for path in _pngs(folder)}
        masks = {path.name: path for path in _pngs(export / MASKS)}
        bad += [f"{FOLDERS[plane]}/{name}: has no mask" for name in images if name not in masks]
        bad += [f"{FOLDERS[plane]}/{name}: a mask only" for name in masks if name not in images]
        both = sorted(images.keys() & masks.keys())
        entries += [Entry(images[name], masks[name], plane, colors) for name in both]
    return entries, bad


def read(entry: Entry, height: int, width: int) -> LabeledImage:
    """Return one image at the given size with its labels, or raise `BadFile`."""
    image = read_gray(entry.image)
    try:
        labels = decode(_rgb(entry.mask), entry.colors)
    except BadFile as reason:
        raise BadFile(f"{MASKS}/{entry.mask.name} {reason}") from None
    stretch = image.shape[1] * labels.shape[0] / (image.shape[0] * labels.shape[1])
    if not 1 / STRETCH < stretch < STRETCH:
        raise BadFile(f"is {image.shape}, its mask {labels.shape}: not the same field")
    return LabeledImage(
        name=entry.name,
        subject=entry.subject,
        plane=entry.plane,
        image=resize_image(image, height, width),
        labels=resize_labels(labels, height, width),
    )


def _export(raw: Path, plane: str) -> tuple[Path, Path]:
    """Return the folder of a plane's masks in colors, and that of its images."""
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
    names = {path.name for path in _pngs(export / MASKS)}
    folders = [export / "JPEGImages", root / name, *sorted(root.glob(f"*{RESIZED}*"))]
    folders += [path for path in sorted(root.iterdir()) if path.is_dir() and path not in exports]
    for folder in folders:
        if names & {path.name for path in _pngs(folder)}:
            return export, folder
    raise InputError(f"{root}: no folder in it has the images of {export.name}/{MASKS}")


def _pngs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def _rgb(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a mask's colors; of a gray one all three channels are equal."""
    mask = read_image(path)
    if mask.ndim == 2:
        mask = np.repeat(mask[..., None], 3, -1)
    if mask.dtype != np.uint8 or mask.ndim != 3 or mask.shape[2] != 3:
        raise BadFile(f"is {mask.dtype} {mask.shape}, not RGB of 8 bits")
    return mask
