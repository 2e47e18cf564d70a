"""The claims' tests on metrics that decide them either way, and the study's own audits."""

from dataclasses import replace

import numpy as np
import pytest

from common.report import reported
from papers import studies
from papers.camcan_cfg import claims
from papers.camcan_cfg.audit import memorize
from papers.camcan_cfg.brain_age import resplit
from papers.camcan_cfg.config import Config, DataConfig, EvaluateConfig
from papers.camcan_cfg.data import Slices, as_float, as_uint8
from papers.camcan_cfg.study import STUDY


def seeds(fid=(1, 2, 3, 4), ssim=(4, 3, 2, 1), mae=(7, 5, 6, 8), skill=0.8, real=0.9, count=3):
    """Return metrics of seeds that differ by a little noise."""
    rng = np.random.default_rng(0)

    def near(value: float) -> float:
        return float(value + 0.01 * rng.standard_normal())

    def reading(level: float) -> dict:
        return {
            "brain_age": {"skill": near(level), "mae": 5.0},
            "slice": {"skill": near(level)},
            "sex": {"auroc": near(0.5 + level / 2)},
        }

    return [
        {
            "guidance": {
                w: reading(skill)
                | {"fid768": near(fid[i]), "ssim": near(ssim[i])}
                | {"brain_age": {"mae": near(mae[i]), "skill": near(skill)}}
                for i, w in enumerate(claims.SCALES)
            },
            "real": reading(real),
        }
        for _ in range(count)
    ]


ALL = (
    claims.fid_rises_with_guidance,
    claims.ssim_falls_with_guidance,
    claims.quality_is_not_utility,
    claims.asked_age_shown,
    claims.asked_sex_shown,
    claims.asked_slice_shown,
)


@pytest.mark.parametrize("claim", ALL)
def test_the_sources_own_image_supports_every_claim(claim) -> None:
    assert claim(seeds()).word == "supported"


@pytest.mark.parametrize("claim", ALL)
def test_two_seeds_give_no_verdict(claim) -> None:
    assert claim(seeds(count=2)).word == "no verdict"


def test_the_opposite_contradicts() -> None:
    upside_down = seeds(fid=(4, 3, 2, 1), ssim=(1, 2, 3, 4), skill=-0.5)
    for claim in (ALL[0], ALL[1], *ALL[3:]):
        assert claim(upside_down).word == "contradicted"


def test_same_best_scale_does_not_support_that_quality_is_not_utility() -> None:
    assert claims.quality_is_not_utility(seeds(mae=(5, 6, 7, 8))).word != "supported"


def test_a_reader_that_fails_on_real_slices_decides_nothing() -> None:
    for claim in ALL[3:]:
        assert claim(seeds(real=0.0)).word == "not testable"


def test_every_claim_of_the_source_names_a_test_or_a_reason() -> None:
    for claim in reported.read(STUDY.folder / "reported.toml").claims:
        assert claim.not_testable or callable(getattr(claims, claim.test))
    assert studies.load("camcan") is STUDY


def parts() -> dict[str, Slices]:
    rng = np.random.default_rng(1)
    subjects = np.repeat([f"s{i:02d}" for i in range(20)], 6)
    base = np.repeat(rng.uniform(size=(20, 8, 8, 1)), 6, axis=0)
    images = np.clip(base + 0.02 * rng.standard_normal((120, 8, 8, 1)), 0, 1).astype(np.float32)
    numbers = np.tile(np.arange(42, 48), 20)
    conditions = np.stack([np.repeat(rng.integers(18, 89, 20), 6), np.ones(120), numbers], 1)
    whole = Slices(images, conditions.astype(np.float32), subjects)

    def take(rows: np.ndarray) -> Slices:
        return replace(
            whole,
            images=whole.images[rows],
            conditions=whole.conditions[rows],
            subjects=whole.subjects[rows],
        )

    return {
        "train": take(np.arange(72)),
        "validation": take(np.arange(72, 96)),
        "test": take(np.arange(96, 120)),
    }


def test_resplit_leaks_by_slice_and_not_by_subject() -> None:
    config = Config(data=DataConfig(split="subject"))
    for split, shared in (("slice", True), ("subject", False)):
        cut = resplit(config, parts(), split)
        assert sum(len(part) for part in cut.values()) == 120
        train, test = set(cut["train"].subjects), set(cut["test"].subjects)
        assert bool(train & test) == shared


def test_memorized_images_are_found() -> None:
    config = Config(evaluate=EvaluateConfig(memorization_images=16))
    cut = parts()
    copies, arrays = memorize(config, cut["train"].images[:16], cut)
    assert copies["generated_median"] == 0
    assert copies["generated_below_first_percentile"] == 1
    assert copies["heldout_median"] > 0.1
    np.testing.assert_array_equal(arrays["neighbors_generated"], arrays["real_nearest"])
    fresh = np.ones((16, 8, 8, 1), np.float32)  # far from all of them
    assert memorize(config, fresh, cut)[0]["generated_below_first_percentile"] == 0


def test_eight_bits_are_what_a_png_holds() -> None:
    images = np.array([-0.2, 0.0, 0.5, 1.0, 1.3], np.float32).reshape(5, 1, 1, 1)
    levels = as_uint8(images)
    assert levels.ravel().tolist() == [0, 0, 128, 255, 255]
    np.testing.assert_array_equal(as_uint8(as_float(levels)), levels)
