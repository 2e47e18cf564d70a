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
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.data.finder import IMAGES, OTHER, OUTSIDE, Listing, Seen, look, suffix
from common.data.image_files import read_image
from common.data.raw import BadFile
from common.data.tables import alike
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
class Export:
    """One way in which a plane's masks were exported."""

    labelmap: Path
    masks: dict[str, Path]  # by name without suffix

    @property
    def folder(self) -> Path:
        """The folder that both lie in."""
        return self.labelmap.parent


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


def listing(raw: Path, planes: Iterable[str]) -> Listing[Entry]:
    """Return the images of the planes by name.

    Bad are images and masks without each other, and names that differ only in case or zeros.
    Raises `InputError` where a plane's folder, its export or its images are not there.
    """
    seen = look(raw)
    entries, files, bad = [], [], list(seen.bad)
    for plane in planes:
        export, images = _export(seen, plane)
        colors = read_labelmap(export.labelmap)
        others = alike(images)
        for name, path in images.items():
            if name in others:
                there = images[others[name]].name
                bad.append(f"{seen.name(path)}: {there} is there too; keep one, or name them apart")
            elif name not in export.masks:
                bad.append(f"{FOLDERS[plane]}/{path.name}: has no mask")
            else:
                entries.append(Entry(path, export.masks[name], plane, colors))
        alone = [path.name for name, path in export.masks.items() if name not in images]
        bad += [f"{FOLDERS[plane]}/{name}: a mask only" for name in alone]
        files += [export.labelmap, *export.masks.values(), *images.values()]
    ignored = seen.others(files, lambda path: OUTSIDE if suffix(path, IMAGES) else OTHER)
    return Listing(entries, files, bad, ignored)


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


def _export(seen: Seen, plane: str) -> tuple[Export, dict[str, Path]]:
    """Return a plane's masks in colors, and the images of the folder that has those names."""
    name = FOLDERS[plane]
    root = seen.only(seen.folders(seen.root), name)
    if root is None:
        zipped = any(path.name.lower() == f"{name}.zip".lower() for path in seen.files)
        unpack = f"unpack {name}.zip" if zipped else "download the record"
        raise InputError(f"--raw {seen.root}: no folder {name!r}; {unpack}, or leave {plane!r} out")
    pngs: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in sorted(seen.below(root)):
        if path.suffix.lower() == ".png":
            pngs[path.parent][path.stem] = path
    labelmaps = [path for path in seen.below(root) if path.name.lower() == LABELMAP]
    exports = [
        Export(labelmap, pngs[masks])
        for labelmap in sorted(labelmaps)
        for masks in seen.folders(labelmap.parent)
        if masks.name.lower() == MASKS.lower()
    ]
    if not exports:
        raise InputError(f"{root}: no {LABELMAP} beside {MASKS}; unpack the zip of masks in it")
    # Several exports have both: the one named after its format comes first, PASCAL's is as good.
    export = min(exports, key=lambda one: "segmentation" not in one.folder.name.lower())
    named = [export.folder / "JPEGImages", root / root.name]
    inside = seen.folders(root)
    named += [path for path in inside if RESIZED in path.name]
    named += [path for path in inside if path not in [one.folder for one in exports]]
    for folder in named:
        if export.masks.keys() & pngs[folder].keys():
            return export, pngs[folder]
    raise InputError(f"{root}: no folder in it has the images of {export.folder.name}/{MASKS}")


def _rgb(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a mask's colors; of a gray one all three channels are equal."""
    mask = read_image(path)
    if mask.ndim == 2:
        mask = np.repeat(mask[..., None], 3, -1)
    if mask.dtype != np.uint8 or mask.ndim != 3 or mask.shape[2] != 3:
        raise BadFile(f"is {mask.dtype} {mask.shape}, not RGB of 8 bits")
    return mask
