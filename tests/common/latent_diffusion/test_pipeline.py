"""Whole pipelines: against diffusers', which drew in float64 from the same noise."""

from __future__ import annotations

import numpy as np
import pytest

from common.diffusion.multistep import UniPC
from common.diffusion.schedule import Schedule
from common.latent_diffusion import pipeline as module
from tests.common.latent_diffusion.golden import GOLDEN, draw
from tests.common.latent_diffusion.models import edges

PROMPT, NEGATIVE = "Chest X-ray showing pneumothorax", "blurry"


# as `from_config` makes it of the published file, which says nothing of the times' spacing
SCHEDULE = Schedule.scaled_linear()
UNIPC = UniPC.of(SCHEDULE, 10)
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
