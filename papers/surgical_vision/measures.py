"""What the outputs of a model on the test part are measured by."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from common.metrics.color_difference import color_difference
from common.metrics.concentration import concentration
from common.metrics.ladder import changed_region, share_of_ladder
from common.metrics.nearest import nearest_is_own, pairwise_lpips
from common.metrics.optical_flow import shape_change
from common.metrics.psnr import psnr
from common.metrics.sharpness import relative_sharpness
from common.metrics.ssim import ssim
from papers.surgical_vision.data import Images, Part
from papers.surgical_vision.features import Vectors
from papers.surgical_vision.pair import DOMAINS, LADDER, REGIONS

COLORED = ("background", "skin", "lips", "hair")  # regions whose color is compared
_FEWEST = 4  # pixels that a region must have


def measured(
    outputs: Images,
    part: Part,
    ladders: UInt8[np.ndarray, "pairs shares height width 3"] | None,
    vectors: dict[str, Vectors],
) -> dict[str, Any]:
    """Return a model's measures: means over the test faces.

    `ladders` are those of the part where its operations are known; without, what needs the truth
    is left out. `vectors` are those of "outputs", "before" and "after".
    """
    made, before, after = (_unit(x) for x in (outputs, part.before, part.after))
    distances = vectors["outputs"].distances(vectors["after"])
    found: dict[str, Any] = {
        "ssim": mean(ssim(made, after)),
        "psnr": mean(psnr(made, after)),
        **{f"lpips_{net}": mean(values) for net, values in distances.items()},
        "change": mean(np.abs(made - before).mean((1, 2, 3))),
        "sharpness": mean(relative_sharpness(made, after)),
        "concentration": mean(concentration(before, made)),
        "n": len(part),
    }
    if "alex" in vectors["outputs"].of:
        apart = pairwise_lpips(vectors["outputs"].of["alex"], vectors["before"].of["alex"])
        found["own"] = float(nearest_is_own(apart).mean())
    if part.truth is not None and ladders is not None:
        found["operation"] = operation(made, before, part, _unit(ladders))
        found["color"] = colors(made, before, part.truth.regions)
    return found


def operation(
    made: Float[np.ndarray, "pairs height width 3"],
    before: Float[np.ndarray, "pairs height width 3"],
    part: Part,
    ladders: Float[np.ndarray, "pairs shares height width 3"],
) -> dict[str, Any]:
    """Return how much of the operation is carried out: `share`, `peak`, `move`; see docs/metrics.

    `shares` by domain are of the faces with that operation alone.
    """
    assert part.truth is not None
    flow = part.truth.flow.astype(np.float64)
    found = share_of_ladder(made, ladders, LADDER, changed_region(flow))
    alone = part.labels.sum(1) == 1
    return {
        "share": mean(found.share),
        "peak": mean(found.peak),
        "move": mean(shape_change(before, made, flow)),
        "shares": {
            name: mean(found.share[alone & (part.labels[:, i] > 0)])
            for i, name in enumerate(DOMAINS)
        },
    }


def colors(
    made: Float[np.ndarray, "pairs height width 3"],
    before: Float[np.ndarray, "pairs height width 3"],
    regions: UInt8[np.ndarray, "pairs height width"],
) -> dict[str, float]:
    """Return the color difference to the face before in each region; NaN where none is known."""
    found = {}
    for name in COLORED:
        mask = regions == REGIONS.index(name)
        rows = mask.sum((1, 2)) >= _FEWEST
        found[name] = mean(color_difference(made[rows], before[rows], mask[rows])) if any(
            rows
        ) else float("nan")  # fmt: skip
    return found


def mean(values: Any) -> float:
    """Return the mean of what is finite, NaN where nothing is."""
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    return float(kept.mean()) if len(kept) else float("nan")


def _unit(images: np.ndarray) -> Float[np.ndarray, "*shape"]:
    return images / np.float32(255)
