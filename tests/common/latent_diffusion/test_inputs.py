"""What is asked of a pipeline: checked in one line, and brought into arrays."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from common.diffusion.samplers import DDPM
from common.diffusion.schedule import Schedule
from common.errors import InputError
from common.latent_diffusion.inputs import control_weights, region_of, resized, sampler_of
from tests.common.latent_diffusion.small import COMMON, SMALL

SCHEDULE = Schedule.scaled_linear()
HINT = np.zeros((16, 16, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": ["a", "b"]}, "2 prompts for 1 seeds; give one for each"),
        ({"seeds": []}, "no seeds"),
        ({"seeds": [-1]}, r"seeds \[-1\]: expected whole numbers from 0"),
        ({"seeds": [2**32]}, "seeds .4294967296"),
        ({"steps": 0}, "steps 0: expected 1 to 999"),
        ({"steps": 0, "sampler": "ddim"}, "steps 0: expected 1 to 999"),
        ({"steps": 1000, "sampler": "pndm"}, "steps 1000: expected 1 to 999"),
        ({"sampler": "ddpm"}, "steps 4: the sampler ddpm takes all 1000"),
        ({"sampler": "euler"}, "sampler 'euler': choose one of"),
        ({"sampler": "unipcm"}, "sampler 'unipcm': did you mean 'unipc'"),
        ({"guidance_scale": float("nan")}, "guidance_scale nan"),
        ({"control_scale": float("inf")}, "control_scale inf"),
        ({"control_from": 0.5, "control_to": 0.5}, "control_from 0.5, control_to 0.5"),
        ({"control_to": 1.5}, "control_to 1.5: expected shares"),
        ({"batch_size": 0}, "batch_size 0: expected at least 1"),
        ({"chunk": 0}, "chunk 0: expected at least 1"),
        ({"on_preview": print}, "on_preview needs chunk"),
        ({"size": (16, 17)}, "size 16x17: expected multiples of 2 pixels; see `resized`"),
        ({"size": (0, 16)}, "size 0x16"),
        ({"hint": HINT[:, :9]}, "hint 16x9: expected multiples of 2 pixels"),
        ({"hint": HINT[..., 0]}, r"hint: shape \(16, 16\), expected \[height, width, 3\]"),
        ({"hint": HINT[..., :1]}, r"hint: shape \(1, 16, 16, 1\), expected \(1, 16, 16, 3\)"),
        ({"hint": np.stack([HINT] * 2)}, r"hint: shape \(2, 16, 16, 3\), expected \(1, 16"),
        ({"hint": HINT + 1.5}, r"hint: values outside \[0, 1\]; divide 8-bit images by 255"),
        ({"hint": HINT - 0.1}, "hint: values outside"),
        ({"hint": HINT * np.nan}, "hint: values outside"),
        ({"guess": True}, "guess needs a hint"),
        ({"image": HINT, "strength": 0}, "strength 0 of 4 steps: expected above 0 to 1"),
        ({"image": HINT, "strength": 1.5}, "strength 1.5 of 4 steps"),
        ({"image": HINT, "strength": 0.2}, "strength 0.2 of 4 steps.*at least one step"),
        ({"image": HINT, "strength": float("nan")}, "strength nan"),
        ({"image": HINT * 255 + 255}, "image: values outside"),
        ({"image": HINT, "hint": HINT[:8]}, r"image: shape .*, expected \(1, 8, 16, 3\)"),
        ({"noise": np.zeros((2, 8, 8, 4), np.float32)}, r"noise: shape \(2, .*expected \(1, 8"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(small, change, message):
    request = {"prompts": "lung", "seeds": [1], **COMMON, **change}
    with pytest.raises(InputError, match=message) as raised:
        small(**request)
    assert "\n" not in str(raised.value)


def test_a_hint_needs_a_controlnet(small):
    with pytest.raises(InputError, match="a hint needs a ControlNet; load the model with one"):
        replace(small, controlnet=None)("lung", [1], **COMMON, hint=HINT)


def test_words_beyond_what_the_model_reads_are_warned_of(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small.encode_text(["x" * 75, ""])
    with pytest.warns(UserWarning, match="longer than 75 tokens, left out: '1 2'") as warned:
        small("1 " * 75 + "1 2", [1], **COMMON)
    assert len(warned) == 1
    cut, whole = small.encode_text(["1 " * 75, "1 " * 75 + "1 2"])
    np.testing.assert_array_equal(cut, whole)


def test_resized_is_lanczos_between_zero_and_one():
    image = np.random.RandomState(0).randint(0, 256, (30, 20, 3)).astype(np.uint8)
    same = resized(image, (30, 20))
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, image.astype(np.float32) / 255)
    larger = resized(image, (64, 32))
    assert larger.shape == (64, 32, 3)
    by_pillow = Image.fromarray(image).resize((32, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.round(larger * 255), np.asarray(by_pillow))


@pytest.mark.parametrize(
    ("start", "window", "expected"),
    [
        (0, (0, 1), [1, 1, 1, 1, 1]),
        (0, (0.2, 0.7), [0, 1, 1, 0, 0]),
        (3, (0, 0.5), [0, 0, 0, 1, 0]),  # shares of the steps that are taken
    ],
)
def test_control_counts_within_its_window(start, window, expected):
    weights = control_weights(5, start, 0.5, window)
    np.testing.assert_allclose(weights, 0.5 * np.array(expected), strict=False)


def test_samplers_are_set_up_as_stable_diffusions():
    config = SMALL.schedule
    assert sampler_of(config, SCHEDULE, "ddim", 10).times.tolist() == list(range(901, 0, -100))
    assert sampler_of(config, SCHEDULE, None, 10).times[:3].tolist() == [901, 801, 801]
    assert sampler_of(config, SCHEDULE, "unipc", 10).times[0] == 999
    leading = replace(config, sampler="unipc", spacing="leading")
    assert sampler_of(leading, SCHEDULE, None, 10).times[0] == 901
    assert sampler_of(config, SCHEDULE, "ddpm", 1000) == DDPM(1000, clip=None)
    own = DDPM(10)
    assert sampler_of(config, SCHEDULE, own, 50) is own


def test_a_region_is_of_all_latents_that_have_a_pixel_in_it():
    region = np.zeros((16, 24), bool)
    region[3, 9] = True
    found = region_of(region, 2, (16, 24), 8)
    assert found.shape == (2, 2, 3, 1)
    assert found.dtype == np.float32
    assert np.argwhere(found[..., 0]).tolist() == [[0, 0, 1], [1, 0, 1]]
    for wrong in (region.astype(np.uint8), region[:8], np.zeros_like(region)):
        with pytest.raises(InputError, match="region"):
            region_of(wrong, 1, (16, 24), 8)
