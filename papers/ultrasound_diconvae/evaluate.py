"""Evaluation of one trained seed: cleaner pictures, and what they are worth to a segmenter."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from common.data.loader import in_batches
from common.metrics.biometry import area_ratio, head_circumference
from common.metrics.gmsd import gmsd
from common.metrics.overlap import overlap
from common.metrics.psnr import psnr
from common.metrics.speckle import (
    edge_preservation,
    equivalent_looks,
    homogeneous_regions,
    speckle_index,
)
from common.metrics.ssim import ssim
from common.metrics.surface import surface_distances
from common.study.protocol import Evaluation, Run
from common.training.rng import Streams
from common.training.writer import read_curves
from papers.ultrasound_diconvae import colours
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.data import Part, Prepared, load
from papers.ultrasound_diconvae.inputs import Inputs, in_8_bits, kinds
from papers.ultrasound_diconvae.speckle import speckled
from papers.ultrasound_diconvae.train import trained

Pictures = UInt8[np.ndarray, "pictures height width 1"]
Labels = UInt8[np.ndarray, "pictures height width"]


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics and pictures of one seed, measured on the test part."""
    config: Config = run.config
    test, validation = load(prepared, "test"), load(prepared, "validation")
    inputs = Inputs(config, trained(run, prepared, seed, "denoiser"))
    names = [name for name in kinds(config) if name != "raw"]
    seen = {kind: inputs(kind, test.images) for kind in kinds(config)}
    segmenters = {
        kind: Labeller(trained(run, prepared, seed, f"segmenter_{kind}"), config)
        for kind in kinds(config)
    }
    found = {kind: segmenters[kind](images) for kind, images in seen.items()}
    if config.train.joint:
        found["joint"] = Labeller(trained(run, prepared, seed, "joint"), config)(test.images)
    crossed = {
        "raw_on_denoised": segmenters["raw"](seen["denoised"]),
        "denoised_on_raw": segmenters["denoised"](test.images),
    }
    metrics: dict[str, Any] = {
        "segmentation": {
            kind: segmentation(labels, test, prepared.classes) for kind, labels in found.items()
        },
        "crossed": {
            kind: segmentation(labels, test, prepared.classes) for kind, labels in crossed.items()
        },
        "cleaning": {kind: cleaning(images, test) for kind, images in seen.items()},
        "speckle": despeckling(config, inputs, names, test.images, seed),
        "stray_colours": stray_colours(test.labels),
        "validation_dice": {
            kind: segmentation(
                segmenters[kind](inputs(kind, validation.images)), validation, prepared.classes
            )["dice"]
            for kind in kinds(config)
            if kind.startswith("denoised")
        },
        "training": {
            folder.parent.name: read_curves(folder, "validation_loss")
            for folder in sorted(run.seed_folder(seed).glob("*/train.jsonl"))
        },
    }
    shown = config.evaluate.keep_real_pictures or prepared.dataset == "simulated"
    return Evaluation(metrics, pictures(config, test, seen, found) if shown else {})


class Labeller:
    """A trained segmenter as a function of pictures."""

    def __init__(self, network: Any, config: Config):
        graph, state = nnx.split(network)
        self._size = config.evaluate.batch_size
        self._run = jax.jit(
            lambda images: nnx.merge(graph, state)(images / 255).argmax(-1).astype(jnp.uint8)
        )

    def __call__(self, images: Pictures) -> Labels:
        """Return the class of every pixel."""
        return in_batches(self._run, images.astype(np.float32), self._size)


def segmentation(found: Labels, part: Part, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return Dice, IoU, HD95 and the ratio of areas of each class, and head circumference.

    Means over the pictures that show the class; a distance is in mm where the pixel's size is
    known, else in pixels, and is left out where nothing was found. `pictures` holds each picture's
    Dice, the mean over its classes. The `area_ratio` of the whole is that of what is no background;
    `hc_error_mm` is the mean absolute error of the circumference.
    """
    counts = overlap(found, part.labels, len(classes))
    present = np.asarray(counts.target)[:, 1:] > 0
    dice, iou, areas = (
        np.asarray(score)[:, 1:]
        for score in (counts.dice(empty=np.nan), counts.iou(empty=np.nan), area_ratio(counts))
    )
    by_class = {}
    for index, name in enumerate(classes[1:]):
        shown = np.flatnonzero(present[:, index])
        by_class[name] = {
            "dice": _mean(dice[shown, index]),
            "iou": _mean(iou[shown, index]),
            "hd95": _mean(_distances(found, part, index + 1, shown)),
            "area_ratio": _mean(areas[shown, index]),
            "n": len(shown),
        }
    each = np.array([row[here].mean() if here.any() else np.nan for row, here in
                     zip(dice, present, strict=True)])  # fmt: skip
    return {
        "classes": by_class,
        "pictures": dict(zip(part.names, each.tolist(), strict=True)),
        "dice": _mean(each),
        "area_ratio": _mean((found > 0).sum((1, 2)) / np.maximum((part.labels > 0).sum((1, 2)), 1)),
        "hc_error_mm": _mean(_circumference_errors(found, part)),
    }


def _distances(found: Labels, part: Part, label: int, shown: np.ndarray) -> list[float]:
    """Return the HD95 of every picture in which a class is both shown and found."""
    distances = []
    for i in shown:
        masks = found[i] == label, part.labels[i] == label
        size = part.mm[i] if np.isfinite(part.mm[i]).all() else np.ones(2)
        if masks[0].any():
            distances.append(surface_distances(*masks, size.tolist()).hausdorff())
    return distances


def _circumference_errors(found: Labels, part: Part) -> list[float]:
    """Return how far in mm the circumference of what is no background is from the known one."""
    known = np.flatnonzero(np.isfinite(part.head_mm) & (found > 0).any((1, 2)))
    return [
        abs(head_circumference(found[i] > 0, part.mm[i].tolist()) - float(part.head_mm[i]))
        for i in known
    ]


def cleaning(images: Pictures, part: Part) -> dict[str, Any]:
    """Return how much speckle and how much of the edges is left; against clean ones if known.

    `looks` is the median over pictures of the equivalent number of looks in the most homogeneous
    window of the picture before, an eighth of its height wide.
    """
    now, before = images / np.float32(255), part.images / np.float32(255)
    edges = np.asarray(edge_preservation(before, now))
    even = homogeneous_regions(before, max(2, before.shape[1] // 8))
    found: dict[str, Any] = {
        "speckle_index": _mean(np.asarray(speckle_index(now))),
        "looks": float(np.nanmedian(equivalent_looks(now, even))),
        "edge_preservation": _mean(edges),
        "pictures": dict(zip(part.names, edges.tolist(), strict=True)),
    }
    if part.clean is not None:
        found |= _against(now, part.clean / np.float32(255))
    return found


def despeckling(
    config: Config, inputs: Inputs, names: list[str], images: Pictures, seed: int
) -> dict[str, Any]:
    """Return PSNR, SSIM and GMSD of pictures found again under the reference paper's speckle."""
    known, key = images / np.float32(255), Streams(seed).key("test speckle")
    found: dict[str, Any] = {}
    for level, sigma in enumerate(config.speckle.sigmas):
        noisy = in_8_bits(np.asarray(speckled(
            jax.random.fold_in(key, level), jnp.asarray(known), sigma,
            centred=config.speckle.centred,
        )))  # fmt: skip
        results = {name: inputs(name, noisy) for name in ("raw", *names)}
        found[f"{sigma:g}"] = {
            name: _against(result / np.float32(255), known) for name, result in results.items()
        }
    return found


def stray_colours(labels: Labels) -> dict[str, float]:
    """Return the share of pixels of no class's colour after colour masks are made smaller by 2/3.

    By nearest neighbours, and by bilinear interpolation.
    """
    height, width = (2 * side // 3 for side in labels.shape[1:])
    found: dict[str, list[float]] = {"nearest": [], "bilinear": []}
    for one in labels:
        for how, mask in colours.resized(colours.encode(one), height, width).items():
            found[how].append(colours.strays(mask).mean())
    return {how: _mean(shares) for how, shares in found.items()}


def _against(images: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    return {
        "psnr": _mean(np.asarray(psnr(images, clean))),
        "ssim": _mean(np.asarray(ssim(images, clean))),
        "gmsd": _mean(np.asarray(gmsd(images, clean))),
    }


def pictures(
    config: Config, test: Part, seen: dict[str, Pictures], found: dict[str, Labels]
) -> dict[str, np.ndarray]:
    """Return the first test pictures of every kind, with true and found labels, as uint8."""
    count = min(config.evaluate.cases, len(test))
    arrays = {"labels": test.labels[:count]}
    for kind, images in seen.items():
        arrays[f"image_{kind}"] = images[:count, ..., 0]
        arrays[f"found_{kind}"] = found[kind][:count]
    if test.clean is not None:
        arrays["clean"] = test.clean[:count, ..., 0]
    return arrays


def _mean(values: Any) -> float:
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    return float(kept.mean()) if len(kept) else float("nan")
