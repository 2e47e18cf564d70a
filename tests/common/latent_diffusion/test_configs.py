"""Configs of diffusers' folders: what they say is read, and what is not built here is refused."""

import json
from dataclasses import replace

import pytest

from common.errors import InputError
from common.latent_diffusion import configs, configs_out
from common.latent_diffusion.config import (
    SD15_UNET,
    HintConfig,
    LatentDiffusionConfig,
    ScheduleConfig,
    TextConfig,
    VAEConfig,
)
from tests.common.latent_diffusion.published import NEWER, PUBLISHED, UNET

READ = {
    "unet": lambda path: configs.read_unet(path, "float32"),
    "vae": lambda path: configs.read_vae(path, "float32"),
    "text": lambda path: configs.read_text(path, "float32"),
    "schedule": configs.read_schedule,
    "controlnet": lambda path: configs.read_controlnet(path, "float32"),
}
STABLE_DIFFUSION = {
    "unet": SD15_UNET,
    "vae": VAEConfig(),
    "text": TextConfig(),
    "schedule": ScheduleConfig(),
    "controlnet": (SD15_UNET, HintConfig()),
}


def read(tmp_path, part, fields):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(fields))
    return READ[part](path)


@pytest.mark.parametrize("part", PUBLISHED)
@pytest.mark.parametrize("newer", [False, True])
def test_published_configs_are_stable_diffusions(tmp_path, part, newer):
    fields = PUBLISHED[part] | (NEWER[part] if newer else {})
    expected = STABLE_DIFFUSION[part]
    if part == "schedule" and newer:
        expected = replace(expected, spacing="leading")
    assert read(tmp_path, part, fields) == expected


def test_side_of_images_follows_from_the_latents(tmp_path):
    path = tmp_path / "config.json"
    for fields, expected in ((UNET, 64), ({**UNET, "sample_size": None}, 64), ({"a": 1}, 64)):
        path.write_text(json.dumps(fields))
        assert configs.read_sample_size(path) == expected
    path.write_text(json.dumps({"sample_size": 96}))
    assert configs.read_sample_size(path) == 96


WRITTEN = {
    "unet": configs_out.unet_fields(SD15_UNET),
    "vae": configs_out.vae_fields(VAEConfig()),
    "text": configs_out.text_fields(TextConfig()),
    "schedule": configs_out.schedule_fields(ScheduleConfig()),
    "controlnet": configs_out.controlnet_fields(SD15_UNET, HintConfig()),
}


@pytest.mark.parametrize("part", WRITTEN)
def test_what_is_written_is_read_again(tmp_path, part):
    assert read(tmp_path, part, WRITTEN[part]) == STABLE_DIFFUSION[part]


@pytest.mark.parametrize("part", ["unet", "vae", "schedule"])
def test_what_is_written_says_what_was_published(part):
    said = WRITTEN[part]
    shared = {name for name in PUBLISHED[part] if not name.startswith("_")} & said.keys()
    assert len(shared) > 7
    assert {n: said[n] for n in shared} == {n: PUBLISHED[part][n] for n in shared}


@pytest.mark.parametrize("sampler", ["pndm", "ddim", "ddpm", "unipc"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_every_schedule_is_read_again(tmp_path, sampler, prediction):
    spacing = "trailing" if sampler == "unipc" else None
    config = ScheduleConfig(500, 0.001, 0.02, prediction, sampler, spacing)
    assert read(tmp_path, "schedule", configs_out.schedule_fields(config)) == config


SECOND = {  # as Stable Diffusion 2.1 says: the number of heads doubles with the width
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "num_attention_heads": None,
    "dual_cross_attention": False,
    "only_cross_attention": False,
}


def test_a_list_of_heads_is_read_and_written(tmp_path):
    config = read(tmp_path, "unet", UNET | SECOND)
    assert config == replace(SD15_UNET, head_channels=(64, 64, 64, 64), context_features=1024)
    assert read(tmp_path, "unet", configs_out.unet_fields(config)) == config
    stated = UNET | {"num_attention_heads": 5, "attention_head_dim": 64}
    assert read(tmp_path, "unet", stated).head_channels == (64, 128, 256, 256)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type = 'text_time'"),
        ("unet", {"class_embed_type": "projection"}, "class_embed_type = 'projection'"),
        ("unet", {"act_fn": "gelu"}, "act_fn = 'gelu'; supported is 'silu'"),
        ("unet", {"a_new_field": "something"}, "a_new_field = 'something'.*unknown here"),
        ("unet", {"up_block_types": ["UpBlock2D"] * 4}, "up_block_types = .*the mirror of"),
        ("unet", {"up_block_types": "UpBlock2D"}, "up_block_types = 'UpBlock2D'"),
        (
            "unet",
            {"down_block_types": ["AttnDownBlock2D"] * 4},
            "down_block_types = .*of CrossAttn",
        ),
        ("unet", {"down_block_types": [{}] * 4}, "down_block_types = "),
        ("unet", {"down_block_types": ["DownBlock2D"]}, "down_block_types = .*is 4, one for each"),
        ("unet", {"transformer_layers_per_block": [1, 2, 10]}, "transformer_layers_per_block"),
        ("unet", {"only_cross_attention": True}, "only_cross_attention = True"),
        ("unet", {"freq_shift": 1}, "freq_shift = 1; supported is 0"),
        ("unet", {"attention_head_dim": 7}, "attention_head_dim = 7; supported is divisors of"),
        ("unet", {"attention_head_dim": [5, 10]}, r"attention_head_dim = \[5, 10\]"),
        ("unet", {"attention_head_dim": "8"}, "attention_head_dim = '8'"),
        ("unet", {"block_out_channels": [320, "640"]}, "block_out_channels = .*whole numbers"),
        ("unet", {"block_out_channels": 320}, "block_out_channels = 320; supported is a list"),
        ("unet", {"norm_num_groups": 48}, "channels: 320 at level 0 with groups = 48"),
        ("unet", {"norm_eps": "small"}, "norm_eps = 'small'; supported is a number"),
        ("unet", {"cross_attention_dim": None}, "cross_attention_dim is missing"),
        ("unet", {"layers_per_block": 0}, "layers_per_block = 0"),
        ("vae", {"act_fn": "relu"}, "act_fn = 'relu'"),
        ("vae", {"up_block_types": ["UpDecoderBlock2D"] * 3}, "up_block_types.*4 of UpDecoder"),
        ("vae", {"use_quant_conv": False}, "use_quant_conv = False"),
        ("vae", {"shift_factor": 0.1}, "shift_factor = 0.1"),
        ("vae", {"norm_num_groups": 48}, "block_out_channels = .*multiples of norm_num_groups"),
        ("vae", {"out_channels": 4}, "out_channels = 4; supported is 3"),
        ("text", {"hidden_act": "relu"}, "hidden_act = 'relu'; supported is one of quick_gelu"),
        ("text", {"model_type": "t5"}, "model_type = 't5'"),
        ("text", {"vocab_size": "49408"}, "vocab_size = '49408'; supported is a whole number"),
        ("text", {"num_attention_heads": 7}, "num_attention_heads = 7.*divisor of hidden_size"),
        ("schedule", {"beta_schedule": "linear"}, "beta_schedule = 'linear'"),
        ("schedule", {"beta_schedule": None}, "beta_schedule is missing"),
        ("schedule", {"skip_prk_steps": None}, "skip_prk_steps is missing"),
        ("schedule", {"prediction_type": "sample"}, "prediction_type = 'sample'.*v_prediction"),
        ("schedule", {"trained_betas": [0.1, 0.2]}, "trained_betas = "),
        ("schedule", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr = True"),
        ("schedule", {"thresholding": True}, "thresholding = True"),
        ("schedule", {"timestep_spacing": "trailing"}, "timestep_spacing = 'trailing'.*leading"),
        ("schedule", {"_class_name": "EulerDiscreteScheduler"}, "_class_name = 'Euler.*UniPC"),
        ("schedule", {"_class_name": None}, "_class_name is missing"),
        ("schedule", {"_class_name": "UniPCMultistepScheduler", "solver_order": 3}, "solver_order"),
        (
            "schedule",
            {"_class_name": "UniPCMultistepScheduler", "disable_corrector": [0]},
            "disable_corrector",
        ),
        ("schedule", {"_class_name": "DDIMScheduler", "clip_sample": True}, "clip_sample = True"),
        ("schedule", {"beta_start": True}, "beta_start = True"),
        ("schedule", {"steps_offset": 0}, "steps_offset = 0; supported is 1"),
        ("controlnet", {"controlnet_conditioning_channel_order": "bgr"}, "= 'bgr'"),
        ("controlnet", {"global_pool_conditions": True}, "global_pool_conditions = True"),
        ("controlnet", {"class_embed_type": "timestep"}, "class_embed_type"),
        ("controlnet", {"conditioning_embedding_out_channels": 16}, "= 16; supported is a list"),
    ],
)
def test_what_is_not_built_is_refused_by_name(tmp_path, part, change, message):
    fields = {name: v for name, v in (PUBLISHED[part] | change).items() if v is not None}
    with pytest.raises(InputError, match=rf"config\.json: .*{message}") as raised:
        read(tmp_path, part, fields)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("part", PUBLISHED)
@pytest.mark.parametrize("value", ["odd", -1, [], {}, True, 1.5, [[1]]])
def test_fields_of_another_type_are_one_error_or_read(tmp_path, part, value):
    refused = {}
    for name in PUBLISHED[part]:
        try:
            read(tmp_path, part, {**PUBLISHED[part], name: value})
        except InputError as error:
            refused[name] = str(error)
    assert len(refused) > 5
    # heads and groups that divide no width are said of the widths
    allowed = ("block_out_channels", "attention_head_dim", "norm_num_groups", "num_attention_heads")
    unnamed = [name for name, message in refused.items() if name not in message]
    assert set(unnamed) <= set(allowed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"act_fn": "silu"', "not JSON"),
        ("", "not JSON"),
        ("[1]", "expected a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (None, "missing"),
    ],
)
def test_files_that_are_no_configs_are_named(tmp_path, content, message):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=rf"config\.json: {message}"):
        configs.read_unet(path, "float32")


def test_default_is_stable_diffusion():
    config = LatentDiffusionConfig()
    assert config.side == 64 * config.vae.factor == 512
    assert config.hint is None
