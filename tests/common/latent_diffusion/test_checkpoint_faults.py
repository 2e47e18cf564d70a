"""Models in files that are damaged or do not fit: one line that names what and where."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.latent_diffusion import checkpoint
from common.latent_diffusion.checkpoint import load, load_controlnet
from common.latent_diffusion.config import HintConfig
from tests.common.latent_diffusion.golden import TINY
from tests.common.latent_diffusion.models import (
    WEIGHTS,
    edited,
    pickle_of,
    rewritten,
    single,
    without_prefix,
)


def without(name):
    return lambda tensors: {n: a for n, a in tensors.items() if n != name}


def with_one(name, shape):
    return lambda tensors: tensors | {name: np.zeros(shape, np.float32)}


FAULTS = {
    "missing": ("vae", without("quant_conv.bias"), "1 missing: 'quant_conv.bias'"),
    "missing of two ages": (
        "vae",
        without("encoder.mid_block.attentions.0.to_q.bias"),
        "1 missing: 'encoder.mid_block.attentions.0.to_q.bias'",
    ),
    "missing of text": (
        "text",
        lambda tensors: without("final_layer_norm.weight")(without_prefix(tensors)),
        "1 missing: 'text_model.final_layer_norm.weight'",
    ),
    "unknown": ("unet", with_one("add_embedding.weight", (2,)), "1 unused: 'add_embedding.weight'"),
    "shape": (
        "unet",
        with_one("conv_in.weight", (32, 9, 3, 3)),
        r"1 of another shape: 'conv_in.weight' is \(32, 9, 3, 3\), the network's is",
    ),
    "dimensions": (
        "vae",
        with_one("post_quant_conv.weight", (4,)),
        r"1 of another shape: 'post_quant_conv.weight' is \(4,\)",
    ),
    "controlnet": (
        "controlnet",
        without("controlnet_mid_block.bias"),
        "1 missing: 'controlnet_mid_block.bias'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tensor_that_does_not_fit_is_named_with_its_file(copy, fault):
    part, change, message = FAULTS[fault]
    rewritten(copy / WEIGHTS[part], change)
    with pytest.raises(InputError, match=rf"model/{WEIGHTS[part]}: {message}") as raised:
        load(copy)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("own_tokenizer")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("first_stage_model.decoder.up.3.block.0.conv1.bias"), "1 missing: 'first_stage"),
        (without("model.diffusion_model.out.2.bias"), "1 missing: 'model.diffusion_model.out.2.b"),
        (without("control_model.zero_convs.3.0.bias"), "1 missing: 'control_model.zero_convs.3"),
        (
            with_one("model.diffusion_model.input_blocks.0.0.weight", (32, 9, 3, 3)),
            "1 of another shape: 'model.diffusion_model.input_blocks.0.0.weight' is",
        ),
        (with_one("model.diffusion_model.label_emb.0.0.weight", (2,)), "1 unused: 'model.diff"),
        (
            with_one("conditioner.embedders.0.logit_scale", (1,)),
            "1 tensors of no part of Stable Diffusion 1: 'conditioner",
        ),
        (with_one("cond_stage_model.model.ln_final.bias", (1,)), "1 tensors of no part"),
    ],
)
def test_a_tensor_of_a_single_file_that_does_not_fit_is_named(
    folder, config, tmp_path, change, message
):
    path = tmp_path / "model.safetensors"
    save_file(change(single(folder)), path)
    with pytest.raises(InputError, match=rf"model\.safetensors: {message}"):
        load(path, config=config)


def cut(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1000])


def emptied(path):
    path.unlink()
    path.write_bytes(b"")


def removed(path):
    path.unlink()


def shortened_pickle(path):
    tensors = load_file(path)
    path.unlink()
    pickle_of(tensors, path.with_suffix(".bin"))
    cut(path.with_suffix(".bin"))


def pointer(path):
    path.unlink()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def broken_json(path):
    path.unlink()
    path.write_text('{"a": ')


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (WEIGHTS["vae"], cut, r"vae/diffusion_pytorch_model\.safetensors: not a whole safetensors"),
        (WEIGHTS["text"], emptied, r"text_encoder/model\.safetensors: an empty file"),
        (WEIGHTS["vae"], pointer, r"model\.safetensors: a pointer of Git LFS.*run git lfs pull"),
        (WEIGHTS["vae"], removed, r"vae: no weights in it; expected diffusion_pytorch_model\.safe"),
        (WEIGHTS["vae"], shortened_pickle, r"vae/diffusion_pytorch_model\.bin"),
        ("model_index.json", removed, r"model: no model_index\.json in it; give a folder"),
        ("model_index.json", broken_json, r"model_index\.json: not JSON"),
        ("unet/config.json", removed, r"unet/config\.json: missing"),
        ("unet/config.json", broken_json, r"unet/config\.json: not JSON"),
        ("scheduler/scheduler_config.json", removed, r"scheduler_config\.json: missing"),
        ("tokenizer/tokenizer.json", removed, "tokenizer: neither tokenizer.json nor both"),
    ],
)
def test_a_damaged_folder_is_one_line(copy, file, damage, message):
    damage(copy / file)
    with pytest.raises(InputError, match=message) as raised:
        load(copy)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("unet", {"in_channels": 9}, "takes 9 channels and gives 4.*inpainting models are not"),
        ("unet", {"cross_attention_dim": 48}, "expects 48 text features, the text encoder has 32"),
        ("text_encoder", {"vocab_size": 800}, "gives 77 of 814 ids, the text encoder has 77 and"),
        ("text_encoder", {"max_position_embeddings": 64}, "gives 77 of 814 ids"),
        ("controlnet", {"block_out_channels": [32, 64, 96, 128]}, "not for this U-Net"),
        (
            "controlnet",
            {"conditioning_embedding_out_channels": [16, 32]},
            "controlnet.*(missing|unused)",
        ),
    ],
)
def test_parts_of_other_sizes_are_refused(copy, file, change, message):
    edited(copy / file / "config.json", **change)
    with pytest.raises(InputError, match=message):
        load(copy)


def test_a_controlnet_that_halves_otherwise_is_refused(copy, pipe, monkeypatch):
    hint = HintConfig(channels=(16, 32))
    monkeypatch.setattr(checkpoint, "load_controlnet", lambda *_, **__: (pipe.controlnet, hint))
    with pytest.raises(InputError, match="makes an image 2 times smaller, the autoencoder 8 times"):
        load(copy)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="'none': no such path or registered name"):
        load("none")
    (tmp_path / "weights.txt").write_text("1")
    with pytest.raises(InputError, match=r"\.txt: no known kind of file"):
        load_controlnet(tmp_path / "weights.txt", TINY.unet)
