"""Models to files: what is written is the same model, and whole or not there."""

import json
import os
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.latent_diffusion import checkpoint
from common.latent_diffusion.checkpoint import load, save_folder
from common.latent_diffusion.textual_inversion import load_embedding
from tests.common.latent_diffusion.golden import shapes
from tests.common.latent_diffusion.models import WEIGHTS, assert_same, parameters, single


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


def test_a_saved_file_is_the_same_model(folder, pipe, tmp_path):
    path = tmp_path / "saved.safetensors"
    checkpoint.save_file(pipe, path)
    loaded = load(path, config=folder)  # its sizes and its tokenizer
    assert_same(loaded, pipe)
    assert loaded.tokenizer("film").tolist() == pipe.tokenizer("film").tolist()
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
    (copy / "tokenizer" / "tokenizer.json").unlink()
    (copy / "tokenizer" / "tokenizer.json").write_text("{}")
    save_folder(replace(pipe, controlnet=None), copy)
    loaded = load(copy)
    assert loaded.controlnet is None
    assert loaded.tokenizer("film").tolist() == pipe.tokenizer("film").tolist()


def test_words_of_the_users_own_are_saved(pipe, tmp_path):
    save_file({"<film>": np.ones((2, 32), np.float32)}, tmp_path / "film.safetensors")
    extended = load_embedding(pipe, tmp_path / "film.safetensors")
    save_folder(extended, tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert loaded.tokenizer("a <film>").tolist() == extended.tokenizer("a <film>").tolist()
    assert_same(loaded, extended)
    said = json.loads((tmp_path / "saved" / "text_encoder" / "config.json").read_text())
    assert (said["vocab_size"], said["eos_token_id"]) == (816, 813)


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

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        function(pipe, tmp_path / "new" / "model.safetensors")
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
