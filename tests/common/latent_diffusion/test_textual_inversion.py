"""Learned embeddings against diffusers' `load_textual_inversion`."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from common.latent_diffusion.checkpoint import load, save_folder
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.textual_inversion import load_embedding
from common.latent_diffusion.tokenizer import Tokenizer
from common.pretrained.tensor_files import save_tensors
from tests.common.latent_diffusion import golden
from tests.common.latent_diffusion.golden import TINY, network, relative_error, thinned
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "lora_files.npz")
PROMPT = "an X-ray of <film> and more"


def learned(vectors):
    return seeded_weights({"<film>": (vectors, 32)}, 70)["<film>"]


@pytest.fixture
def pipe(tmp_path):
    for key in (key for key in golden.GOLDEN if key.startswith("file/tokenizer/")):
        file = tmp_path / key.removeprefix("file/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(str(golden.GOLDEN[key]))
    tokenizer = Tokenizer.from_folder(tmp_path / "tokenizer")
    assert tokenizer.size == TINY.text.vocabulary
    text = nnx.clone(network("text"))
    return Pipeline(TINY, tokenizer, text, network("unet"), network("vae"))


@pytest.mark.parametrize("vectors", [1, 3])
def test_ids_and_conditions_equal_diffusers(pipe, tmp_path, vectors):
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(vectors)})
    made = load_embedding(pipe, tmp_path / "film.safetensors")
    ids = made.tokenizer(PROMPT)
    np.testing.assert_array_equal(ids[0], GOLDEN[f"embedding/{vectors}/ids"])
    assert set(range(814, 814 + vectors)) <= set(ids[0].tolist())
    error = relative_error(thinned(made.encode_text([PROMPT])), GOLDEN[f"embedding/{vectors}/text"])
    print(error)
    assert error < 1e-5
    assert made.config.text.vocabulary == 814 + vectors == made.text.tokens.num_embeddings


def test_given_pipeline_is_as_it_was_and_shares_the_weights(pipe, tmp_path):
    before = pipe.encode_text([PROMPT])
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(3)})
    made = load_embedding(pipe, tmp_path / "film.safetensors")
    assert np.abs(made.encode_text([PROMPT]) - before).max() > 0.1
    np.testing.assert_array_equal(pipe.encode_text([PROMPT]), before)
    assert pipe.config.text.vocabulary == pipe.tokenizer.size == 814
    assert len(pipe.text.tokens.embedding[...]) == pipe.text.tokens.num_embeddings == 814
    np.testing.assert_array_equal(made.encode_text(["an X-ray"]), pipe.encode_text(["an X-ray"]))
    assert made.unet is pipe.unet
    assert (
        made.text.layers[0].ff_in.kernel[...].unsafe_buffer_pointer()
        == pipe.text.layers[0].ff_in.kernel[...].unsafe_buffer_pointer()
    )
    made.text.layers[0].ff_in.kernel[...] *= 0  # as merge_lora sets it
    np.testing.assert_array_equal(pipe.encode_text([PROMPT]), before)


def test_one_vector_may_have_no_axis_and_half_precision(pipe, tmp_path):
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(1)[0].astype(np.float16)})
    made = load_embedding(pipe, tmp_path / "film.safetensors")
    np.testing.assert_array_equal(made.tokenizer(PROMPT)[0], GOLDEN["embedding/1/ids"])
    np.testing.assert_allclose(made.text.tokens.embedding[814], learned(1)[0], atol=1e-3)
    assert made.text.tokens.embedding.dtype == jnp.float32


def test_second_one_comes_behind_the_first(pipe, tmp_path):
    for i, name in enumerate(("<a>", "<b>")):
        save_tensors(tmp_path / "one.safetensors", {name: learned(2) + i})
        pipe = load_embedding(pipe, tmp_path / "one.safetensors")
    rows = pipe.text.tokens.embedding[814:]
    np.testing.assert_array_equal(rows, np.concatenate([learned(2), learned(2) + 1]))
    assert pipe.tokenizer("<b>")[0, 1:3].tolist() == [816, 817]


def test_given_token_counts_before_the_files_own(pipe, tmp_path):
    save_tensors(tmp_path / "film.safetensors", {"<other>": learned(1)})
    made = load_embedding(pipe, tmp_path / "film.safetensors", token="<film>")
    np.testing.assert_array_equal(made.tokenizer(PROMPT)[0], GOLDEN["embedding/1/ids"])
    assert "<other>" not in made.tokenizer.vocabulary.added


def test_rows_beyond_the_tokenizers_are_no_tokens(pipe, tmp_path):
    rows = pipe.text.tokens.embedding[...]
    pipe.text.tokens.embedding = nnx.Param(jnp.pad(rows, ((0, 7), (0, 0))))
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(1)})
    made = load_embedding(pipe, tmp_path / "film.safetensors")
    np.testing.assert_array_equal(made.text.tokens.embedding[814:], learned(1))


@pytest.mark.parametrize(
    ("name", "suffix", "token"),
    [
        ("diffusers", ".bin", None),
        ("web_ui", ".pt", "<film>"),
        ("inventors", ".pt", "<film>"),
        ("lone", ".bin", "<film>"),
    ],
)
def test_checkpoints_of_others_are_read(pipe, tmp_path, name, suffix, token):
    path = tmp_path / f"film{suffix}"
    path.write_bytes(GOLDEN[f"embedding/file/{name}"].tobytes())
    made = load_embedding(pipe, path, token)
    np.testing.assert_array_equal(made.tokenizer(PROMPT)[0], GOLDEN["embedding/3/ids"])
    np.testing.assert_array_equal(made.text.tokens.embedding[814:], learned(3))
    if token is not None:
        with pytest.raises(InputError, match=r"film\..*: does not name its token; give one"):
            load_embedding(pipe, path)


def test_safetensors_of_the_web_ui_are_read(pipe, tmp_path):
    save_tensors(tmp_path / "film.safetensors", {"emb_params": learned(3)})
    made = load_embedding(pipe, tmp_path / "film.safetensors", "<film>")
    np.testing.assert_array_equal(made.tokenizer(PROMPT)[0], GOLDEN["embedding/3/ids"])
    with pytest.raises(InputError, match="does not name its token"):
        load_embedding(pipe, tmp_path / "film.safetensors")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"<a>": learned(1), "<b>": learned(1)}, "2 tensors, among them '<a>', '<b>'; expected"),
        ({"clip_g": np.ones((2, 40)), "clip_l": learned(2)}, "among them 'clip_g', 'clip_l'"),
        (
            {"<a>": np.ones((2, 768), np.float32)},
            r"'<a>' has the shape \(2, 768\), expected \(32,\)",
        ),
        ({"<a>": np.ones((1, 2, 32), np.float32)}, r"'<a>' has the shape \(1, 2, 32\), expected"),
        ({"<a>": np.ones((0, 32), np.float32)}, r"'<a>' has the shape \(0, 32\), expected"),
        ({"<a>": np.ones((), np.float32)}, r"'<a>' has the shape \(\), expected"),
        ({"!": learned(1)}, "placeholder '!': '!' is known; choose another name"),
        ({" a": learned(1)}, "placeholder ' a': expected a word without spaces"),
    ],
)
def test_what_cannot_be_used_is_named(pipe, tmp_path, tensors, message):
    path = tmp_path / "film.safetensors"
    save_tensors(path, tensors)
    with pytest.raises(InputError, match=message) as error:
        load_embedding(pipe, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_same_token_twice_is_refused(pipe, tmp_path):
    path = tmp_path / "film.safetensors"
    save_tensors(path, {"<film>": learned(3)})
    made = load_embedding(pipe, path)
    for token in (None, "<FILM>", "<film>_1"):
        with pytest.raises(InputError, match="is known; choose another name"):
            load_embedding(made, path, token)


def test_fewer_rows_than_tokens_are_one_line(pipe, tmp_path):
    pipe.text.tokens.embedding = nnx.Param(pipe.text.tokens.embedding[:800])
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(1)})
    with pytest.raises(InputError, match="800 embeddings for the tokenizer's 814 tokens"):
        load_embedding(pipe, tmp_path / "film.safetensors")


def test_saved_folder_has_the_word(pipe, tmp_path):
    save_tensors(tmp_path / "film.safetensors", {"<film>": learned(3)})
    made = load_embedding(pipe, tmp_path / "film.safetensors")
    save_folder(made, tmp_path / "saved")
    again = load(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode_text([PROMPT]), made.encode_text([PROMPT]))
    assert again.config.text.vocabulary == 817
