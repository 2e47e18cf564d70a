"""Models from files: every layout and age of names is the same model."""

import json
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.latent_diffusion.checkpoint import load, load_controlnet
from common.latent_diffusion.config import HintConfig
from common.pretrained.registered import register
from tests.common.latent_diffusion.golden import TINY
from tests.common.latent_diffusion.models import (
    TABLES,
    WEIGHTS,
    assert_same,
    edited,
    parameters,
    pickle_of,
    rewritten,
    single,
    without_prefix,
)


def test_sizes_are_what_the_folder_says(pipe):
    assert replace(pipe.config.schedule, spacing=None) == TINY.schedule
    assert replace(pipe.config, schedule=TINY.schedule) == TINY
    assert pipe.tokenizer.size == TINY.text.vocabulary


# names and files in circulation


def old_text(tensors):
    ids = np.arange(77, dtype=np.int64)[None]
    named = {f"text_model.{name}": array for name, array in without_prefix(tensors).items()}
    return named | {"text_model.embeddings.position_ids": ids}


def old_vae(tensors, by_convolution=False):
    """Return the names of before 2023 of the autoencoder's attention."""
    olds = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    named = {}
    for name, array in tensors.items():
        for new, old in olds.items():
            if f"attentions.0.{new}." in name:
                name = name.replace(new, old)
                if by_convolution and array.ndim == 2:
                    array = array[:, :, None, None]
        named[name] = array
    assert named.keys() != tensors.keys()
    return named


NAMES = {
    "text without prefix": ("text", without_prefix),
    "text with prefix and position_ids": ("text", old_text),
    "old attention": ("vae", old_vae),
    "old attention by convolution": ("vae", lambda tensors: old_vae(tensors, True)),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_ages_are_the_same_model(copy, pipe, name):
    part, change = NAMES[name]
    rewritten(copy / WEIGHTS[part], change)
    assert_same(load(copy), pipe)


def test_files_of_the_first_release_are_the_same_model(copy, pipe):
    """Two files of a tokenizer, a safety checker, and fields that were not written then."""
    whole = json.loads((copy / "tokenizer" / "tokenizer.json").read_text())
    (copy / "tokenizer" / "tokenizer.json").unlink()
    (copy / "tokenizer" / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in whole["model"]["merges"]
    ]
    (copy / "tokenizer" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    edited(copy / "vae" / "config.json", scaling_factor=..., force_upcast=..., use_quant_conv=...)
    edited(copy / "scheduler" / "scheduler_config.json", prediction_type=...)
    edited(
        copy / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
    )
    (copy / "safety_checker").mkdir()
    assert_same(load(copy), pipe)


def test_pickles_are_the_same_model(copy, pipe):
    for part, file in WEIGHTS.items():
        path = copy / file
        tensors = load_file(path)
        path.unlink()
        stem = "pytorch_model" if part == "text" else "diffusion_pytorch_model"
        pickle_of(tensors, path.with_name(f"{stem}.bin"))
    assert_same(load(copy), pipe)


def test_shards_are_the_same_model(copy, pipe):
    path = copy / WEIGHTS["unet"]
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    listed = {}
    for i in range(3):
        shard = f"diffusion_pytorch_model-0000{i + 1}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names[i::3]}, path.with_name(shard))
        listed |= dict.fromkeys(names[i::3], shard)
    index = {"metadata": {"total_size": 0}, "weight_map": listed}
    path.with_name("diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert_same(load(copy), pipe)
    path.with_name(shard).unlink()
    with pytest.raises(InputError, match=r"index\.json: its shard .*00003.* is missing"):
        load(copy)


@pytest.mark.parametrize("stored", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("variant", ["fp16", ""])
def test_halves_become_what_is_asked_for(copy, pipe, stored, variant):
    def halved(tensors):
        return {name: array.astype(stored) for name, array in tensors.items()}

    for file in WEIGHTS.values():
        path = copy / file
        stem = path.name.removesuffix(".safetensors")
        rewritten(path, halved, path.with_name(f"{stem}{'.' * bool(variant)}{variant}.safetensors"))
    theirs = parameters(pipe)
    for path, array in parameters(load(copy)).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.asarray(theirs[path]).astype(stored))
    if stored is ml_dtypes.bfloat16:
        kept = load(copy, dtype="bfloat16")
        assert all(array.dtype == stored for array in parameters(kept).values())
        assert {kept.config.unet.dtype, kept.config.vae.dtype, kept.config.text.dtype} == {
            "bfloat16"
        }
        assert kept.controlnet.dtype == stored


def test_types_of_computing_and_keeping_are_two(folder):
    pipeline = load(folder, dtype="bfloat16", weights_dtype="float32")
    assert pipeline.unet.dtype == ml_dtypes.bfloat16
    assert all(array.dtype == np.float32 for array in parameters(pipeline).values())


def test_whole_weights_come_before_halves(copy, pipe):
    path = copy / WEIGHTS["text"]
    zeros = {name: np.zeros_like(array) for name, array in load_file(path).items()}
    save_file(zeros, path.with_name("model.fp16.safetensors"))
    assert_same(load(copy), pipe)


# single files


@pytest.mark.usefixtures("own_tokenizer")
def test_a_single_file_is_the_same_model(folder, pipe, config, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(single(folder, more=TABLES), path)
    assert_same(load(path, config=config), pipe)


@pytest.mark.usefixtures("own_tokenizer")
def test_a_single_pickle_is_the_same_model(folder, pipe, config, tmp_path):
    path = tmp_path / "model.ckpt"
    pickle_of(single(folder), path)
    assert_same(load(path, config=config), pipe)


@pytest.mark.usefixtures("own_tokenizer")
@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_a_controlnet_has_its_own_file(folder, pipe, config, tmp_path, prefix):
    path, control = tmp_path / "model.safetensors", tmp_path / "control.safetensors"
    save_file(single(folder, ("unet", "vae", "text")), path)
    tensors = single(folder, ("controlnet",))
    save_file({prefix + n.removeprefix("control_model."): a for n, a in tensors.items()}, control)
    assert load(path, config=config).controlnet is None
    assert_same(load(path, controlnet=control, config=config), pipe)


@pytest.mark.usefixtures("own_tokenizer")
def test_a_controlnet_of_a_whole_file_is_taken_alone(folder, pipe, tmp_path):
    """As the first ControlNets were published: with the model that they were trained with."""
    path = tmp_path / "control_sd15_canny.safetensors"
    save_file(single(folder, more=TABLES), path)
    network, hint = load_controlnet(path, pipe.config.unet)
    assert hint == HintConfig()
    assert_same(replace(pipe, controlnet=network), pipe)


def test_a_controlnet_has_its_own_folder(copy, pipe, tmp_path):
    (copy / "controlnet").rename(tmp_path / "canny")
    with pytest.raises(InputError, match="model/controlnet': no such path"):
        load(copy)
    edited(copy / "model_index.json", controlnet=...)
    plain = load(copy)
    assert plain.controlnet is None
    assert plain.config.hint is None
    assert_same(load(copy, controlnet=tmp_path / "canny"), pipe)


def test_weights_registered_under_a_name_are_loaded(folder, pipe, tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    register("tiny", folder)
    register("canny", folder / "controlnet")
    assert_same(load("tiny", controlnet="canny"), pipe)
