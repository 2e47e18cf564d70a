"""The source's claims in words, each as a test on the metrics of the seeds.

A claim about w looks at the scales that the follow-up reports, 1 to 7. A claim that an image
shows what was asked for is tested at w = 3, the source's best for brain age, and only where the
regressor can read the same from real slices that it was not trained on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.claims import decreases, increases, positive, series, values
from common.report.verdicts import Verdict

SCALES = ("1.0", "3.0", "5.0", "7.0")
Seeds = Sequence[dict[str, Any]]


def _by_scale(seeds: Seeds, metric: str) -> np.ndarray:
    return np.array(series(seeds, [f"guidance.{w}.{metric}" for w in SCALES]))


def fid_rises_with_guidance(seeds: Seeds) -> Verdict:
    """The slope of FID over w is above zero."""
    return increases(_by_scale(seeds, "fid768").tolist(), "FID over w", [float(w) for w in SCALES])


def ssim_falls_with_guidance(seeds: Seeds) -> Verdict:
    """The slope of all-pairs SSIM over w is below zero."""
    return decreases(_by_scale(seeds, "ssim").tolist(), "SSIM over w", [float(w) for w in SCALES])


def quality_is_not_utility(seeds: Seeds) -> Verdict:
    """Brain age is predicted worse at the scale of the best FID than at its own best scale.

    Both scales are chosen on the other seeds and compared on the one left out, so that choosing
    the minimum of noisy values cannot support the claim by itself.
    """
    fid, mae = _by_scale(seeds, "fid768"), _by_scale(seeds, "brain_age.mae")
    gaps = []
    for seed in range(len(fid)):
        others = np.arange(len(fid)) != seed
        if not others.any() or not np.isfinite([fid, mae]).all():
            gaps.append(np.nan)
            continue
        best_quality = np.argmin(fid[others].mean(0))
        best_utility = np.argmin(mae[others].mean(0))
        gaps.append(float(mae[seed, best_quality] - mae[seed, best_utility]))
    return positive(gaps, "MAE at the best FID minus MAE at the best scale, years")


def _shown(seeds: Seeds, metric: str, chance: float, what: str) -> Verdict:
    """Test that the regressor beats chance on generated slices, as it does on real ones."""
    on_real = positive([v - chance for v in values(seeds, f"real.{metric}")], f"{what}, real")
    if on_real.word not in ("supported", "no verdict"):
        return Verdict("not testable", f"the regressor fails on real slices: {on_real.detail}")
    drawn = [v - chance for v in values(seeds, f"guidance.3.0.{metric}")]
    return positive(drawn, f"{what} at w = 3")


def asked_age_shown(seeds: Seeds) -> Verdict:
    """The age predicted from an image is closer to the asked age than its mean is."""
    return _shown(seeds, "brain_age.skill", 0.0, "share of age variance explained")


def asked_sex_shown(seeds: Seeds) -> Verdict:
    """The sex predicted from an image tells the asked sexes apart: AUROC above one half."""
    return _shown(seeds, "sex.auroc", 0.5, "AUROC above one half for sex")


def asked_slice_shown(seeds: Seeds) -> Verdict:
    """The slice number predicted from an image is closer to the asked one than its mean is."""
    return _shown(seeds, "slice.skill", 0.0, "share of slice-number variance explained")
