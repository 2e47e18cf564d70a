"""The source's claims in words, each as a test on the metrics of the seeds.

A measure of two models is compared inside of a seed, on the same test faces. A claim of several
parts is supported where all of them are, and contradicted where one is. A variant whose attention
stayed near nothing is its plain model: what is said of it cannot be tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.report.claims import all_of, greater, negative, positive, values
from common.report.verdicts import Verdict, too_few
from papers.surgical_vision.variants import MODELS, UNPAIRED

Seeds = Sequence[dict[str, Any]]
NEAR_ZERO = 0.01  # gamma up to which attention does nothing


def autoencoder_keeps_the_shape(seeds: Seeds) -> Verdict:
    """Less than half of the operation is carried out, and what is seen is clearer than a GAN's."""
    return all_of(
        negative([x - 0.5 for x in _of(seeds, "autoencoder", SHARE)], "share minus 0.5"),
        greater(_of(seeds, "autoencoder", PEAK), _of(seeds, "gan", PEAK), "peak above the GAN's"),
    )


def pix2pix_changes_hair_color(seeds: Seeds) -> Verdict:
    """Hair changes color more than the autoencoder's does, and more than the background."""
    hair = _of(seeds, "pix2pix", "color.hair")
    return all_of(
        greater(hair, _of(seeds, "autoencoder", "color.hair"), "hair's ΔE above the autoencoder's"),
        greater(hair, _of(seeds, "pix2pix", "color.background"), "above the background's"),
    )


def pix2pix_looks_painted(seeds: Seeds) -> Verdict:
    """Fewer fine details than the true face after, but more alike to it than a GAN's."""
    return all_of(
        negative([x - 0.9 for x in _of(seeds, "pix2pix", "sharpness")], "sharpness minus 0.9"),
        greater(_of(seeds, "pix2pix", "ssim"), _of(seeds, "gan", "ssim"), "SSIM above the GAN's"),
    )


def cyclegan_changes_almost_nothing(seeds: Seeds) -> Verdict:
    """Less than a quarter of the operation, and of its movement."""
    return all_of(
        negative([x - 0.25 for x in _of(seeds, "cyclegan", SHARE)], "share minus 0.25"),
        negative([x - 0.25 for x in _of(seeds, "cyclegan", MOVE)], "movement minus 0.25"),
    )


def _noticed(differences: list[float]) -> list[float]:
    """Return by how much each ΔE is above what is just noticed."""
    from common.metrics.color_difference import JUST_NOTICEABLE  # imports JAX, others need not wait

    return [difference - JUST_NOTICEABLE for difference in differences]


def cyclegan_changes_lips_or_skin(seeds: Seeds) -> Verdict:
    """Lips or skin change color noticeably, and more than the background."""
    changed = [
        max(lips, skin)
        for lips, skin in zip(
            _of(seeds, "cyclegan", "color.lips"), _of(seeds, "cyclegan", "color.skin"), strict=True
        )
    ]
    return all_of(
        positive(_noticed(changed), "ΔE of lips or skin minus 2.3"),
        greater(changed, _of(seeds, "cyclegan", "color.background"), "above the background's"),
    )


def stargan_changes_the_shape_most(seeds: Seeds) -> Verdict:
    """More movement than by autoencoder, VAE, Pix2Pix, CycleGAN and style transfer."""
    others = ("autoencoder", "vae", "pix2pix", "cyclegan", "style_transfer")
    return _above_all(seeds, "stargan", others, MOVE, "movement")


def starganv2_is_natural(seeds: Seeds) -> Verdict:
    """Best LPIPS and KID of the models without pairs, sharpest of them, and chins are changed."""
    others = _unpaired_but("starganv2")
    return all_of(
        _below_all(seeds, "starganv2", others, LPIPS, "LPIPS"),
        _below_all(seeds, "starganv2", others, "kid", "KID"),
        _above_all(seeds, "starganv2", others, "sharpness", "sharpness"),
        positive(_of(seeds, "starganv2", "operation.shares.chin"), "share of chins"),
    )


def diffusion_keeps_quality_and_varies(seeds: Seeds) -> Verdict:
    """At least as sharp as the VAE; samples of one face differ more than by Pix2Pix's dropout."""
    ours = "stable_diffusion"
    return all_of(
        greater(_of(seeds, ours, "sharpness"), _of(seeds, "vae", "sharpness"), "sharper than VAE"),
        greater(
            _of(seeds, ours, "diversity"), _of(seeds, "pix2pix", "diversity"), "LPIPS of samples"
        ),
    )


def gan_is_worst(seeds: Seeds) -> Verdict:
    """SSIM, PSNR, LPIPS and FID are each worse than the median of the other models."""
    fid = next((key for key in seeds[0]["models"]["gan"] if key.startswith("fid")), "fid")
    others = [name for name in MODELS if name != "gan"]
    parts = []
    for measure, sign in (("ssim", 1), ("psnr", 1), (LPIPS, -1), (fid, -1)):
        medians = np.median([_of(seeds, name, measure) for name in others], 0)
        gaps = [sign * (m - x) for m, x in zip(medians, _of(seeds, "gan", measure), strict=True)]
        parts.append(positive(gaps, f"{measure} worse than the median"))
    return all_of(*parts)


def style_transfer_lacks_detail(seeds: Seeds) -> Verdict:
    """Less than a quarter of the operation, while skin changes color noticeably."""
    name = "style_transfer"
    return all_of(
        negative([x - 0.25 for x in _of(seeds, name, SHARE)], "share minus 0.25"),
        positive(_noticed(_of(seeds, name, "color.skin")), "ΔE of skin minus 2.3"),
    )


def perceptual_loss_improves_detail(seeds: Seeds) -> Verdict:
    """Sharper than the VAE without it, and nearer to the true face after."""
    return all_of(
        greater(
            _of(seeds, "vae_perceptual", "sharpness"), _of(seeds, "vae", "sharpness"), "sharpness"
        ),
        greater(_of(seeds, "vae", LPIPS), _of(seeds, "vae_perceptual", LPIPS), "fall of LPIPS"),
    )


def latent_units_are_inactive(seeds: Seeds) -> Verdict:
    """Some units of the VAE with perceptual loss say nothing of the face."""
    shares = _of(seeds, "vae_perceptual", "latent.active_share")
    if not too_few(len(seeds)) and all(share == 1 for share in shares):
        return Verdict("contradicted", "every unit is active in all seeds")
    return positive([1 - share for share in shares], "share of inactive units")


def lora_trains_little(seeds: Seeds) -> Verdict:
    """Less than 1% of the U-Net's parameters, at the published sizes."""
    shares = _of(seeds, "stable_diffusion_lora", "trained_share_published")
    return negative([share - 0.01 for share in shares], "trained share minus 1%")


def prompt_dominates(seeds: Seeds) -> Verdict:
    """Two prompts change the output more than two faces do."""
    name = "stable_diffusion_lora"
    return greater(
        _of(seeds, name, "prompt.of_prompt"), _of(seeds, name, "prompt.of_face"),
        "difference by prompt minus by face",
    )  # fmt: skip


def attention_focuses(seeds: Seeds) -> Verdict:
    """With self-attention the change is in fewer pixels than without."""
    if refused := _without_attention(seeds, "stargan_sa"):
        return refused
    return greater(
        _of(seeds, "stargan_sa", "concentration"), _of(seeds, "stargan", "concentration"),
        "share of the change in a tenth of the pixels",
    )  # fmt: skip


def attention_is_inaccurate(seeds: Seeds) -> Verdict:
    """With self-attention faces are less clear and less their own than without."""
    if refused := _without_attention(seeds, "stargan_sa"):
        return refused
    return all_of(
        greater(_of(seeds, "stargan", PEAK), _of(seeds, "stargan_sa", PEAK), "fall of peak"),
        greater(_of(seeds, "stargan", "own"), _of(seeds, "stargan_sa", "own"), "fall of own"),
    )


def heads_deform_too_much(seeds: Seeds) -> Verdict:
    """Multi-head attention moves more than the operation does, and more than self-attention."""
    if refused := _without_attention(seeds, "stargan_mha"):
        return refused
    move = _of(seeds, "stargan_mha", MOVE)
    return all_of(
        positive([x - 1 for x in move], "movement minus 1"),
        greater(move, _of(seeds, "stargan_sa", MOVE), "movement above that with self-attention"),
    )


def raised_weight_limits_change(seeds: Seeds) -> Verdict:
    """Either attention variant moves less with the raised reconstruction weight."""
    return all_of(
        *(
            greater(
                _of(seeds, name, MOVE), _of(seeds, f"{name}_raised", MOVE), f"{name}: less movement"
            )
            for name in ("stargan_sa", "stargan_mha")
        )
    )


def raised_weight_is_no_better(seeds: Seeds) -> Verdict:
    """With the raised weight LPIPS or KID of either attention variant is worse."""
    worse = [
        greater(
            _of(seeds, f"{name}_raised", measure), _of(seeds, name, measure), f"{name}: {measure}"
        )
        for name in ("stargan_sa", "stargan_mha")
        for measure in (LPIPS, "kid")
    ]
    return all_of(_any(*worse[:2]), _any(*worse[2:]))


def attention_in_both_deforms_clearly(seeds: Seeds) -> Verdict:
    """More than a quarter of the operation, and clearer than each of the five other StarGANs."""
    name = "stargan_sa_gd_raised"
    if refused := _without_attention(seeds, name):
        return refused
    others = [other for other, one in MODELS.items() if one.family == "stargan" and other != name]
    return all_of(
        positive([x - 0.25 for x in _of(seeds, name, SHARE)], "share minus 0.25"),
        _above_all(seeds, name, others, PEAK, "peak"),
    )


SHARE, PEAK, MOVE = "operation.share", "operation.peak", "operation.move"
LPIPS = "lpips_alex"


def _of(seeds: Seeds, model: str, measure: str) -> list[float]:
    return values(seeds, f"models.{model}.{measure}")


def _unpaired_but(name: str) -> list[str]:
    return [other for other, one in MODELS.items() if one.family in UNPAIRED and other != name]


def _above_all(seeds: Seeds, model: str, others: Sequence[str], measure: str, what: str) -> Verdict:
    """Return whether a model's measure is above the largest of others', seed by seed."""
    largest = np.max([_of(seeds, other, measure) for other in others], 0).tolist()
    return greater(_of(seeds, model, measure), largest, f"{what} above the highest of others")


def _below_all(seeds: Seeds, model: str, others: Sequence[str], measure: str, what: str) -> Verdict:
    smallest = np.min([_of(seeds, other, measure) for other in others], 0).tolist()
    return greater(smallest, _of(seeds, model, measure), f"{what} below the lowest of others")


def _without_attention(seeds: Seeds, model: str) -> Verdict | None:
    """Return that a claim cannot be tested where every gamma of a seed stayed near 0."""
    if too_few(len(seeds)):
        return None
    strengths = [
        max((abs(g) for each in seed["models"][model]["gamma"].values() for g in each), default=0.0)
        for seed in seeds
    ]
    if min(strengths) >= NEAR_ZERO:
        return None
    listed = ", ".join(f"{strength:.2g}" for strength in strengths)
    return Verdict(
        "not testable", f"attention stayed near nothing (largest |gamma| of each seed: {listed})"
    )


def _any(*parts: Verdict) -> Verdict:
    """Return the verdict of a claim that says one thing or another."""
    for word in ("no verdict", "supported", "not testable", "inconclusive"):
        if found := [part for part in parts if part.word == word]:
            return Verdict(found[0].word, found[0].detail)
    return Verdict("contradicted", "; ".join(part.detail for part in parts))
