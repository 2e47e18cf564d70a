"""Tumor masks of the user's own scans: 8-bit stacks, segmented, written as they came.

Channels are pre-contrast, FLAIR, post-contrast; a scan of one channel is taken as FLAIR and stands
in the two others as well, which is what the public data does for missing ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import binary_erosion
from tqdm import tqdm

from common import outputs, terminal
from common.data import scans, user_files
from common.data.finder import Account
from common.data.images import resize_8_bits, resize_area
from common.data.kaggle_lgg import FLAIR
from common.data.raw import BadFile, refusal
from common.data.scans import Found, Patient, Scan
from common.errors import InputError
from common.pipeline import trained
from common.pipeline.trained import Trained
from common.results.figures import png, spread_out
from papers.lgg_attention_unet import figures
from papers.lgg_attention_unet.config import Config
from papers.lgg_attention_unet.datasets import Stack
from papers.lgg_attention_unet.inference import StackPredictor, predicted_mask
from papers.lgg_attention_unet.options import Options
from papers.lgg_attention_unet.sequences import check_single, given, taken_as
from papers.lgg_attention_unet.sequences import read as read_sequences
from papers.lgg_attention_unet.train import trained_network

STUDY = "lgg_attention_unet"
SHOWN = 12  # slices of a volume, at most
RED = (255, 0, 0)

Images = UInt8[np.ndarray, "slices height width 3"]
Maps = Float32[np.ndarray, "slices height width"]
Masks = Bool[np.ndarray, "slices height width"]


def predict(
    checkpoint: Path,
    source: Path | None,
    out: Path,
    skip_bad: bool = False,
    options: Options = Options(),  # noqa: B008  # frozen
) -> list[dict[str, Any]]:
    """Write `<name>_mask` and `<name>_overlay.png` of every scan; return a row for each file.

    With `options.probabilities` there is `<name>_probability` too. Of several seeds or folds the
    mean of the probabilities counts, and the mean of their thresholds. A row holds `file`,
    `taken as`, the sequences that the channels are, `slices`, `tumor_pixels` (of the file), `ml`
    (of a volume, else None), `highest` (probability) and `written`. Each patient's files are
    written when all of them are computed. Raises `InputError` for what cannot be used or would be
    overwritten.
    """
    networks = trained.find_seeds(checkpoint, STUDY, Config())
    sequences = given(options)
    if sequences and source is not None:
        raise InputError(f"--input {source}: --flair is given; leave one out")
    if sequences:
        source = sequences["flair"]
        scan = read_sequences(sequences)
        found = Found([Patient((source,), len(scan.images))], Account(len(sequences)))
    else:
        assert source is not None
        found = scans.patients(source, skip_bad, check_single)
    every = [file for one in found.patients for file in one.files]
    targets = {file: _targets(file, source, out, options.probabilities) for file in every}
    user_files.check_output(source, out, [target for each in targets.values() for target in each])
    config = _config(networks, options, max(one.slices for one in found.patients))
    segmenters = [_segmenter(one, config) for one in networks]
    rows = []
    for one in tqdm(found.patients, "segmenting", unit="patient", delay=2, disable=None):
        try:
            scan = scan if sequences else scans.read(one.files)
        except BadFile as reason:  # good when it was checked
            raise refusal(f"--input {source}", [f"{one.files[0].name}: {reason}"]) from None
        images = _three_channels(scans.in_8_bits(scan.images))
        maps = np.mean([probabilities(segment, images, scan) for segment in segmenters], 0)
        masks = predicted_mask(maps, config.evaluate)
        contents = [scans.mask_files(scan, masks), overlays(scan, images, masks)]
        contents += [scans.map_files(scan, maps)] if options.probabilities else []
        outputs.write(
            {
                path: content
                for file, *made in zip(one.files, *contents, strict=True)
                for path, content in zip(targets[file], made, strict=True)
            }
        )
        kind = taken_as(scan.images.shape[-1], sequences or None)
        rows += _rows(scan, kind, maps, masks, source, targets)
    return user_files.Rows(rows, found.account)


def _config(networks: Sequence[Trained], options: Options, most: int) -> Config:
    """Return the config to predict with; `most` is how many slices a patient has at most."""
    config: Config = networks[0].config
    chosen = [one.config.evaluate.threshold for one in networks]
    threshold = float(np.mean(chosen)) if options.threshold is None else options.threshold
    batch = min(config.evaluate.batch_size, most)  # of slices: the rest would be filled with zeros
    evaluated = replace(config.evaluate, batch_size=batch, threshold=threshold)
    return replace(config, evaluate=evaluated)


def _segmenter(network: Trained, config: Config) -> Callable[[Stack], Maps]:
    """Return a seed's network, with gates where there is one, as a function of stacks."""
    name = "attention" if "attention" in network.folders else "plain"
    folder = network.folder(name)
    terminal.note(f"network: {folder}")
    model = replace(config.model, gates=name == "attention")
    return StackPredictor(trained_network(folder, model, config.train), config)


def probabilities(segment: Callable[[Stack], Maps], images: Images, scan: Scan) -> Maps:
    """Return the probability of tumor in every pixel; the network is shown square pixels."""
    rows, columns = images.shape[1:3]
    height, width = scans.square_size(rows, columns, scan.pixel)
    if resized := (height, width) != (rows, columns):
        images = resize_8_bits(images, height, width)
    maps = segment(Stack(scan.files[0].name, images, np.zeros(images.shape[:3], bool)))
    return resize_area(maps, rows, columns) if resized else maps


def overlays(scan: Scan, images: Images, masks: Masks) -> list[bytes]:
    """Return a PNG for every file: FLAIR with the outline in red, of a volume a sheet of slices."""
    if scan.volume is None:
        return [user_files.encoded(_outlined(*pair)) for pair in zip(images, masks, strict=True)]
    has_tumor = np.array([mask.any() for mask in masks])
    chosen = spread_out(has_tumor, SHOWN)
    title = (
        f"{scan.files[0].name}: tumor predicted in {has_tumor.sum()} of {len(masks)} slices\n"
        "the patient's right is on the left"
    )
    names = [f"slice {scan.numbers[i]}" for i in chosen]
    return [png(figures.sheet(images[chosen], masks[chosen], names, title, scan.pixel))]


def _outlined(
    image: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    image = np.repeat(image[..., FLAIR, None], 3, -1)
    image[mask & ~binary_erosion(mask)] = RED
    return image


def _three_channels(images: UInt8[np.ndarray, "slices height width channels"]) -> Images:
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def _targets(file: Path, source: Path, out: Path, maps: bool) -> tuple[Path, ...]:
    own = scans.KINDS.suffix(file)
    ends = [f"_mask{own}", "_overlay.png"]
    if maps:
        ends.append(f"_probability{own if own.lower() in scans.NIFTI else '.tif'}")
    return tuple(scans.KINDS.output(file, source, out, end) for end in ends)


def _rows(
    scan: Scan,
    kind: str,
    maps: Maps,
    masks: Masks,
    source: Path,
    targets: Mapping[Path, tuple[Path, ...]],
) -> list[dict[str, Any]]:
    """Return what was predicted in each file of a scan."""
    parts = [slice(i, i + 1) for i in range(len(masks))] if scan.volume is None else [slice(None)]
    rows = []
    for file, part in zip(scan.files, parts, strict=True):
        count = int(masks[part].sum())
        rows.append(
            {
                "file": user_files.shown(file, source),
                "taken as": kind,
                "slices": len(masks[part]),
                "tumor_pixels": count,
                "ml": None if scan.voxel_ml is None else count * scan.voxel_ml,
                "highest": float(maps[part].max()),
                "written": [str(target) for target in targets[file]],
            }
        )
    return rows
