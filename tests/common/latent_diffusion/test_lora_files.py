"""LoRA files of every form against diffusers and peft, which read the same ones."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from common.errors import InputError
from common.latent_diffusion.lora import (
    LoRALinear,
    adapted_layers,
    add_lora,
    linear_layers,
    merge_lora,
    remove_lora,
)
from common.latent_diffusion.lora_files import load_lora, save_lora
from common.latent_diffusion.pipeline import Pipeline
from common.latent_diffusion.tokenizer import Tokenizer
from common.latent_diffusion.vocabulary import Vocabulary
from common.pretrained.tensor_files import open_tensors, save_tensors
from tests.common.latent_diffusion.golden import (
    TINY,
    draw,
    network,
    relative_error,
    shapes,
    thinned,
)
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "lora_files.npz")
FORMS = ("diffusers", "older", "oldest", "kohya", "peft")
TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
FF = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2"
PAIR = {
    f"unet.{TO_Q}.lora_A.weight": np.ones((4, 32), np.float32),
    f"unet.{TO_Q}.lora_B.weight": np.ones((32, 4), np.float32),
}
KOHYA = f"lora_unet_{TO_Q.replace('.', '_')}"


def stored(key):
    return json.loads(str(GOLDEN[key]))


def tensors(form):
    weights = seeded_weights(stored(f"{form}/shapes"), int(GOLDEN[f"{form}/seed"]))
    matrices = {name: np.float32(0.1 * weight) for name, weight in weights.items()}
    return matrices | {n: np.float32(value) for n, value in stored(f"{form}/alphas").items()}


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of a form of the golden values."""

    def written(form):
        name = "adapter_model" if form == "peft" else "pytorch_lora_weights"
        path = tmp_path / f"{name}.safetensors"
        save_tensors(path, tensors(form), stored(f"{form}/metadata"))
        if form == "peft":
            (tmp_path / "adapter_config.json").write_text(str(GOLDEN["peft/config"]))
        return path

    return written


@pytest.fixture
def networks():
    return {part: nnx.clone(network(part)) for part in ("unet", "text")}


@jax.jit
def run(networks):
    x, context = draw(1, 2, 4, 8, 8), draw(2, 2, 77, 32)
    ids = np.random.RandomState(6).randint(0, 800, (2, 77))
    return networks["unet"](x, jnp.array([3, 977]), context), networks["text"](jnp.asarray(ids))


def equals_golden(networks, form):
    ours = run(networks)
    errors = [
        relative_error(thinned(y), GOLDEN[f"{form}/{part}"])
        for y, part in zip(ours, ("unet", "text"), strict=True)
    ]
    print(form, errors)
    return max(errors) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_loaded_equals_diffusers_and_peft(networks, file, form):
    load_lora(networks, file(form))
    assert equals_golden(networks, form)


@pytest.mark.parametrize("form", FORMS)
def test_saved_and_loaded_is_the_same(networks, file, tmp_path, form):
    load_lora(networks, file(form))
    save_lora(networks, tmp_path / "ours.safetensors")
    again = {part: nnx.clone(network(part)) for part in networks}
    load_lora(again, tmp_path / "ours.safetensors")
    for part in networks:
        jax.tree.map(
            np.testing.assert_array_equal, nnx.state(networks[part]), nnx.state(again[part])
        )


def test_pipelines_are_taken_as_their_networks_are(networks, file, tmp_path):
    tokenizer = Tokenizer(Vocabulary({}, {}, "", {}))
    pipeline = Pipeline(TINY, tokenizer, networks["text"], networks["unet"], network("vae"))
    load_lora(pipeline, file("older"))
    save_lora(pipeline, tmp_path / "pipeline.safetensors")
    save_lora(networks, tmp_path / "networks.safetensors")
    assert adapted_layers(networks["unet"])
    assert adapted_layers(networks["text"])
    first, second = (tmp_path / f"{name}.safetensors" for name in ("pipeline", "networks"))
    assert first.read_bytes() == second.read_bytes()


def test_saved_file_is_as_diffusers_writes_it(networks, file, tmp_path):
    path = file("diffusers")
    load_lora(networks, path)
    save_lora(networks, tmp_path / "ours.safetensors")
    ours, theirs = load_file(tmp_path / "ours.safetensors"), tensors("diffusers")
    # theirs of the text encoder have lacked "text_model." since transformers 5; both are read
    theirs = {
        name.replace("text_encoder.", "text_encoder.text_model."): value
        for name, value in theirs.items()
    }
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    with open_tensors(path) as before, open_tensors(tmp_path / "ours.safetensors") as after:
        expected, settings = (
            json.loads(each.metadata["lora_adapter_metadata"]) for each in (before, after)
        )
    assert settings["unet.r"] == 4
    for name in ("unet.r", "unet.lora_alpha", "text_encoder.r", "text_encoder.lora_alpha"):
        assert settings[name] == expected[name]
    pattern = {"encoder.layers.1.self_attn.v_proj": 9}
    assert settings["text_encoder.alpha_pattern"] == pattern


def alphas(network):
    return {float(layer.alpha[...]) for layer in adapted_layers(network).values()}


@pytest.mark.parametrize(("given", "expected"), [(None, 4), (32, 32)])
def test_alpha_that_no_file_says_is_given_or_the_rank(networks, tmp_path, given, expected):
    save_tensors(tmp_path / "a.safetensors", PAIR)
    load_lora(networks, tmp_path / "a.safetensors", alpha=given)
    assert alphas(networks["unet"]) == {expected}
    assert not alphas(networks["text"])


def test_alpha_of_the_file_counts_before_the_given_one(networks, file, tmp_path):
    load_lora(networks, file("kohya"), alpha=32)
    assert alphas(networks["unet"]) == {2}
    remove_lora(networks["unet"])
    settings = {"unet.lora_alpha": 7, "text_encoder.lora_alpha": 8}
    metadata = {"lora_adapter_metadata": json.dumps(settings)}
    save_tensors(tmp_path / "a.safetensors", PAIR, metadata)
    load_lora({"unet": networks["unet"]}, tmp_path / "a.safetensors", alpha=32)
    assert alphas(networks["unet"]) == {7}


def test_alpha_of_kohya_is_each_layers_own(networks, tmp_path):
    made = {}
    for key, alpha in ((KOHYA, 1), (KOHYA.replace("to_q", "to_k"), 0.5)):
        made[f"{key}.lora_down.weight"] = PAIR[f"unet.{TO_Q}.lora_A.weight"]
        made[f"{key}.lora_up.weight"] = PAIR[f"unet.{TO_Q}.lora_B.weight"]
        made[f"{key}.alpha"] = np.float32(alpha)
    save_tensors(tmp_path / "a.safetensors", made)
    load_lora(networks, tmp_path / "a.safetensors")
    assert alphas(networks["unet"]) == {1, 0.5}


def test_second_one_waits_until_the_first_is_merged_or_removed(networks, file):
    path = file("older")
    load_lora(networks, path)
    with pytest.raises(InputError, match=r"have an adaptation already: .*merge_lora or remove"):
        load_lora(networks, path)
    assert equals_golden(networks, "older")
    merge_lora(networks["unet"])
    remove_lora(networks["text"])
    load_lora(networks, path)
    assert not equals_golden(networks, "older")


def test_adaptation_of_the_unet_alone_takes_one_of_the_text_encoder(networks, file, tmp_path):
    add_lora(networks["unet"], 4, 4, rngs=nnx.Rngs(0))
    text = {n: v for n, v in tensors("older").items() if n.startswith("text_encoder")}
    save_tensors(tmp_path / "text.safetensors", text)
    load_lora(networks, tmp_path / "text.safetensors")
    assert adapted_layers(networks["text"])


def half(name, rows, columns):
    return {name: np.ones((rows, columns), np.float32)}


CONV = {
    "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": np.ones((4, 32, 3, 3), np.float32),
    "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": np.ones((32, 4, 1, 1), np.float32),
}
BAD = {
    "unknown layer": (
        PAIR | {k.replace("to_q", "to_z"): v for k, v in PAIR.items()},
        r"1 tensors of no linear layer in the networks: 'unet\.down.*to_z\.lora_A",
    ),
    "convolution": (PAIR | CONV, r"1 tensors of a convolution larger than 1x1: '.*conv1"),
    "no up": (
        PAIR | half(f"unet.{FF}.lora.down.weight", 4, 128),
        r"1 tensors without their other half: 'unet.*ff\.net\.2\.lora\.down",
    ),
    "no down": (
        PAIR | half(f"unet.{FF}.lora.up.weight", 32, 4),
        r"1 tensors without their other half: 'unet.*ff\.net\.2\.lora\.up",
    ),
    "alpha alone": (
        PAIR | {f"unet.{FF}.alpha": np.float32(3)},
        r"1 tensors without their other half: 'unet.*ff\.net\.2\.alpha",
    ),
    "inputs": (
        PAIR | half(f"unet.{TO_Q}.lora_A.weight", 4, 33),
        r"1 pairs of other shapes .*to_q\.lora_A\.weight \(4, 33\) with .*\(32, 4\)",
    ),
    "outputs": (
        PAIR | half(f"unet.{TO_Q}.lora_B.weight", 33, 4),
        r"1 pairs of other shapes .*\(4, 32\) with .*\(33, 4\)",
    ),
    "ranks": (
        PAIR | half(f"unet.{TO_Q}.lora_B.weight", 32, 5),
        r"1 pairs of other shapes .*\(4, 32\) with .*\(32, 5\)",
    ),
    "vector": (
        PAIR | {f"unet.{TO_Q}.lora_A.weight": np.ones(32, np.float32)},
        r"1 pairs of other shapes .*\(32,\) with .*\(32, 4\)",
    ),
    "rank 0": (
        half(f"unet.{TO_Q}.lora_A.weight", 0, 32) | half(f"unet.{TO_Q}.lora_B.weight", 32, 0),
        r"1 pairs of other shapes",
    ),
    "LoHa": (half(f"{KOHYA}.hada_w1_a", 4, 4), r"1 tensors of LoHa: .*; give a plain LoRA"),
    "LoKr": (half(f"{KOHYA}.lokr_w1", 4, 4), r"1 tensors of LoKr: .*; give a plain LoRA"),
    "DoRA": (
        PAIR | half(f"{KOHYA}.dora_scale", 4, 1),
        r"1 tensors of DoRA: .*dora_scale'; give a plain LoRA",
    ),
    "DoRA of peft": (
        PAIR | half(f"unet.{TO_Q}.lora_magnitude_vector.weight", 1, 32),
        r"1 tensors of DoRA: ",
    ),
    "SDXL": (
        half("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", 4, 32)
        | half("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", 4, 32),
        r"2 tensors of Stable Diffusion XL: 'lora_te1.*, 'lora_te2",
    ),
    "strange": (PAIR | half("unet.conv_in.weight", 4, 4), r"1 tensors of no LoRA: 'unet.conv_in"),
    "bias": (PAIR | half(f"unet.{TO_Q}.lora_B.bias", 4, 4), r"1 tensors of no LoRA: "),
    "twice": (
        PAIR | half(f"{KOHYA}.lora_down.weight", 4, 32),
        r"2 names of one matrix: .*; give a file of a single adaptation",
    ),
    "alphas": (
        PAIR | {f"unet.{TO_Q}.alpha": np.ones(2, np.float32)},
        r"to_q\.alpha' is \[1\. 1\.\], expected one finite number",
    ),
    "alpha": (
        PAIR | {f"unet.{TO_Q}.alpha": np.float32("nan")},
        r"to_q\.alpha' is nan, expected one finite number",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_named_and_changes_nothing(networks, tmp_path, name):
    bad, message = BAD[name]
    path = tmp_path / "bad.safetensors"
    save_tensors(path, bad)
    with pytest.raises(InputError, match=message) as error:
        load_lora(networks, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert not any(adapted_layers(each) for each in networks.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON object"),
        ("3", "is no JSON object"),
        ('{"unet.lora_alpha": "x"}', "'lora_alpha' is x, expected one finite number"),
        ('{"unet.alpha_pattern": {"(a+)+": 3}}', "name the layers one by one"),
        ('{"unet.alpha_pattern": [3]}', r"alpha_pattern \[3\]: expected an object"),
    ],
)
def test_bad_metadata_are_one_line(networks, tmp_path, text, message):
    path = tmp_path / "bad.safetensors"
    save_tensors(path, PAIR, {"lora_adapter_metadata": text})
    with pytest.raises(InputError, match=message):
        load_lora(networks, path)


def test_layers_of_a_network_that_is_not_given_are_named(networks, file):
    with pytest.raises(InputError, match="no linear layer in the networks: 'text_encoder"):
        load_lora({"unet": networks["unet"]}, file("older"))


def test_nothing_to_save_is_one_line(networks, tmp_path):
    with pytest.raises(InputError, match="no adaptation; add_lora or load_lora first"):
        save_lora(networks, tmp_path / "a.safetensors")
    add_lora(networks["unet"], 4, 4, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"written as \.safetensors"):
        save_lora(networks, tmp_path / "a.bin")
    assert not list(tmp_path.iterdir())


def test_every_linear_layer_can_be_adapted_under_its_kohya_name(networks, tmp_path):
    made, count = {}, 0
    for part, prefix in (("unet", "lora_unet"), ("text", "lora_te_text_model")):
        for name, (out, into, *window) in matrices(part).items():
            assert window in ([], [1, 1])
            key, count = f"{prefix}_{name.replace('.', '_')}", count + 1
            made[f"{key}.lora_down.weight"] = np.zeros((1, into, *window), np.float32)
            made[f"{key}.lora_up.weight"] = np.zeros((out, 1, *window), np.float32)
    save_tensors(tmp_path / "all.safetensors", made)
    load_lora(networks, tmp_path / "all.safetensors")
    found = [dict(linear_layers(each)) for each in networks.values()]
    assert sum(map(len, found)) == count == 242
    assert all(isinstance(each, LoRALinear) for layers in found for each in layers.values())


def matrices(part):
    """Return the shapes of the layers' weights that are linear in our network."""
    return {
        name.removesuffix(".weight"): shape
        for name, shape in shapes(part).items()
        if len(shape) > 1 and shape[2:] != (3, 3) and "embeddings" not in name
    }


def test_half_precision_is_read(networks, tmp_path):
    save_tensors(tmp_path / "a.safetensors", {n: v.astype(np.float16) for n, v in PAIR.items()})
    load_lora(networks, tmp_path / "a.safetensors")
    (layer,) = adapted_layers(networks["unet"]).values()
    assert layer.lora_a.dtype == jnp.float32


@pytest.mark.parametrize("form", ["peft", FORMS[0]])
def test_folder_that_diffusers_or_peft_saved_is_read(networks, file, form):
    path = file(form)
    load_lora(networks, path.parent)
    assert adapted_layers(networks["unet"])
    path.unlink()
    with pytest.raises(InputError, match="nor adapter_model"):
        load_lora({part: network(part) for part in networks}, path.parent)
