"""Whole pipelines: against diffusers', which drew in float64 from the same noise, and in use."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

from common.diffusion import sampling
from common.diffusion.multistep import UniPC
from common.diffusion.samplers import DDPM
from common.diffusion.schedule import Schedule, velocity
from common.diffusion.unet.unet import UNet, UNetConfig
from common.errors import InputError
from common.latent_diffusion import pipeline as module
from common.latent_diffusion.checkpoint import load
from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig, TextConfig, VAEConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.inputs import control_weights, resized, sampler_of
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vae import VAE
from tests.common.latent_diffusion.golden import DIFFUSERS, GOLDEN, draw, weights

PROMPT, NEGATIVE = "Chest X-ray showing pneumothorax", "blurry"
STEMS = {"text": "model"}


def write_folder(root):
    """Write the folder that diffusers saved, its weights drawn again."""
    for key in (key for key in GOLDEN if key.startswith("file/")):
        file = root / key.removeprefix("file/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(GOLDEN[key]))
    for part, name in DIFFUSERS.items():
        stem = STEMS.get(part, "diffusion_pytorch_model")
        save_file(weights(part), root / name / f"{stem}.safetensors")
    return root


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return load(write_folder(tmp_path_factory.mktemp("diffusers")))


def edges():
    marked = np.random.RandomState(8).random_sample((64, 64)) > 0.9
    return np.repeat(marked[..., None], 3, axis=2).astype(np.float32)


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


SMALL = LatentDiffusionConfig(
    unet=UNetConfig(
        in_channels=4,
        out_channels=4,
        channels=(8,),
        attention=(True,),
        head_channels=(4,),
        context_features=8,
        residual_blocks=1,
        groups=4,
    ),
    vae=VAEConfig(channels=(8, 8), residual_blocks=1, groups=4),
    text=TextConfig(vocabulary=814, features=8, hidden_features=16, layers=1, heads=2),
    hint=HintConfig(channels=(4, 8)),
    side=16,
)


def filled(network, seed):
    """Return the network, which may be abstract, with weights none of which is zero."""
    draw = np.random.RandomState(seed).standard_normal
    drawn = []
    for path, variable in nnx.to_flat_state(nnx.state(network)):
        shape = variable.shape
        values = draw(shape) * (1.5 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.1)
        values = values + 1 if path[-1] == "scale" else values
        drawn.append((path, variable.replace(jnp.asarray(values, jnp.float32))))
    return nnx.merge(nnx.graphdef(network), nnx.from_flat_state(drawn))


def small_pipeline(tokenizer):
    """Return a model of one resolution, which compiles in seconds."""
    shapes = nnx.eval_shape(
        lambda: (
            TextEncoder(SMALL.text, rngs=nnx.Rngs(0)),
            UNet(SMALL.unet, rngs=nnx.Rngs(0)),
            VAE(SMALL.vae, rngs=nnx.Rngs(0)),
            ControlNet(SMALL.unet, SMALL.hint, rngs=nnx.Rngs(0)),
        )
    )
    return Pipeline(SMALL, tokenizer, *(filled(net, i) for i, net in enumerate(shapes)))


def small_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(str(GOLDEN[f"file/tokenizer/{name}"]))
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_pipeline(small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def noisy_images(count, side=16):
    return np.random.RandomState(3).random_sample((count, side, side, 3)).astype(np.float32)


SEEDS = [11, 12, 13, 14, 15]
PROMPTS = [f"chest {word}" for word in ("x-ray", "clear", "of a lung", "showing", "and")]
# the few settings that compiled programs differ by
COMMON = {"sampler": "unipc", "steps": 4, "batch_size": 2}
WAYS = {
    "text": {},
    "image": {"image": noisy_images(1)[0], "strength": 0.7},
    "control": {"hint": noisy_images(1)[0]},
}


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
    small(["lung", "film", "a film " * 20], [1, 2, 3], **options, guidance_scale=30)
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


ON_TWO_DEVICES = """
import sys
from pathlib import Path
import jax, numpy as np
from jax.sharding import Mesh
from tests.common.latent_diffusion import test_pipeline as tests
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
