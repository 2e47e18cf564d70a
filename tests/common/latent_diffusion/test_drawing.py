"""How images are drawn: seeds, scales, chunks, devices, and what programs are compiled."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from common.diffusion import sampling
from common.diffusion.multistep import UniPC
from common.diffusion.schedule import Schedule, velocity
from common.diffusion.unet.unet import UNet
from common.latent_diffusion import pipeline as module
from tests.common.latent_diffusion.golden import draw
from tests.common.latent_diffusion.small import (
    COMMON,
    PROMPTS,
    SEEDS,
    SMALL,
    WAYS,
    filled,
    noisy_images,
)

SCHEDULE = Schedule.scaled_linear()


@pytest.mark.parametrize("way", WAYS)
def test_image_depends_on_its_own_seed_and_prompt(small, way):
    options = COMMON | WAYS[way]
    images = small(PROMPTS, SEEDS, **options)
    assert images.shape == (5, 16, 16, 3)
    assert len({image.tobytes() for image in images}) == 5
    order = [4, 1, 1, 0]
    again = small([PROMPTS[i] for i in order], [SEEDS[i] for i in order], **options)
    np.testing.assert_array_equal(again, images[order])
    np.testing.assert_array_equal(small(PROMPTS[2], [13], **options), images[2:3])


def test_image_hardly_depends_on_the_size_of_its_batch(small):
    options = COMMON | {"guidance_scale": 2.0}  # more of it enlarges what rounding changes
    images = small(PROMPTS, SEEDS, **options)
    other = small(PROMPTS, SEEDS, **options | {"batch_size": 4})
    np.testing.assert_allclose(other, images, atol=1e-5)


def test_every_image_has_its_own_hint_and_start(small):
    given = noisy_images(3)
    for name in ("hint", "image"):
        images = small(PROMPTS[:3], SEEDS[:3], **COMMON, **{name: given})
        for i in range(3):
            alone = small(PROMPTS[i], [SEEDS[i]], **COMMON, **{name: given[i]})
            np.testing.assert_array_equal(alone, images[i : i + 1])


def programs():
    """Return how many programs have been compiled."""
    jitted = (sampling._whole, sampling._chunk, module._encode_text, module._encode_hint)
    return [fn._cache_size() for fn in (*jitted, module._encode_images, module._decode)]


@pytest.mark.parametrize("way", WAYS)
def test_one_compilation_serves_all_prompts_seeds_and_scales(small, way):
    options = COMMON | WAYS[way]
    small(PROMPTS, SEEDS, **options)
    before = programs()
    small("lung", [0, 2**32 - 1, 7], negative="film", **options, guidance_scale=1.5)
    small(["lung", "film", "a film " * 8], [1, 2, 3], **options, guidance_scale=30)
    if way == "image":
        for strength in (0.25, 1.0):
            small("lung", [1], **options | {"strength": strength})
    if way == "control":
        small("lung", [1], **options, control_scale=0.3, control_from=0.5)
        small("lung", [1], **options, control_scale=2, control_to=0.5)
    assert programs() == before


def test_new_weights_are_no_new_program(small):
    small(PROMPTS[0], [1], **COMMON)
    before = programs()
    other = replace(small, unet=filled(small.unet, 9), controlnet=None)
    assert np.abs(other(PROMPTS[0], [1], **COMMON) - small(PROMPTS[0], [1], **COMMON)).max() > 0.01
    assert programs() == before


def test_negative_prompt_counts_with_guidance_alone(small):
    plain, negative = (small("lung", [1], **COMMON, negative=text) for text in ("", "film"))
    assert np.abs(plain - negative).max() > 1e-3
    unguided = COMMON | {"guidance_scale": 1.0}
    plain, negative = (small("lung", [1], **unguided, negative=text) for text in ("", "film"))
    np.testing.assert_array_equal(plain, negative)
    np.testing.assert_array_equal(small("lung", [1], **COMMON, guidance_scale=0.5), plain)


def test_control_scale_of_zero_is_the_plain_model(small):
    plain = small("lung", SEEDS[:2], **COMMON)
    hint = noisy_images(2)
    np.testing.assert_array_equal(
        small("lung", SEEDS[:2], **COMMON, hint=hint, control_scale=0), plain
    )
    controlled = small("lung", SEEDS[:2], **COMMON, hint=hint)
    assert np.abs(controlled - plain).max() > 0.01
    assert np.abs(small("lung", SEEDS[:2], **COMMON, hint=1 - hint) - controlled).max() > 1e-3


def test_strength_is_the_share_of_steps_taken(small):
    image, noise = noisy_images(1)[0], np.asarray(draw(7, 1, 4, 8, 8))
    seen = {}
    for strength in (1.0, 0.5, 0.3):
        options = {"image": image, "strength": strength, "chunk": 1, "noise": noise}
        steps = seen.setdefault(strength, [])
        small("lung", [1], **COMMON, **options, on_preview=lambda *s, to=steps: to.append(s[1]))
    assert seen == {1.0: [1, 2, 3, 4], 0.5: [3, 4], 0.3: [4]}
    # at full strength hardly anything of the image is left
    drawn = [
        small("lung", [1], **COMMON, noise=noise, image=start, strength=1.0)
        for start in (image, 1 - image)
    ]
    assert np.abs(drawn[0] - drawn[1]).mean() < 0.1
    near = small("lung", [1], **COMMON, noise=noise, image=image, strength=0.25)
    assert np.abs(near - drawn[0]).mean() > np.abs(drawn[0] - drawn[1]).mean()


def test_strength_of_a_sampler_of_its_own_counts_its_steps(small):
    own = UniPC.of(small.schedule, 4)
    options = {"image": noisy_images(1)[0], "strength": 0.7}
    expected = small("lung", [1], **COMMON, **options)
    given = small("lung", [1], sampler=own, batch_size=2, **options)  # `steps` says 50
    np.testing.assert_array_equal(given, expected)


def test_chunks_draw_the_same_images_and_show_what_they_stand_for(small):
    whole = small(PROMPTS[:3], SEEDS[:3], **COMMON)
    seen = []
    options = {"chunk": 3, "on_preview": lambda *shown: seen.append(shown)}
    np.testing.assert_array_equal(small(PROMPTS[:3], SEEDS[:3], **COMMON, chunk=3), whole)
    np.testing.assert_allclose(small(PROMPTS[:3], SEEDS[:3], **COMMON, **options), whole, atol=1e-5)
    assert [(row, step) for row, step, _ in seen] == [(0, 3), (0, 4), (2, 3), (2, 4)]
    assert [images.shape for *_, images in seen] == [(2, 16, 16, 3)] * 2 + [(1, 16, 16, 3)] * 2
    for *_, images in seen:
        assert images.dtype == np.float32
        assert 0 <= images.min() < images.max() <= 1
    # the last step of UniPC leads to the data that it shows
    np.testing.assert_allclose(np.concatenate([seen[1][2], seen[3][2]]), whole, atol=1e-5)
    assert np.abs(seen[0][2] - seen[1][2]).max() > 1e-3


def test_a_preview_cancels_by_raising(small):
    steps = []

    def cancel(row, step, images):
        steps.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small("lung", SEEDS, **COMMON, chunk=3, on_preview=cancel)
    assert steps == [3]


def test_batches_come_as_they_are_drawn(small):
    batches = small.draw("lung", SEEDS, **COMMON)
    assert [len(batch) for batch in batches] == [2, 2, 1]


class Velocity(UNet):
    """A network that knows the data, 0.5 everywhere, and says its velocity."""

    def __init__(self):
        pass

    def __call__(self, x, t, context, residuals=None):
        return velocity(SCHEDULE, jnp.full_like(x, 0.5), noise_in(x, t), t)


class Noise(Velocity):
    """The same one, saying the noise."""

    def __call__(self, x, t, context, residuals=None):
        return noise_in(x, t)


def noise_in(x, t):
    alpha_bar = SCHEDULE.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    return (x - jnp.sqrt(alpha_bar) * 0.5) / jnp.sqrt(1 - alpha_bar)


def test_velocity_is_noise_in_other_words(small):
    def drawn(unet, prediction):
        schedule = replace(SMALL.schedule, prediction=prediction)
        model = replace(small, unet=unet, config=replace(SMALL, schedule=schedule))
        return model("lung", SEEDS[:2], **COMMON)

    images = drawn(Noise(), "epsilon")
    np.testing.assert_allclose(drawn(Velocity(), "v_prediction"), images, atol=1e-5)
    data = small.decode(np.full((2, 8, 8, 4), 0.5, np.float32), 2)
    np.testing.assert_allclose(images, data, atol=1e-4)
    assert np.abs(drawn(Velocity(), "epsilon") - images).max() > 0.01


ON_TWO_DEVICES = """
import sys
from pathlib import Path
import jax, numpy as np
from jax.sharding import Mesh
from tests.common.latent_diffusion import small as tests
assert len(jax.devices()) == 2
folder = Path(sys.argv[1])
small = tests.small_pipeline(tests.small_tokenizer(folder))
mesh = Mesh(np.array(jax.devices()), ("data",))
options = tests.COMMON | tests.WAYS["control"]
np.save(folder / "images.npy", small(tests.PROMPTS, tests.SEEDS, **options, mesh=mesh))
"""


def test_two_devices_draw_the_same_images(small, tmp_path):
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, tmp_path],
        check=True,
        cwd=Path(__file__).parents[3],
        env=environment,
    )
    images = small(PROMPTS, SEEDS, **COMMON | WAYS["control"])
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), images, atol=1e-5)
