"""Metrics and images as an evaluation gives them, with made-up values: all models are alike."""

from typing import Any

import numpy as np

from papers.surgical_vision.cases import PREVIEWS, TRAVERSED, UNITS
from papers.surgical_vision.evaluate import SAMPLED
from papers.surgical_vision.pair import DOMAINS
from papers.surgical_vision.variants import MODELS, Variant

SIDE, CASES = 8, 2


def measures(known: bool = True, perceptual: bool = True) -> dict[str, Any]:
    """Return what every model has; `known`: where the operations are."""
    found: dict[str, Any] = {"ssim": 0.5, "psnr": 20.0, "change": 0.1, "sharpness": 0.8,
                             "concentration": 0.3, "n": 9}  # fmt: skip
    found |= {"fid768": 10.0, "kid": 0.1, "kid_std": 0.01, "n_features": 9}
    if perceptual:
        found |= {"lpips_alex": 0.3, "lpips_vgg": 0.4, "own": 0.5}
    if known:
        shares = dict.fromkeys(DOMAINS, 0.5)
        found["operation"] = {"share": 0.5, "peak": 0.5, "move": 0.5, "shares": shares}
        found["color"] = dict.fromkeys(("background", "skin", "lips", "hair"), 1.0)
    return found


def inside(variant: Variant) -> dict[str, Any]:
    """Return what only this model has."""
    found: dict[str, Any] = {}
    if variant.attention != "none":
        heads = [0.3, -0.1] if variant.attention == "heads" else [0.3]
        found["gamma"] = {"generator" if variant.family == "stargan" else "to_after": heads}
    if variant.sampled:
        found["latent"] = {"active_share": 1.0, "active": 4, "units": 4, "kl": [2.0, 1.0, 1, 0.5]}
    if variant.family == "diffusion":
        found["prompt"] = {"of_prompt": 0.1, "of_face": 0.1}
    if variant.lora:
        found |= {"trained_share": 0.01, "trained_share_published": 0.01}
    return found


def metrics(known: bool = True, perceptual: bool = True) -> dict[str, Any]:
    """Return the metrics of a seed."""
    models = {name: measures(known, perceptual) | inside(v) for name, v in MODELS.items()}
    if perceptual:
        for name in SAMPLED:
            models[name]["diversity"] = 0.1
    curve = {"step": [1, 2, 4], "loss": [3.0, 2.0, 1.0],
             "validation_step": [2, 4], "validation_ssim": [0.4, 0.5]}  # fmt: skip
    named = [*MODELS, "latent_autoencoder"]
    return {
        "models": models,
        "references": {name: measures(known, perceptual) for name in ("unchanged", "true_after")},
        "training": dict.fromkeys(named, curve),
    }


def changed(found: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change measures in place: `{"model.measure": value}`; None leaves it out."""
    for path, value in changes.items():
        *sections, last = path.split(".")
        inner = found["models"]
        for section in sections:
            inner = inner[section]
        assert last in inner, f"{path} is no measure"
        inner[last] = value
    return found


def samples() -> dict[str, np.ndarray]:
    """Return the images of the figures."""
    random = np.random.default_rng(0)

    def images(*shape: int) -> np.ndarray:
        return random.integers(0, 256, (*shape, SIDE, SIDE, 3)).astype(np.uint8)

    found = {name: images(CASES) for name in ("before", "after")}
    found["labels"] = np.array([[1, 0, 0], [0, 1, 1]], np.uint8)
    found |= {f"output_{name}": images(CASES) for name in MODELS}
    found |= {f"domains_{name}": images(len(DOMAINS)) for name in ("stargan", "starganv2")}
    for name, variant in MODELS.items():
        if variant.attention != "none":
            found[f"attention_{name}"] = random.integers(0, 256, (CASES, 2, 2)).astype(np.uint8)
    found["latent_vae"] = images(UNITS, len(TRAVERSED))
    found["denoising"] = images(PREVIEWS)
    return found
