"""Whole pipelines against diffusers', which drew in float64 from the same noise."""

from __future__ import annotations

import json
from functools import cache

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from common.diffusion.multistep import UniPC
from common.diffusion.schedule import Schedule
from common.errors import InputError
from common.latent_diffusion import pipeline as module
from common.latent_diffusion.checkpoint import load
from tests.common.latent_diffusion.golden import DIFFUSERS, GOLDEN, draw, weights

PROMPT, NEGATIVE = "Chest X-ray showing pneumothorax", "blurry"
STEMS = {"text": "model"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Write the folder that diffusers saved, its weights drawn again."""
    root = tmp_path_factory.mktemp("diffusers")
    for key in (key for key in GOLDEN if key.startswith("file/")):
        file = root / key.removeprefix("file/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(GOLDEN[key]))
    for part, name in DIFFUSERS.items():
        stem = STEMS.get(part, "diffusion_pytorch_model")
        save_file(weights(part), root / name / f"{stem}.safetensors")
    return root


@pytest.fixture(scope="session")
def pipe(folder):
    return load(folder)


def edges():
    marked = np.random.RandomState(8).random_sample((64, 64)) > 0.9
    return np.repeat(marked[..., None], 3, axis=2).astype(np.float32)


# as `from_config` makes it of the published file, which says nothing of the times' spacing
UNIPC = UniPC.of(Schedule.scaled_linear(), 10)
RUNS = {
    "unipc": {"sampler": UNIPC},
    "pndm": {"sampler": "pndm"},
    "ddim": {"sampler": "ddim"},
    "unguided": {"sampler": UNIPC, "guidance_scale": 1.0},
    "control": {"sampler": UNIPC, "hint": edges()},
    "scale": {
        "sampler": UNIPC,
        "hint": edges(),
        "control_scale": 0.8,
        "control_from": 0.2,
        "control_to": 0.7,
    },
    "guess": {"sampler": UNIPC, "hint": edges(), "guess": True, "guidance_scale": 3.0},
}


def drawn(pipe, seeds=(0,), **options):
    noise = np.asarray(draw(7, 1, 4, 8, 8)) if seeds == (0,) else None
    options = {"negative": NEGATIVE, "steps": 10, "noise": noise, **options}
    return pipe(PROMPT, seeds, **options)


@pytest.mark.parametrize("name", RUNS)
def test_image_equals_diffusers(pipe, name):
    image = drawn(pipe, **RUNS[name])
    assert image.shape == (1, 64, 64, 3)
    assert image.dtype == np.float32
    error = np.abs(image[:, ::4, ::4] - GOLDEN[f"image/{name}"]).max()
    print(name, error)
    assert error < 1e-3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("img2img", {"sampler": UNIPC, "strength": 0.6}),
        ("img2img_ddim", {"sampler": "ddim", "strength": 0.35}),
    ],
)
def test_image_to_image_equals_diffusers(pipe, monkeypatch, name, options):
    initial = np.asarray(draw(9, 1, 4, 8, 8))  # diffusers takes latents as they are
    monkeypatch.setattr(module.Pipeline, "encode", lambda *_: initial)
    image = drawn(
        pipe, noise=GOLDEN["img2img_noise"], image=np.zeros((64, 64, 3), np.float32), **options
    )
    assert np.abs(image[:, ::4, ::4] - GOLDEN[f"image/{name}"]).max() < 1e-3
