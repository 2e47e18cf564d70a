"""Claims: each verdict's word from made-up metrics."""

import copy
from typing import Any

import pytest

from papers.ultrasound_diconvae import claims


def seed(number: int) -> dict[str, Any]:
    wobble = 0.01 * number
    edges = {"a": 0.5, "b": 0.6 + wobble, "c": 0.9}

    def variant(dice: float, gains: tuple[float, float, float], ratio: float) -> dict[str, Any]:
        found = {name: dice + gain for name, gain in zip("abc", gains, strict=True)}
        return {"dice": dice, "images": found, "area_ratio": ratio}

    return {
        "segmentation": {
            "raw": variant(0.8 + wobble, (0, 0, 0), 1.0),
            "denoised": variant(0.75, (-0.05, -0.03, 0.02), 1.1 + wobble),
            "denoised50": variant(0.78 + wobble, (0, 0, 0), 1.0),
            "joint": variant(0.79 + wobble, (0, 0, 0), 1.0),
        },
        "train_test_mismatch": {"raw_on_denoised": {"dice": 0.6 + wobble}},
        "despeckling": {
            "raw": {"speckle_index": 0.4},
            "denoised": {"speckle_index": 0.2 + wobble, "images": edges},
        },
        "off_palette_colors": {"nearest": 0.0, "bilinear": 0.02 + wobble / 10},
        "validation_dice": {"denoised": 0.7, "denoised50": 0.75},
    }


SEEDS = [seed(i) for i in range(3)]
TESTS = [
    "denoised_is_cleaner",
    "raw_beats_denoised",
    "denoised_is_over_segmented",
    "interpolation_makes_off_palette_colors",
    "lost_detail_costs_dice",
    "shift_costs_dice",
    "chosen_strength_helps",
    "tuning_helps",
]


@pytest.mark.parametrize("name", TESTS)
def test_a_clear_case_is_supported(name: str) -> None:
    assert getattr(claims, name)(SEEDS).word == "supported"
    assert getattr(claims, name)(SEEDS[:2]).word == "no verdict"


@pytest.mark.parametrize(
    ("name", "path", "values"),
    [
        ("denoised_is_cleaner", "despeckling.denoised.speckle_index", (0.5, 0.51, 0.52)),
        ("denoised_is_over_segmented", "segmentation.denoised.area_ratio", (0.9, 0.91, 0.92)),
        ("interpolation_makes_off_palette_colors", "off_palette_colors.nearest", (0.1, 0.1, 0.1)),
        ("shift_costs_dice", "train_test_mismatch.raw_on_denoised.dice", (0.9, 0.91, 0.92)),
    ],
)
def test_the_opposite_is_contradicted(name: str, path: str, values: tuple) -> None:
    found = copy.deepcopy(SEEDS)
    *sections, last = path.split(".")
    for one, value in zip(found, values, strict=True):
        inside = one
        for section in sections:
            inside = inside[section]
        inside[last] = value
    assert getattr(claims, name)(found).word == "contradicted"


def test_images_are_paired_and_those_without_a_class_left_out() -> None:
    found = copy.deepcopy(SEEDS)
    for one in found:
        one["segmentation"]["denoised"]["images"]["a"] = None
        one["segmentation"]["raw"]["images"]["c"] = 0.0  # one image that denoising saves
        one["segmentation"]["raw"]["dice"] = 0.0
    assert claims.raw_beats_denoised(found).word == "contradicted"


def test_what_was_not_trained_is_not_testable() -> None:
    found = copy.deepcopy(SEEDS)
    for one in found:
        del one["segmentation"]["joint"]
        one["validation_dice"] = {"denoised": 0.7}
    assert claims.tuning_helps(found).word == "not testable"
    assert claims.chosen_strength_helps(found).word == "not testable"


def test_the_strength_is_chosen_by_validation_and_named() -> None:
    assert "denoised50, denoised50, denoised50" in claims.chosen_strength_helps(SEEDS).detail
    worse = copy.deepcopy(SEEDS)
    for one in worse:
        one["validation_dice"]["denoised50"] = 0.1
    assert claims.chosen_strength_helps(worse).word == "inconclusive"  # no difference at all
