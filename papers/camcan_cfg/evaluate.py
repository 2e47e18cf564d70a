"""Evaluation of one trained seed: pictures at every guidance scale, and what they are worth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.stats

from common.data.splits import PARTS
from common.metrics.frechet import Statistics, frechet_distance
from common.metrics.kid import kernel_distance
from common.metrics.regression import regression_errors
from common.metrics.ssim import all_pairs_ssim
from common.results import folder as results
from common.study.protocol import Evaluation, Run
from common.training.writer import read_curves
from papers.camcan_cfg.audit import leak, memorise
from papers.camcan_cfg.brain_age import Reader, train_reader
from papers.camcan_cfg.config import Config
from papers.camcan_cfg.data import Prepared, Slices, load
from papers.camcan_cfg.features import Extractor
from papers.camcan_cfg.sampling import Sampler, as_float, as_uint8, generate, pictures
from papers.camcan_cfg.train import trained_network


def evaluate(run: Run, prepared: Prepared, seed: int) -> Evaluation:
    """Return the metrics and the pictures of one seed; the generated sets are kept in its folder.

    As in the source the conditions and the real reference are the validation slices; what reads
    age from pictures is trained on the training slices, and tried on the test slices.
    """
    config: Config = run.config
    # 8 bits as in generated pictures: a reader must not tell the two apart by their precision
    parts = {part: in_8_bits(load(prepared, part)) for part in PARTS}
    validation, test = parts["validation"], parts["test"]
    sampler = Sampler(config, trained_network(run, seed))
    draws = np.random.default_rng([seed, 0])
    chosen = draws.permutation(len(validation))[: config.evaluate.images]
    conditions = validation.conditions[chosen]
    seeds = draws.integers(0, 2**32, len(chosen))
    sets = generate(sampler, conditions, seeds, run.seed_folder(seed) / "generated")

    features = Extractor(config.evaluate.features)
    real = validation.spread(config.evaluate.real_images or len(validation))
    reference = reference_features(features, real, run.work / "reference_features.npz")
    first, second = halves(reference)
    reader = train_reader(parts["train"], validation, config.brain_age, seed)
    guidance = {
        scale: quality(features, features(as_float(images)), reference, as_float(images))
        | readings(reader, as_float(images), conditions)
        for scale, images in sets.items()
    }
    memorisation, pairs = memorise(config, as_float(sets["1.0"]), parts)
    metrics = {
        "guidance": guidance,
        "real": quality(features, first, second, validation.images[chosen])
        | readings(reader, test.images, test.conditions),
        "memorisation": memorisation,
        "leak": leak(config, parts, reader, seed),
        "training": read_curves(run.seed_folder(seed) / "train.jsonl", "validation_loss"),
        "reader_training": reader.history,
    }
    arrays = pictures(sampler, sets, validation, chosen, seed) | pairs
    if not config.evaluate.keep_real_pictures:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("real_")}
    return Evaluation(metrics, arrays)


def reference_features(features: Extractor, real: Slices, path: Path) -> np.ndarray:
    """Return the features of the real slices, computed once for all seeds."""
    if not path.exists():
        results.save_arrays(path, {"features": features(real.images)})
    with np.load(path) as archive:
        return archive["features"]


def in_8_bits(slices: Slices) -> Slices:
    """Return slices clipped to [0, 1] and rounded to 256 levels, as an 8-bit PNG holds them."""
    return replace(slices, images=as_float(as_uint8(slices.images)))


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


def readings(reader: Reader, images: np.ndarray, asked: np.ndarray) -> dict[str, dict[str, float]]:
    """Return how well age, slice number and sex are read from pictures, against those asked for."""
    read = reader(images)
    female, male = (read[asked[:, 1] == sex, 1] for sex in (1, 2))
    auroc = np.nan
    if len(female) and len(male):
        auroc = scipy.stats.mannwhitneyu(male, female).statistic / (len(female) * len(male))
    return {
        "brain_age": _errors(read[:, 0], asked[:, 0]),
        "slice": _errors(read[:, 2], asked[:, 2]),
        "sex": {"auroc": float(auroc)},
    }


def _errors(read: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    errors, variance = regression_errors(read, asked), float(np.var(asked))
    skill = 1 - errors.mse / variance if variance else np.nan  # share of variance explained
    return {
        "mae": errors.mae,
        "mse": errors.mse,
        "rmse": errors.rmse,
        "r": errors.r,
        "skill": skill,
    }
