"""Low-rank adaptation against peft, whose golden network has rank 4 and alpha 32."""

from __future__ import annotations

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.latent_diffusion.clip_text import TextEncoder
from common.latent_diffusion.config import LatentDiffusionConfig, TextConfig
from common.latent_diffusion.lora import (
    Adaptation,
    LoRALinear,
    LoRAParam,
    adapted_layers,
    add_lora,
    linear_layers,
    lora_of,
    merge_lora,
    parameters,
    remove_lora,
    set_lora,
    set_scale,
)
from common.latent_diffusion.names import diffusers_name
from tests.common.latent_diffusion.golden import (
    GOLDEN,
    TINY,
    abstract,
    draw,
    network,
    relative_error,
)
from tests.golden.seeded_weights import seeded_weights

RANK, ALPHA = 4, 32


@jax.jit
def run(unet):
    x, context = draw(1, 2, 4, 8, 8), draw(2, 2, 77, 32)
    return unet(x, jnp.array([3, 977]), context)


@pytest.fixture
def plain():
    return nnx.clone(network("unet"))


@pytest.fixture
def adapted(plain):
    shapes = {name: tuple(s) for name, s in json.loads(str(GOLDEN["lora_shapes"])).items()}
    weights = seeded_weights(shapes, 5)
    adaptations = {}
    for path, _ in linear_layers(plain):
        name = diffusers_name("unet", path)
        if f"{name}.lora_A.weight" in weights:
            down, up = (0.1 * weights[f"{name}.lora_{half}.weight"].T for half in "AB")
            adaptations[path] = Adaptation(np.float32(down), np.float32(up), ALPHA)
    assert 2 * len(adaptations) == len(weights)
    set_lora(plain, adaptations)
    return plain


@pytest.fixture
def text():
    """Return the text encoder, adapted: it compiles in a tenth of the time."""
    made = nnx.clone(network("text"))
    add_lora(made, RANK, ALPHA, rngs=nnx.Rngs(0))
    for i, layer in enumerate(adapted_layers(made).values()):
        layer.lora_b[...] = 0.1 * jax.random.normal(jax.random.key(i), layer.lora_b.shape)
    return made


@jax.jit
def encoded(text):
    return text(jnp.asarray(np.random.RandomState(6).randint(0, 800, (2, 77))))


def bits(network):
    return {path: np.asarray(v[...]) for path, v in nnx.to_flat_state(nnx.state(network))}


def same_bits(ours, theirs):
    ours, theirs = bits(ours), bits(theirs)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[path], theirs[path]) for path in ours
    )


def test_output_equals_peft(adapted):
    error = relative_error(run(adapted), GOLDEN["lora"])
    print(error)
    assert error < 1e-5
    assert relative_error(run(network("unet")), GOLDEN["lora"]) > 0.1


def test_scale_is_alpha_over_rank(adapted):
    assert {float(layer.factor) for layer in adapted_layers(adapted).values()} == {8}
    set_scale(adapted, 0.25)
    assert {float(layer.factor) for layer in adapted_layers(adapted).values()} == {2}


def test_merged_equals_unmerged_in_plain_layers(adapted):
    expected = run(adapted)
    merge_lora(adapted)
    assert not any(isinstance(each, LoRALinear) for _, each in nnx.iter_modules(adapted))
    assert bits(adapted).keys() == bits(network("unet")).keys()
    assert relative_error(run(adapted), expected) < 1e-5


def test_merged_at_a_scale_equals_unmerged_at_it(text):
    whole = encoded(text)
    set_scale(text, 0.5)
    expected = encoded(text)
    assert relative_error(expected, whole) > 1e-3
    merge_lora(text)
    assert relative_error(encoded(text), expected) < 1e-5


def test_removed_leaves_the_exact_bits(adapted):
    remove_lora(adapted)
    assert same_bits(adapted, network("unet"))


def test_scale_0_is_the_plain_network(text):
    set_scale(text, 0)
    assert relative_error(encoded(text), encoded(network("text"))) < 1e-6


def test_another_scale_alpha_and_file_compile_nothing(text):
    compiled = jax.jit(lambda text: encoded(text))
    first = compiled(text)
    set_scale(text, 0.5)
    assert relative_error(compiled(text), first) > 1e-3
    set_scale(text, 1)
    np.testing.assert_array_equal(compiled(text), first)
    others = {path: each._replace(alpha=1) for path, each in lora_of(text).items()}
    remove_lora(text)
    set_lora(text, others)
    assert relative_error(compiled(text), first) > 1e-3
    assert compiled._cache_size() == 1


def test_untrained_adaptation_changes_no_bit_of_the_weights_nor_the_output(plain):
    add_lora(plain, RANK, ALPHA, rngs=nnx.Rngs(0))
    assert np.abs(run(plain) - run(network("unet"))).max() == 0
    merge_lora(plain)
    assert same_bits(plain, network("unet"))


@pytest.mark.parametrize("rank", [4, 16])
def test_a_is_normal_with_deviation_1_over_rank_and_b_zero(plain, rank):
    add_lora(plain, rank, ALPHA, rngs=nnx.Rngs(0))
    drawn = lora_of(plain)
    values = np.concatenate([each.a.ravel() for each in drawn.values()]) * rank
    assert abs(values.mean()) < 5 / math.sqrt(values.size)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / values.size)
    assert np.unique(values).size > 0.99 * values.size  # no two layers have the same
    assert not any(each.b.any() for each in drawn.values())
    again, other = (nnx.clone(network("unet")) for _ in range(2))
    add_lora(again, rank, ALPHA, rngs=nnx.Rngs(0))
    add_lora(other, rank, ALPHA, rngs=nnx.Rngs(1))
    assert same_bits(again, plain)
    assert not same_bits(other, plain)


def full_size(part):
    made = abstract(part, LatentDiffusionConfig())
    add_lora(made, RANK, ALPHA, rngs=nnx.Rngs(0))
    return made


def test_full_size_has_as_many_parameters_as_peft():
    unet = full_size("unet")
    assert parameters(unet) == 797_184
    assert len(adapted_layers(unet)) == 128
    assert len(adapted_layers(full_size("text"))) == 4 * TextConfig().layers


def test_can_be_added_where_a_network_is_traced():
    def make():
        made = TextEncoder(TINY.text, rngs=nnx.Rngs(0))
        add_lora(made, RANK, ALPHA, rngs=nnx.Rngs(1))
        return made

    assert parameters(nnx.eval_shape(make)) == 8 * 2 * 32 * RANK


def test_trained_parameters_are_found_and_get_all_gradients(text):
    graph, trained, rest = nnx.split(text, LoRAParam, ...)
    paths = [path for path, _ in nnx.to_flat_state(trained)]
    assert {path[-1] for path in paths} == {"lora_a", "lora_b"}
    assert len(paths) == 2 * len(adapted_layers(text)) == 16
    assert not any(isinstance(each, LoRAParam) for _, each in nnx.to_flat_state(rest))

    @jax.jit
    @jax.grad
    def gradient(trained):
        return jnp.mean(encoded(nnx.merge(graph, trained, rest))[0] ** 4)

    gradients = nnx.to_flat_state(gradient(trained))
    assert [path for path, _ in gradients] == paths
    assert all(np.abs(each[...]).max() > 0 for _, each in gradients)


def test_merged_in_float32_and_stored_in_the_layers_type():
    base = nnx.Linear(8, 8, use_bias=False, rngs=nnx.Rngs(0), param_dtype=jnp.bfloat16)
    kernel = np.asarray(base.kernel[...], np.float32)
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(8, 8)).astype(np.float32) for _ in range(2))
    owner = nnx.Module()
    owner.layer = base
    set_lora(owner, {("layer",): Adaptation(a, b, 8)})
    merge_lora(owner)
    expected = jnp.asarray(kernel + a @ b).astype(jnp.bfloat16)
    assert owner.layer.kernel.dtype == jnp.bfloat16
    np.testing.assert_array_equal(owner.layer.kernel[...], expected)


def test_computes_in_the_type_of_the_layer():
    owner = nnx.Module()
    owner.layer = nnx.Linear(8, 8, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    add_lora(owner, 2, 2, layers=("layer",), rngs=nnx.Rngs(0))
    assert owner.layer(jnp.ones((3, 8), jnp.float32)).dtype == jnp.bfloat16
    assert owner.layer.lora_a.dtype == owner.layer.lora_b.dtype == jnp.float32


def test_layers_in_lists_can_be_adapted():
    owner = nnx.Module()
    owner.layers = nnx.List([nnx.Linear(8, 8, rngs=nnx.Rngs(0))])
    add_lora(owner, 2, 2, layers=(0,), rngs=nnx.Rngs(0))
    assert isinstance(owner.layers[0], LoRALinear)
    remove_lora(owner)
    assert isinstance(owner.layers[0], nnx.Linear)


def test_second_adaptation_is_refused_and_changes_nothing(plain):
    add_lora(plain, RANK, ALPHA, layers=("value",), rngs=nnx.Rngs(0))
    before = bits(plain).keys()
    with pytest.raises(ValueError, match="has an adaptation already; merge_lora or remove_lora"):
        add_lora(plain, RANK, ALPHA, rngs=nnx.Rngs(0))
    assert bits(plain).keys() == before


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 4, "layers": ("to_q",)}])
def test_rank_or_layers_that_are_none_are_refused(plain, options):
    with pytest.raises(ValueError, match="linear layers called"):
        add_lora(plain, **options, alpha=4, rngs=nnx.Rngs(0))
