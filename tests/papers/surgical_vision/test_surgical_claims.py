"""Claims: each verdict's word from made-up metrics."""

from typing import Any

import pytest

from common.report import reported
from common.results.metrics_file import value_at
from papers.surgical_vision import claims
from papers.surgical_vision.study import STUDY
from tests.papers.surgical_vision.made_up import changed, metrics

REPORTED = reported.read(STUDY.folder / "reported.toml")
# Of each claim: what supports it, where all models are alike else; what then speaks against it.
CASES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "autoencoder_keeps_the_shape": (
        {"autoencoder.operation.share": 0.2, "autoencoder.operation.peak": 0.9},
        {"gan.operation.peak": 0.95},
    ),
    "pix2pix_changes_hair_color": (
        {"pix2pix.color.hair": 9.0},
        {"pix2pix.color.background": 12.0},
    ),
    "pix2pix_looks_painted": (
        {"pix2pix.sharpness": 0.5, "pix2pix.ssim": 0.9},
        {"pix2pix.sharpness": 1.2},
    ),
    "cyclegan_changes_almost_nothing": (
        {"cyclegan.operation.share": 0.1, "cyclegan.operation.move": 0.1},
        {"cyclegan.operation.move": 0.9},
    ),
    "cyclegan_changes_lips_or_skin": (
        {"cyclegan.color.lips": 5.0},
        {"cyclegan.color.background": 8.0},
    ),
    "stargan_changes_the_shape_most": (
        {"stargan.operation.move": 2.0},
        {"style_transfer.operation.move": 3.0},
    ),
    "starganv2_is_natural": (
        {"starganv2.lpips_alex": 0.1, "starganv2.kid": 0.01, "starganv2.sharpness": 0.95},
        {"cyclegan_sa.kid": 0.001},
    ),
    "diffusion_keeps_quality_and_varies": (
        {"stable_diffusion.sharpness": 0.9, "stable_diffusion.diversity": 0.4},
        {"pix2pix.diversity": 0.6},
    ),
    "gan_is_worst": (
        {"gan.ssim": 0.1, "gan.psnr": 10.0, "gan.lpips_alex": 0.9, "gan.fid768": 100.0},
        {"gan.psnr": 30.0},
    ),
    "style_transfer_lacks_detail": (
        {"style_transfer.operation.share": 0.1, "style_transfer.color.skin": 5.0},
        {"style_transfer.color.skin": 1.0},
    ),
    "perceptual_loss_improves_detail": (
        {"vae_perceptual.sharpness": 0.9, "vae_perceptual.lpips_alex": 0.1},
        {"vae_perceptual.lpips_alex": 0.9},
    ),
    "latent_units_are_inactive": (
        {"vae_perceptual.latent.active_share": 0.5},
        {"vae_perceptual.latent.active_share": 1.0},
    ),
    "lora_trains_little": (
        {"stable_diffusion_lora.trained_share_published": 0.00093},
        {"stable_diffusion_lora.trained_share_published": 0.02},
    ),
    "prompt_dominates": (
        {"stable_diffusion_lora.prompt.of_prompt": 0.5},
        {"stable_diffusion_lora.prompt.of_face": 0.7},
    ),
    "attention_focuses": ({"stargan_sa.concentration": 0.9}, {"stargan.concentration": 0.95}),
    "attention_is_inaccurate": (
        {"stargan_sa.operation.peak": 0.1, "stargan_sa.own": 0.1},
        {"stargan_sa.own": 0.9},
    ),
    "heads_deform_too_much": (
        {"stargan_mha.operation.move": 2.0},
        {"stargan_sa.operation.move": 3.0},
    ),
    "raised_weight_limits_change": (
        {"stargan_sa_raised.operation.move": 0.1, "stargan_mha_raised.operation.move": 0.1},
        {"stargan_mha_raised.operation.move": 0.9},
    ),
    "raised_weight_is_no_better": (
        {"stargan_sa_raised.kid": 0.5, "stargan_mha_raised.lpips_alex": 0.9},
        {"stargan_sa_raised.kid": 0.01, "stargan_sa_raised.lpips_alex": 0.1},
    ),
    "attention_in_both_deforms_clearly": (
        {"stargan_sa_gd_raised.operation.peak": 0.9},
        {"stargan.operation.peak": 0.99},
    ),
}
NEEDS_ATTENTION = {
    "attention_focuses": "stargan_sa",
    "attention_is_inaccurate": "stargan_sa",
    "heads_deform_too_much": "stargan_mha",
    "attention_in_both_deforms_clearly": "stargan_sa_gd_raised",
}


def seeds(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [changed(metrics(), each) for each in changes]


def test_every_claim_of_the_source_has_its_test_here():
    tested = [claim.test for claim in REPORTED.claims if claim.test]
    assert sorted(tested) == sorted(CASES)
    assert {claim.id for claim in REPORTED.claims if claim.not_testable} == {
        "vae_latent",
        "cyclegan_attention",
    }


@pytest.mark.parametrize("name", CASES)
def test_a_clear_case_is_supported(name):
    supports, _ = CASES[name]
    assert getattr(claims, name)(seeds(*[supports] * 3)).word == "supported"
    assert getattr(claims, name)(seeds(*[supports] * 2)).word == "no verdict"


@pytest.mark.parametrize("name", CASES)
def test_the_opposite_is_contradicted_and_seeds_that_differ_are_inconclusive(name):
    supports, against = CASES[name]
    assert getattr(claims, name)(seeds(*[supports | against] * 3)).word == "contradicted"
    mixed = seeds(supports, supports | against, supports)
    assert getattr(claims, name)(mixed).word == "inconclusive"


@pytest.mark.parametrize("name", CASES)
def test_each_part_of_a_claim_must_be_measured(name):
    supports, _ = CASES[name]
    for path in supports:
        missing = dict.fromkeys(supports, None) if "no_better" in name else {path: None}
        found = seeds(supports, supports | missing, supports)
        assert getattr(claims, name)(found).word == "not testable", path


@pytest.mark.parametrize("name", CASES)
def test_what_a_claim_looks_at_is_what_an_evaluation_measures(name, monkeypatch):
    looked, real = [], claims.values
    monkeypatch.setattr(
        claims, "values", lambda seeds, path: looked.append(path) or real(seeds, path)
    )
    getattr(claims, name)(seeds({}, {}, {}))
    assert looked
    assert not [path for path in looked if value_at(metrics(), path) is None]


@pytest.mark.parametrize(("name", "model"), NEEDS_ATTENTION.items())
def test_attention_that_stayed_near_nothing_cannot_be_tested(name, model):
    supports, _ = CASES[name]
    weak = {f"{model}.gamma.generator": [0.004, -0.009]}
    verdict = getattr(claims, name)(seeds(supports, supports | weak, supports))
    assert verdict.word == "not testable"
    assert "0.009" in verdict.detail
    strong = {f"{model}.gamma.generator": [0.001, -0.2]}  # one module is enough, of either sign
    assert getattr(claims, name)(seeds(*[supports | strong] * 3)).word == "supported"
    assert getattr(claims, name)(seeds(weak, weak)).word == "no verdict"


def test_a_part_that_is_contradicted_is_named_first():
    supports, against = CASES["autoencoder_keeps_the_shape"]
    detail = claims.autoencoder_keeps_the_shape(seeds(*[supports | against] * 3)).detail
    assert detail.startswith("peak above the GAN's")
    assert "share minus 0.5" in detail


def test_without_known_operations_only_what_needs_none_gets_a_verdict():
    found = [metrics(known=False) for _ in range(3)]
    words = {name: getattr(claims, name)(found).word for name in CASES}
    untestable = {name for name, word in words.items() if word == "not testable"}
    assert untestable == {
        "autoencoder_keeps_the_shape", "pix2pix_changes_hair_color",
        "cyclegan_changes_almost_nothing", "cyclegan_changes_lips_or_skin",
        "stargan_changes_the_shape_most", "starganv2_is_natural", "style_transfer_lacks_detail",
        "attention_is_inaccurate", "heads_deform_too_much", "raised_weight_limits_change",
        "attention_in_both_deforms_clearly",
    }  # fmt: skip
