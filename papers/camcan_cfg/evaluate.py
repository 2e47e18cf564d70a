"""Evaluation of one trained seed: images at every guidance scale, and what they are worth."""

from __future__ import annotations

import numpy as np

from common import provenance
from common.metrics.classification import auroc
from common.metrics.frechet import Statistics, frechet_distance
from common.metrics.kid import kernel_distance
from common.metrics.regression import regression_errors
from common.metrics.ssim import all_pairs_ssim
from common.results.cache import cached
from common.study import config as configs
from common.study.protocol import Evaluation, Prepared, Run
from common.training.loop import LOG
from common.training.writer import read_curves
from papers.camcan_cfg.audit import leakage, memorize
from papers.camcan_cfg.brain_age import Regressor, slices_by_part, trained_regressor
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import Slices, as_float, in_8_bits
from papers.camcan_cfg.features import Extractor
from papers.camcan_cfg.sampling import Sampler, figure_images, generate
from papers.camcan_cfg.train import trained_network


def evaluate(run: Run[Config], prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics and the images of one seed; generated sets are kept with its network.

    As in the source the conditions and the real reference are the validation slices; what predicts
    age from images is trained on the training slices, and tried on the test slices.
    """
    config = run.config
    splits = {split: slices_by_part(prepared, config, split) for split in ("slice", "subject")}
    regressors = {
        split: trained_regressor(run.unit(prepared, seed, f"regressor_{split}"), parts["train"])
        for split, parts in splits.items()
    }
    parts, regressor = splits[config.data.split], regressors[config.data.split]
    validation, test = parts["validation"], parts["test"]
    denoiser = run.unit(prepared, seed, "denoiser")
    sampler = Sampler(config, trained_network(denoiser))
    draws = np.random.default_rng([seed, 0])
    chosen = draws.permutation(len(validation))[: config.evaluate.images]
    conditions = validation.conditions[chosen]
    seeds = draws.integers(0, 2**32, len(chosen))
    sets = generate(sampler, conditions, seeds, denoiser.folder / "generated")

    features = Extractor(config.evaluate.features)
    real = validation.spread(config.evaluate.real_images or len(validation))
    reference = reference_features(features, real, prepared)
    first, second = halves(reference)
    guidance = {
        scale: quality(features, features(as_float(images)), reference, as_float(images))
        | predictions(regressor, as_float(images), conditions)
        for scale, images in sets.items()
    }
    memorization, pairs = memorize(config, as_float(sets["1.0"]), parts)
    curves = {
        name: read_curves(run.unit(prepared, seed, name).folder / LOG, "validation_loss")
        for name in ("denoiser", f"regressor_{config.data.split}")
    }
    metrics = {
        "guidance": guidance,
        "real": quality(features, first, second, validation.images[chosen])
        | predictions(regressor, test.images, test.conditions),
        "memorization": memorization,
        "leakage": leakage(config, splits, regressors),
        "training": curves["denoiser"],
        "regressor_training": curves[f"regressor_{config.data.split}"],
    }
    arrays = figure_images(sampler, sets, validation, chosen, seed) | pairs
    if not config.evaluate.keep_real_images:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("real_")}
    return Evaluation(metrics, arrays)


def reference_features(features: Extractor, real: Slices, prepared: Prepared) -> np.ndarray:
    """Return the features of the real slices, computed once for all seeds and runs on them."""
    key = configs.digest(
        prepared.content_hash, features.kind, len(real), provenance.digest(Extractor, in_8_bits)
    )
    folder = prepared.folder / "features"
    return cached(folder, "real", key, lambda: {"features": features(real.images)})["features"]


def quality(
    features: Extractor, drawn: np.ndarray, reference: np.ndarray, images: np.ndarray
) -> dict[str, float]:
    """Return FID and KID of `drawn` features against real ones, and SSIM over pairs of `images`."""
    distance = kernel_distance(drawn, reference)
    return {
        features.fid: frechet_distance(Statistics.of(drawn), Statistics.of(reference)).value,
        "kid": distance.mean,
        "kid_std": distance.std,
        "ssim": all_pairs_ssim(images).mean,
        "n": len(images),
    }


def halves(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of real slices cut at random in two: the source's real against real."""
    first, second = np.array_split(np.random.default_rng(0).permutation(features), 2)
    return first, second


def predictions(
    regressor: Regressor, images: np.ndarray, asked: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return how well age, slice number and sex are predicted from images, against those asked."""
    predicted = regressor(images)
    return {
        "brain_age": _errors(predicted[:, 0], asked[:, 0]),
        "slice": _errors(predicted[:, 2], asked[:, 2]),
        "sex": {"auroc": auroc(predicted[:, 1], asked[:, 1] == 2)},
    }


def _errors(predicted: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    errors, variance = regression_errors(predicted, asked), float(np.var(asked))
    skill = 1 - errors.mse / variance if variance else np.nan  # share of variance explained
    return {
        "mae": errors.mae,
        "mse": errors.mse,
        "rmse": errors.rmse,
        "r": errors.r,
        "skill": skill,
    }
