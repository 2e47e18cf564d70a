"""Tumour masks of the user's own scans: 8-bit stacks, segmented, written as they came.

Channels are pre-contrast, FLAIR, post-contrast; a scan of one channel is taken as FLAIR and stands
in the two others as well, which is what the public data does for missing ones.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import binary_erosion
from tqdm import tqdm

from common.data import scans, user_files
from common.data.images import resize_8_bits, resize_area
from common.data.kaggle_lgg import FLAIR
from common.data.raw import BadFile, refusal
from common.data.scans import Scan
from common.results.figures import png, spread_out
from common.study.trained import network_config, network_folder
from papers.lgg_attention_unet import figures
from papers.lgg_attention_unet.config import Config
from papers.lgg_attention_unet.data import Stack
from papers.lgg_attention_unet.inference import Segmenter, marked
from papers.lgg_attention_unet.train import restore

SHOWN = 12  # slices of a volume, at most
RED = (255, 0, 0)

Images = UInt8[np.ndarray, "slices height width 3"]
Maps = Float32[np.ndarray, "slices height width"]
Masks = Bool[np.ndarray, "slices height width"]


def predict(
    checkpoint: Path, source: Path, out: Path, skip_bad: bool = False
) -> list[dict[str, Any]]:
    """Write `<name>_mask` and `<name>_overlay.png` of every scan; return a row for each file.

    A row holds `file`, `slices`, `marked` (pixels of the file), `ml` (of a volume, else None),
    `highest` (probability) and `written`. Each patient's files are written when all of them are
    computed. Raises `InputError` for what cannot be used or would be overwritten.
    """
    folder = network_folder(checkpoint)
    config = network_config(folder, Config())
    patients = scans.patients(source, skip_bad)
    every = [file for one in patients for file in one.files]
    targets = {file: _targets(file, source, out) for file in every}
    user_files.check_output(source, out, [target for pair in targets.values() for target in pair])
    print(f"network: {folder}", file=sys.stderr)
    most = max(one.slices for one in patients)
    batch = min(config.evaluate.batch_size, most)  # of slices: the rest would be filled with zeros
    config = replace(config, evaluate=replace(config.evaluate, batch_size=batch))
    segment = Segmenter(restore(folder, config), config)
    rows = []
    for one in tqdm(patients, "segmenting", unit="patient", delay=2, disable=None):
        try:
            scan = scans.read(one.files)
        except BadFile as reason:  # good when it was checked
            raise refusal(f"--input {source}", [f"{one.files[0].name}: {reason}"]) from None
        images = _three_channels(scans.in_8_bits(scan.images))
        found = probabilities(segment, images, scan)
        masks = marked(found, config.evaluate)
        contents = scans.mask_files(scan, masks), overlays(scan, images, masks)
        user_files.write(
            {
                path: content
                for file, *pair in zip(one.files, *contents, strict=True)
                for path, content in zip(targets[file], pair, strict=True)
            }
        )
        rows += _rows(scan, found, masks, source, targets)
    return rows


def probabilities(segment: Callable[[Stack], Maps], images: Images, scan: Scan) -> Maps:
    """Return the probability of tumour in every pixel; the network is shown square pixels."""
    rows, columns = images.shape[1:3]
    height, width = (
        round(count * size / min(scan.pixel))
        for count, size in zip((rows, columns), scan.pixel, strict=True)
    )
    if stretched := (height, width) != (rows, columns):
        images = resize_8_bits(images, height, width)
    found = segment(Stack(scan.files[0].name, images, np.zeros(images.shape[:3], bool)))
    return resize_area(found, rows, columns) if stretched else found


def overlays(scan: Scan, images: Images, masks: Masks) -> list[bytes]:
    """Return a PNG for every file: FLAIR with the outline in red, of a volume a sheet of slices."""
    if scan.volume is None:
        return [user_files.picture(_outlined(*pair)) for pair in zip(images, masks, strict=True)]
    ill = np.array([mask.any() for mask in masks])
    chosen = spread_out(ill, SHOWN)
    title = (
        f"{scan.files[0].name}: tumour found in {ill.sum()} of {len(masks)} slices\n"
        "the patient's right is on the left"
    )
    names = [f"slice {scan.numbers[i]}" for i in chosen]
    return [png(figures.sheet(images[chosen], masks[chosen], names, title, scan.pixel))]


def _outlined(
    image: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    picture = np.repeat(image[..., FLAIR, None], 3, -1)
    picture[mask & ~binary_erosion(mask)] = RED
    return picture


def _three_channels(images: UInt8[np.ndarray, "slices height width channels"]) -> Images:
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def _targets(file: Path, source: Path, out: Path) -> tuple[Path, Path]:
    ends = f"_mask{scans.KINDS.suffix(file)}", "_overlay.png"
    mask, overlay = (scans.KINDS.output(file, source, out, end) for end in ends)
    return mask, overlay


def _rows(
    scan: Scan, found: Maps, masks: Masks, source: Path, targets: dict[Path, tuple[Path, Path]]
) -> list[dict[str, Any]]:
    """Return what was found in each file of a scan."""
    parts = [slice(i, i + 1) for i in range(len(masks))] if scan.volume is None else [slice(None)]
    rows = []
    for file, part in zip(scan.files, parts, strict=True):
        marked = int(masks[part].sum())
        rows.append(
            {
                "file": user_files.shown(file, source),
                "slices": len(masks[part]),
                "marked": marked,
                "ml": None if scan.voxel_ml is None else marked * scan.voxel_ml,
                "highest": float(found[part].max()),
                "written": [str(target) for target in targets[file]],
            }
        )
    return rows
