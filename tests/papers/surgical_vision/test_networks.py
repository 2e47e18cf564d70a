"""What each training depends on: a field changes the keys of what learns from it, and no other."""

from pathlib import Path
from typing import Any

import pytest

from common.study import config as configs
from common.study.protocol import Run, Unit
from papers.surgical_vision.config import Config
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.networks import networks
from papers.surgical_vision.study import STUDY
from papers.surgical_vision.variants import MODELS
from tests.papers.surgical_vision.small import EXPERIMENT, SMOKE

WARM = configs.override(SMOKE, {"warm_start.steps": 2})
GIVEN = configs.override(SMOKE, {"diffusion.weights": "stable-diffusion-v1-5"})
PLAIN = configs.override(SMOKE, {"warm_start.steps": 0})


def keys(config: Config, changes: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the key of every network of a config with some fields changed."""
    changed, home = configs.override(config, changes or {}), Path("home")
    run = Run(STUDY, EXPERIMENT, changed, (0,), home / "out", home=home)
    return {name: Unit(run, 0, name, "a hash").key for name in run.networks}


def of_family(*families: str) -> set[str]:
    return {name for name, one in MODELS.items() if one.family in families}


ALL = {*MODELS, "latent_autoencoder"}
IDENTITIES = {f"identity_{family}" for family in ("cyclegan", "stargan", "starganv2")}
RAISED = {name for name, one in MODELS.items() if one.raised}
WITH_ATTENTION = {name for name, one in MODELS.items() if one.attention != "none"}
DIFFUSION = {"latent_autoencoder", "stable_diffusion", "stable_diffusion_lora"}
LORA = {"stable_diffusion_lora"}
EXPECTED = [
    ("data.split_seed", 1, ALL),
    ("data.visits", False, ALL),
    ("augment.rotation", 1.0, ALL),
    ("train.dtype", "bfloat16", ALL),
    ("train.validations", 2, set()),
    ("train.log_every", 7, set()),
    ("train.checkpoint_minutes", 0.5, set()),
    ("evaluate.batch_size", 2, set()),
    ("evaluate.cases", 1, set()),
    ("autoencoder.latent", 3, of_family("autoencoder")),
    ("autoencoder.epochs", 3, of_family("autoencoder")),
    ("autoencoder.kl", 0.5, {"vae", "vae_perceptual"}),
    ("autoencoder.reconstruction", "squared", {"vae", "vae_perceptual"}),
    ("autoencoder.perceptual", 0.5, {"vae_perceptual"}),
    ("gan.levels", 3, {"gan"}),
    ("pix2pix.l1", 1.0, {"pix2pix"}),
    ("cyclegan.identity", 0.1, of_family("cyclegan")),
    ("stargan.penalty", 1.0, of_family("stargan")),
    ("stargan.reconstruction", 1.0, of_family("stargan") - RAISED),
    ("stargan.raised_reconstruction", 100.0, RAISED),
    ("starganv2.diversity", 1.0, {"starganv2"}),
    ("attention.reduced", 4, WITH_ATTENTION),
    ("attention.heads", 3, {"stargan_mha", "stargan_mha_raised"}),
    ("style.style", 1.0, {"style_transfer"}),
    ("diffusion.sampling_steps", 5, set()),
    ("diffusion.strength", 0.5, set()),
    ("diffusion.guidance", 1.0, set()),
    ("diffusion.lora_rank", 8, LORA),
    ("diffusion.lora_alpha", 8.0, LORA),
    ("diffusion.lora_epochs", 2, LORA),
    ("diffusion.lora_batch_size", 2, LORA),
    ("diffusion.lora_learning_rate", 0.1, LORA),
    ("diffusion.lora_weight_decay", 0.1, LORA),
    ("diffusion.lora_clip", 0.1, LORA),
    ("diffusion.lora_prompt", "A face", DIFFUSION - {"latent_autoencoder"}),  # its words as well
    ("diffusion.train_steps", 5, DIFFUSION - {"latent_autoencoder"}),
    ("diffusion.prompt_dropout", 0.5, DIFFUSION - {"latent_autoencoder"}),
    ("diffusion.context", 32, DIFFUSION - {"latent_autoencoder"}),
    ("diffusion.autoencoder_steps", 5, DIFFUSION),
    ("diffusion.kl", 0.1, DIFFUSION),
    ("diffusion.latent_channels", 3, DIFFUSION),
]


def changed(config: Config, field: str, value: Any) -> set[str]:
    before, after = keys(config), keys(config, {field: value})
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(("field", "value", "expected"), EXPECTED)
def test_a_field_changes_the_keys_of_what_learns_from_it(field, value, expected):
    assert changed(PLAIN, field, value) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (
            "warm_start.learning_rate",
            0.1,
            IDENTITIES | of_family("cyclegan", "stargan", "starganv2"),
        ),
        ("stargan.blocks", 2, {"identity_stargan"} | of_family("stargan")),
        ("stargan.discriminator_filters", 16, of_family("stargan")),
        ("stargan.raised_reconstruction", 100.0, RAISED),
        ("cyclegan.cycle", 5.0, of_family("cyclegan")),
        ("cyclegan.filters", 8, {"identity_cyclegan"} | of_family("cyclegan")),
        ("starganv2.style", 8, {"identity_starganv2", "starganv2"}),
        ("attention.heads", 3, {"stargan_mha", "stargan_mha_raised"}),
    ],
)
def test_an_identity_depends_on_its_generator_alone(field, value, expected):
    assert changed(WARM, field, value) == expected
    assert keys(WARM).keys() - keys(PLAIN).keys() == IDENTITIES


def test_what_learns_from_others_comes_after_them():
    for config in (PLAIN, WARM, GIVEN):
        named = networks(config)
        assert [name for name in named if name in MODELS] == list(MODELS)
        for place, network in enumerate(named.values()):
            assert set(network.after) <= set(list(named)[:place])
    assert networks(PLAIN)["stable_diffusion_lora"].after == (
        "latent_autoencoder", "stable_diffusion"
    )  # fmt: skip
    assert networks(WARM)["stargan_sa"].after == ("identity_stargan",)


def test_a_given_model_trains_nothing_but_its_adaptation():
    assert "latent_autoencoder" not in networks(GIVEN)
    assert networks(GIVEN)["stable_diffusion_lora"].after == ("stable_diffusion",)
    assert recipe_of("stable_diffusion", GIVEN).step is None
    assert changed(GIVEN, "diffusion.weights", "another") == DIFFUSION - {"latent_autoencoder"}
    assert changed(GIVEN, "diffusion.lora_rank", 8) == LORA
    assert changed(GIVEN, "diffusion.guidance", 1.0) == set()
