"""Evaluation of one trained seed: cleaner images, and what they are worth to a segmenter."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from common.metrics.biometry import area_ratio, head_circumference
from common.metrics.gmsd import gmsd
from common.metrics.overlap import overlap
from common.metrics.psnr import psnr
from common.metrics.speckle import (
    edge_preservation,
    effective_number_of_looks,
    homogeneous_regions,
    speckle_index,
)
from common.metrics.ssim import ssim
from common.metrics.surface import surface_distances
from common.nn.predictor import Apply, Predictor
from common.study.protocol import Evaluation, Prepared, Run
from common.training.loop import LOG
from common.training.rng import Streams
from common.training.writer import read_curves
from papers.ultrasound_diconvae import colors
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.data import Part, classes_of, load
from papers.ultrasound_diconvae.inputs import Images, denoise, in_8_bits, make_inputs
from papers.ultrasound_diconvae.models.joint import Joint
from papers.ultrasound_diconvae.models.segnet import SegNet
from papers.ultrasound_diconvae.speckle import speckled
from papers.ultrasound_diconvae.train import trained_network

Labels = UInt8[np.ndarray, "images height width"]


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics and images of one seed, measured on the test part."""
    config, size = run.config, run.config.evaluate.batch_size
    classes, variants = classes_of(config.data.dataset), config.input_variants
    test, validation = load(prepared, "test"), load(prepared, "validation")

    def predictor(network: str, apply: Apply = segment) -> Predictor:
        return Predictor(trained_network(run.unit(prepared, seed, network)), apply, size)

    denoiser = predictor("denoiser", denoise)
    segmenters = {variant: predictor(f"segmenter_{variant}") for variant in variants}
    inputs = {variant: make_inputs(variant, test.images, denoiser) for variant in variants}
    predicted = {variant: segmenters[variant](images) for variant, images in inputs.items()}
    if config.train.joint:
        predicted["joint"] = predictor("joint")(test.images)
    mismatched = {
        "raw_on_denoised": segmenters["raw"](inputs["denoised"]),
        "denoised_on_raw": segmenters["denoised"](test.images),
    }

    def validation_dice(variant: str) -> float:
        labels = segmenters[variant](make_inputs(variant, validation.images, denoiser))
        return segmentation(labels, validation, classes)["dice"]

    metrics: dict[str, Any] = {
        "segmentation": {
            name: segmentation(labels, test, classes) for name, labels in predicted.items()
        },
        "train_test_mismatch": {
            name: segmentation(labels, test, classes) for name, labels in mismatched.items()
        },
        "despeckling": {name: despeckling(images, test) for name, images in inputs.items()},
        "simulated_speckle": simulated_speckle(config, denoiser, test.images, seed),
        "off_palette_colors": off_palette_colors(test.labels),
        "validation_dice": {
            variant: validation_dice(variant)
            for variant in variants
            if variant.startswith("denoised")
        },
        "training": {
            name: read_curves(run.unit(prepared, seed, name).folder / LOG, "validation_loss")
            for name in run.networks
        },
    }
    shown = config.evaluate.keep_real_images or prepared.dataset == "simulated"
    return Evaluation(metrics, cases(config, test, inputs, predicted) if shown else {})


def segment(
    network: SegNet | Joint, images: UInt8[Array, "batch height width 1"]
) -> UInt8[Array, "batch height width"]:
    """Return the class of every pixel."""
    return network(images.astype(jnp.float32) / 255).argmax(-1).astype(jnp.uint8)


def segmentation(predicted: Labels, part: Part, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return Dice, IoU, HD95 and the ratio of areas of each class, and head circumference.

    Means over the images that show the class; a distance is in mm where the pixel's size is
    known, else in pixels, and is left out where nothing is predicted. `images` holds each image's
    Dice, the mean over its classes. The `area_ratio` of the whole is that of what is no background;
    `hc_error_mm` is the mean absolute error of the circumference.
    """
    counts = overlap(predicted, part.labels, len(classes))
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
            "hd95": _mean(_distances(predicted, part, index + 1, shown)),
            "area_ratio": _mean(areas[shown, index]),
            "n": len(shown),
        }
    each = np.array([row[here].mean() if here.any() else np.nan for row, here in
                     zip(dice, present, strict=True)])  # fmt: skip
    return {
        "classes": by_class,
        "images": dict(zip(part.names, each.tolist(), strict=True)),
        "dice": _mean(each),
        "area_ratio": _mean(
            (predicted > 0).sum((1, 2)) / np.maximum((part.labels > 0).sum((1, 2)), 1)
        ),
        "hc_error_mm": _mean(_circumference_errors(predicted, part)),
    }


def _distances(predicted: Labels, part: Part, label: int, shown: np.ndarray) -> list[float]:
    """Return the HD95 of every image in which a class is both shown and predicted."""
    distances = []
    for i in shown:
        masks = predicted[i] == label, part.labels[i] == label
        size = part.mm[i] if np.isfinite(part.mm[i]).all() else np.ones(2)
        if masks[0].any():
            distances.append(surface_distances(*masks, size.tolist()).hausdorff())
    return distances


def _circumference_errors(predicted: Labels, part: Part) -> list[float]:
    """Return how far in mm the circumference of what is no background is from the known one."""
    known = np.flatnonzero(np.isfinite(part.head_mm) & (predicted > 0).any((1, 2)))
    return [
        abs(head_circumference(predicted[i] > 0, part.mm[i].tolist()) - float(part.head_mm[i]))
        for i in known
    ]


def despeckling(images: Images, part: Part) -> dict[str, Any]:
    """Return how much speckle and how much of the edges is left; against clean ones if known.

    `enl` is the median over images of the effective number of looks in the most homogeneous
    window of the image before, an eighth of its height wide.
    """
    now, before = images / np.float32(255), part.images / np.float32(255)
    edges = np.asarray(edge_preservation(before, now))
    even = homogeneous_regions(before, max(2, before.shape[1] // 8))
    measured: dict[str, Any] = {
        "speckle_index": _mean(np.asarray(speckle_index(now))),
        "enl": float(np.nanmedian(effective_number_of_looks(now, even))),
        "edge_preservation": _mean(edges),
        "images": dict(zip(part.names, edges.tolist(), strict=True)),
    }
    if part.clean is not None:
        measured |= _against(now, part.clean / np.float32(255))
    return measured


def simulated_speckle(
    config: Config, denoiser: Predictor, images: Images, seed: int
) -> dict[str, Any]:
    """Return PSNR, SSIM and GMSD of images recovered from the reference paper's speckle."""
    known, key = images / np.float32(255), Streams(seed).key("test speckle")
    quality: dict[str, Any] = {}
    for level, sigma in enumerate(config.speckle.sigmas):
        noisy = in_8_bits(np.asarray(speckled(
            jax.random.fold_in(key, level), jnp.asarray(known), sigma,
            centered=config.speckle.centered,
        )))  # fmt: skip
        quality[f"{sigma:g}"] = {
            variant: _against(make_inputs(variant, noisy, denoiser) / np.float32(255), known)
            for variant in config.input_variants
        }
    return quality


def off_palette_colors(labels: Labels) -> dict[str, float]:
    """Return the share of pixels of no class's color after color masks are made smaller by 2/3.

    By nearest neighbors, and by bilinear interpolation.
    """
    height, width = (2 * side // 3 for side in labels.shape[1:])
    shares: dict[str, list[float]] = {"nearest": [], "bilinear": []}
    for one in labels:
        for how, mask in colors.resized(colors.encode(one), height, width).items():
            shares[how].append(colors.off_palette(mask).mean())
    return {how: _mean(values) for how, values in shares.items()}


def _against(images: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    return {
        "psnr": _mean(np.asarray(psnr(images, clean))),
        "ssim": _mean(np.asarray(ssim(images, clean))),
        "gmsd": _mean(np.asarray(gmsd(images, clean))),
    }


def cases(
    config: Config, test: Part, inputs: dict[str, Images], predicted: dict[str, Labels]
) -> dict[str, np.ndarray]:
    """Return the first test images in every variant, with true and predicted labels, as uint8."""
    count = min(config.evaluate.cases, len(test))
    arrays = {"labels": test.labels[:count]}
    for variant, images in inputs.items():
        arrays[f"image_{variant}"] = images[:count, ..., 0]
        arrays[f"predicted_{variant}"] = predicted[variant][:count]
    if test.clean is not None:
        arrays["clean"] = test.clean[:count, ..., 0]
    return arrays


def _mean(values: Any) -> float:
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    return float(kept.mean()) if len(kept) else float("nan")
