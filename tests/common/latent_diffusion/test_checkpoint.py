"""Models from files and back: every layout and age of names is the same model."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.latent_diffusion import checkpoint
from common.latent_diffusion.checkpoint import load, load_controlnet, save_folder
from common.latent_diffusion.config import HintConfig
from common.latent_diffusion.tokenizer import Tokenizer
from common.pretrained import tensor_files
from tests.common.latent_diffusion.golden import GOLDEN, TINY, shapes
from tests.common.latent_diffusion.test_pipeline import edges, write_folder

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "controlnet": "controlnet/diffusion_pytorch_model.safetensors",
}
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
    "controlnet": "control_model.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "diffusers")


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """Return a folder of the same files, any of which may be replaced."""
    return shutil.copytree(folder, tmp_path / "model", copy_function=os.link)


def rewritten(path, change, to=None):
    """Write tensors changed into a file in place of another; the file was shared."""
    tensors = change(load_file(path))
    path.unlink()
    save_file(tensors, to or path)


def edited(path, **fields):
    """Change fields of a JSON file, which was shared."""
    content = json.loads(path.read_text()) | fields
    path.unlink()
    path.write_text(json.dumps({name: v for name, v in content.items() if v is not ...}))


def parts(pipeline):
    return {part: getattr(pipeline, part) for part in WEIGHTS if getattr(pipeline, part)}


def parameters(pipeline):
    return {
        (part, *path): variable[...]
        for part, network in parts(pipeline).items()
        for path, variable in nnx.to_flat_state(nnx.state(network))
    }


def drawn(pipeline):
    return pipeline(
        "Chest X-ray", [5], steps=2, sampler="ddim", batch_size=1, hint=edges(), negative="film"
    )


def assert_same(pipeline, expected):
    """Hold two models equal, weights to the bit, and the images that they draw."""
    assert pipeline.config == expected.config
    assert pipeline.tokenizer("Chest X-ray").tolist() == expected.tokenizer("Chest X-ray").tolist()
    ours, theirs = parameters(pipeline), parameters(expected)
    assert ours.keys() == theirs.keys()
    for path, array in theirs.items():
        assert ours[path].dtype == array.dtype
        np.testing.assert_array_equal(ours[path], array, err_msg=str(path))
    np.testing.assert_array_equal(drawn(pipeline), drawn(expected))


def test_sizes_are_what_the_folder_says(pipe):
    assert replace(pipe.config.schedule, spacing=None) == TINY.schedule
    assert replace(pipe.config, schedule=TINY.schedule) == TINY
    assert pipe.tokenizer.size == TINY.text.vocabulary


# names and files in circulation


def without_prefix(tensors):
    return {name.removeprefix("text_model."): array for name, array in tensors.items()}


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
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in whole["model"]["merges"]]
    (copy / "tokenizer" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    edited(copy / "vae" / "config.json", scaling_factor=..., force_upcast=..., use_quant_conv=...)
    edited(copy / "scheduler" / "scheduler_config.json", prediction_type=...)
    edited(
        copy / "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"]
    )
    (copy / "safety_checker").mkdir()
    assert_same(load(copy), pipe)


def pickle_of(tensors, path):
    """Write a checkpoint as PyTorch does, which is not at hand here."""
    kinds = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
    pickled, members = "(d", {}
    for i, (name, array) in enumerate(tensors.items()):
        array = np.ascontiguousarray(array)
        strides = [stride // array.itemsize for stride in array.strides]
        sizes = ["".join(f"I{n}\n" for n in numbers) for numbers in (array.shape, strides)]
        pickled += (
            f"S'{name}'\nctorch._utils\n_rebuild_tensor_v2\n("
            f"(S'storage'\nctorch\n{kinds[array.dtype.name]}\nS'{i}'\nS'cpu'\nI{array.size}\ntQ"
            f"I0\n({sizes[0]}t({sizes[1]}tI00\nNtRs"
        )
        members[f"archive/data/{i}"] = array.tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled + ".")
        archive.writestr("archive/byteorder", b"little")
        for member, content in members.items():
            archive.writestr(member, content)


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


def single(folder, which=tuple(WEIGHTS), more=()):
    """Return the tensors of a single file made from a folder, by the names that diffusers reads."""
    tensors = {}
    for part in which:
        arrays = load_file(folder / WEIGHTS[part])
        if part == "text":
            names = {name: name.removeprefix("text_model.") for name in arrays}
            names = {name: PREFIXES["text"] + bare for name, bare in names.items()}
        else:
            names = json.loads(str(GOLDEN[f"single/{part}"]))
        for name, array in arrays.items():
            linear = "attn_1" in names[name] and array.ndim == 2
            tensors[names[name]] = array[:, :, None, None] if linear else array
    return tensors | dict(more)


# what the large published files hold besides
TABLES = {
    "betas": np.zeros(1000, np.float32),
    "alphas_cumprod": np.zeros(1000, np.float32),
    "sqrt_one_minus_alphas_cumprod": np.zeros(1000, np.float32),
    "posterior_mean_coef1": np.zeros(1000, np.float32),
    "model_ema.decay": np.zeros((), np.float32),
    "model_ema.num_updates": np.zeros((), np.int64),
    "model_ema.diffusion_modelinput_blocks00weight": np.zeros((2, 2), np.float32),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": np.arange(77)[None],
}


@pytest.fixture
def own_tokenizer(monkeypatch, pipe):
    """Make the folder's vocabulary, which is small, the published one."""
    monkeypatch.setattr(Tokenizer, "published", lambda: pipe.tokenizer)


@pytest.fixture
def config(pipe):
    return pipe.config


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
    with pytest.raises(InputError, match=r"controlnet/config\.json: No such file"):
        load(copy)
    edited(copy / "model_index.json", controlnet=...)
    plain = load(copy)
    assert plain.controlnet is None
    assert plain.config.hint is None
    assert_same(load(copy, controlnet=tmp_path / "canny"), pipe)


# what is written


def test_a_saved_folder_is_the_same_model(pipe, tmp_path):
    save_folder(pipe, tmp_path / "saved")
    assert_same(load(tmp_path / "saved"), pipe)
    written = {
        part: {name: array.shape for name, array in load_file(tmp_path / "saved" / file).items()}
        for part, file in WEIGHTS.items()
    }
    text = {n.removeprefix("text_model."): shape for n, shape in written.pop("text").items()}
    assert text == shapes("text")
    assert written == {part: shapes(part) for part in written}


@pytest.mark.usefixtures("own_tokenizer")
def test_a_saved_file_is_the_same_model(folder, pipe, config, tmp_path):
    path = tmp_path / "saved.safetensors"
    checkpoint.save_file(pipe, path)
    assert_same(load(path, config=config), pipe)
    expected = single(folder)
    written = load_file(path)
    assert written.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(written[name], array, err_msg=name, strict=True)


@pytest.mark.usefixtures("own_tokenizer")
def test_a_model_without_controlnet_is_saved_without(pipe, config, tmp_path):
    plain = replace(pipe, controlnet=None, config=replace(config, hint=None))
    save_folder(plain, tmp_path / "saved")
    checkpoint.save_file(plain, tmp_path / "saved.safetensors")
    for loaded in (
        load(tmp_path / "saved"),
        load(tmp_path / "saved.safetensors", config=plain.config),
    ):
        assert loaded.controlnet is None
        assert loaded.config == plain.config


def test_bfloat16_is_kept(folder, tmp_path):
    half = load(folder, dtype="bfloat16")
    save_folder(half, tmp_path / "saved")
    saved = {file: load_file(tmp_path / "saved" / file) for file in WEIGHTS.values()}
    dtypes = {array.dtype for tensors in saved.values() for array in tensors.values()}
    assert dtypes == {np.dtype(ml_dtypes.bfloat16)}
    again = parameters(load(tmp_path / "saved", dtype="bfloat16"))
    for path, array in parameters(half).items():
        np.testing.assert_array_equal(again[path], array)


def test_saving_over_a_model_leaves_nothing_of_it(copy, pipe):
    """What lay there would be read in place of what is written: a ControlNet, a tokenizer."""
    edited(copy / "model_index.json", a_part=["old", "Part"])
    tokenizer = pipe.tokenizer.with_tokens({"<film>": 1})
    text = replace(pipe.config.text, vocabulary=815)
    with pytest.raises(ValueError, match="vocabulary"):
        save_folder(replace(pipe, tokenizer=tokenizer), copy)
    del text


def test_an_interrupted_save_leaves_no_index_and_no_part_of_a_file(copy, pipe, monkeypatch):
    asked = []

    def stops(name, path, array):
        asked.append(name)
        if len(asked) == 700:  # within the second part
            raise KeyboardInterrupt
        return array

    monkeypatch.setattr(checkpoint.names, "from_ours", stops)
    with pytest.raises(KeyboardInterrupt):
        save_folder(pipe, copy)
    assert not (copy / "model_index.json").exists()
    with pytest.raises(InputError, match=r"no model_index\.json in it"):
        load(copy)


@pytest.mark.parametrize("function", [checkpoint.save_file, save_folder])
def test_a_full_disk_leaves_no_part_of_a_file(pipe, tmp_path, monkeypatch, function):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        function(pipe, tmp_path / "new" / "model.safetensors")
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
