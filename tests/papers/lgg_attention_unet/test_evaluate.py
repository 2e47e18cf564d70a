"""What is measured on test patients, on masks whose numbers are known by hand."""

import numpy as np
import pytest

from papers.lgg_attention_unet.baseline import fit_threshold
from papers.lgg_attention_unet.config import Config, EvaluateConfig
from papers.lgg_attention_unet.data import Part
from papers.lgg_attention_unet.datasets import Stack
from papers.lgg_attention_unet.evaluate import measure
from papers.lgg_attention_unet.inference import best_threshold, predicted_mask


def patient(name: str, masks: np.ndarray, bright: int = 200) -> Stack:
    images = np.full((*masks.shape, 3), 100, np.uint8)
    images[masks, 1] = bright
    return Stack(name, images, masks)


def square(size: int, slices: int = 3, at: int = 1) -> np.ndarray:
    masks = np.zeros((slices, 20, 20), bool)
    masks[at, 4 : 4 + size, 4 : 4 + size] = True
    return masks


@pytest.fixture
def part() -> Part:
    return Part(
        (
            patient("a", square(8)),
            patient("b", square(4)),
            patient("healthy", np.zeros((3, 20, 20), bool)),
        )
    )


def maps(*masks: np.ndarray, high: float = 0.9) -> list[np.ndarray]:
    return [np.where(mask, high, 0.1).astype(np.float32) for mask in masks]


def test_a_perfect_segmentation(part: Part) -> None:
    found = measure(part, maps(*(one.masks for one in part.stacks)), Config())
    assert found["patients"] == {"a": 1.0, "b": 1.0}
    assert found["patient"]["n"] == 2
    assert found["slice"] | {"n": 0} == {
        "dice": 1, "iou": 1, "precision": 1, "recall": 1, "hd95": 0, "assd": 0, "fnr": 0,
        "fpr": 0, "n": 0,
    }  # fmt: skip
    for what, n, positive in (("slice", 9, 2), ("patient", 3, 2)):
        detection = found["detection"][what]
        assert (detection["auroc"], detection["f1"]) == (1, 1)
        assert (detection["n"], detection["positive"]) == (n, positive)
    assert found["detection"]["patient"]["f1_always"] == pytest.approx(0.8)


def test_a_shifted_a_missed_and_a_false_one(part: Part) -> None:
    shifted = np.roll(square(8), 2, axis=1)
    false = square(2, at=0)
    found = measure(part, maps(shifted, np.zeros_like(shifted), false), Config())
    assert found["patients"] == pytest.approx({"a": 0.75, "b": 0.0})
    assert found["patient"]["dice"] == pytest.approx(0.375)
    assert found["patient"]["dice_median"] == pytest.approx(0.375)
    assert found["patient"]["recall"] == pytest.approx(0.375)
    assert found["slice"]["hd95"] == 2
    assert found["slice"]["fnr"] == 0.5
    assert found["slice"]["fpr"] == pytest.approx(1 / 7)
    assert found["detection"]["patient"]["f1"] == pytest.approx(0.5)
    sizes = {name: one["n"] for name, one in found["size"].items()}
    assert sizes == {"small": 0, "medium": 0, "large": 2}


def test_volumes_are_weighed_by_pixels_and_slices_are_not() -> None:
    masks = square(8) | square(2, at=2)
    said = square(8)
    found = measure(Part((patient("a", masks),)), maps(said), Config())
    assert found["patients"]["a"] == pytest.approx(2 * 64 / (64 + 68))
    assert found["slice"]["dice"] == pytest.approx(0.5)
    assert np.isnan(found["detection"]["patient"]["auroc"])


def test_the_threshold_decides_and_soft_scores_do_not_need_it(part: Part) -> None:
    sure = maps(*(one.masks for one in part.stacks), high=0.6)
    found = measure(part, sure, Config())
    assert found["patient"]["dice"] == 1
    p, t = np.concatenate(sure), part.masks
    both, total = p[t].sum(), p.sum() + t.sum()
    assert found["published"]["soft_dice"] == pytest.approx((2 * both + 0.1) / (total + 0.1), 1e-4)
    assert found["published"]["soft_iou"] == pytest.approx(
        (both + 0.1) / (total - both + 0.1), 1e-4
    )


def test_the_largest_part_of_a_volume_is_kept_over_slices_and_corners() -> None:
    corner = np.zeros((3, 20, 20), bool)
    corner[2, 8:10, 8:10] = True  # touches the square of the slice before at one corner
    alone = np.zeros((3, 20, 20), bool)
    alone[0, 15:19, 15:19] = True
    (found,) = maps(square(4) | corner | alone)
    every, largest = EvaluateConfig(), EvaluateConfig(largest=True)
    np.testing.assert_array_equal(predicted_mask(found, every), square(4) | corner | alone)
    np.testing.assert_array_equal(predicted_mask(found, largest), square(4) | corner)
    assert not predicted_mask(found / 10, largest).any()
    part = Part((patient("a", square(4) | corner),))
    assert measure(part, [found], Config(evaluate=largest))["patient"]["dice"] == 1
    assert measure(part, [found], Config(evaluate=every))["patient"]["precision"] < 1


def test_the_threshold_is_the_one_that_validation_patients_are_marked_best_with() -> None:
    masks, halo = square(8), square(12)
    found = np.where(masks, 0.65, np.where(halo, 0.45, 0.05)).astype(np.float32)
    part = Part((patient("a", masks), patient("healthy", np.zeros_like(masks))))
    assert best_threshold(part, lambda _: found, EvaluateConfig()) == 0.5
    lower = Part((patient("a", halo), patient("healthy", np.zeros_like(masks))))
    assert best_threshold(lower, lambda _: found, EvaluateConfig()) == 0.1
    healthy = Part((patient("healthy", np.zeros_like(masks)),))
    assert best_threshold(healthy, lambda _: found, EvaluateConfig(threshold=0.35)) == 0.35


def test_the_threshold_baseline_finds_a_threshold_that_separates(part: Part) -> None:
    threshold = fit_threshold(part)
    found = measure(part, [threshold(one) for one in part.stacks[:2]] + maps(part.stacks[2].masks),
                    Config())  # fmt: skip
    assert found["patient"]["dice"] == 1
    faint = patient("faint", square(8), bright=100)
    assert threshold(faint)[~faint.masks].mean() == threshold(faint)[faint.masks].mean()
