"""The source's claims in words, each as a test on the metrics of the seeds.

All compare on the same test images: a difference is taken image by image, and its mean over
the images is one seed's value.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.claims import greater, positive, values
from common.report.verdicts import Verdict

Seeds = Sequence[dict[str, Any]]


def denoised_is_cleaner(seeds: Seeds) -> Verdict:
    """The speckle index of denoised images is below that of the images themselves."""
    raw = values(seeds, "despeckling.raw.speckle_index")
    return greater(
        raw, values(seeds, "despeckling.denoised.speckle_index"), "fall of speckle index"
    )


def raw_beats_denoised(seeds: Seeds) -> Verdict:
    """SegNet's Dice on images is above that on denoised ones, each trained on its own variant."""
    return positive(_paired(seeds, "raw", "denoised"), "Dice on raw minus on denoised")


def denoised_is_over_segmented(seeds: Seeds) -> Verdict:
    """On denoised images more area is predicted than there is."""
    ratios = values(seeds, "segmentation.denoised.area_ratio")
    return positive([ratio - 1 for ratio in ratios], "predicted area over true area, minus 1")


def interpolation_makes_off_palette_colors(seeds: Seeds) -> Verdict:
    """Resizing masks by interpolation gives colors of no class; by nearest neighbors none."""
    nearest = values(seeds, "off_palette_colors.nearest")
    if any(count > 0 for count in nearest):
        return Verdict("contradicted", "nearest neighbors gave off-palette colors too")
    return positive(
        values(seeds, "off_palette_colors.bilinear"), "share of pixels of no class's color"
    )


def lost_detail_costs_dice(seeds: Seeds) -> Verdict:
    """Over images, the more of its edges is kept the less Dice is lost by denoising."""
    correlations = []
    for seed in seeds:
        kept = seed["despeckling"]["denoised"]["images"]
        raw, denoised = (seed["segmentation"][v]["images"] for v in ("raw", "denoised"))
        names = [name for name in kept if raw[name] is not None and denoised[name] is not None]
        gain = [denoised[name] - raw[name] for name in names]
        edges = [kept[name] for name in names]
        varied = len(names) > 2 and np.std(gain) > 0 and np.std(edges) > 0
        correlations.append(float(np.corrcoef(edges, gain)[0, 1]) if varied else np.nan)
    return positive(correlations, "correlation of edges kept with Dice gained")


def shift_costs_dice(seeds: Seeds) -> Verdict:
    """On denoised images, a SegNet trained on raw ones does worse than one trained on them."""
    shifted = values(seeds, "train_test_mismatch.raw_on_denoised.dice")
    return greater(values(seeds, "segmentation.denoised.dice"), shifted, "Dice lost to the shift")


def chosen_strength_helps(seeds: Seeds) -> Verdict:
    """The strength with the best Dice in validation beats full strength on the test images."""
    chosen = [_best_strength(seed) for seed in seeds]
    if any(len(seed["validation_dice"]) < 2 for seed in seeds):
        return Verdict("not testable", "no other strength was trained")
    gains = [_difference(seed, v, "denoised") for seed, v in zip(seeds, chosen, strict=True)]
    verdict = positive(gains, "Dice at the chosen strength minus at full strength")
    return Verdict(verdict.word, f"{verdict.detail}; chosen: {', '.join(chosen)}")


def tuning_helps(seeds: Seeds) -> Verdict:
    """A denoiser that learns from the segmenter's loss beats the one that does not."""
    if any("joint" not in seed["segmentation"] for seed in seeds):
        return Verdict("not testable", "denoiser and segmenter were not trained together")
    return positive(_paired(seeds, "joint", "denoised"), "Dice together minus one after the other")


def _best_strength(seed: dict[str, Any]) -> str:
    dice = {name: -1.0 if v is None else v for name, v in seed["validation_dice"].items()}
    return max(sorted(dice), key=lambda name: dice[name])


def _paired(seeds: Seeds, variant: str, than: str) -> list[float]:
    return [_difference(seed, variant, than) for seed in seeds]


def _difference(seed: dict[str, Any], variant: str, than: str) -> float:
    """Return the mean over images of the difference of their Dice."""
    ours, theirs = (seed["segmentation"][name]["images"] for name in (variant, than))
    pairs = [(ours[name], theirs[name]) for name in ours]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    return float(np.mean(differences)) if differences else float("nan")
