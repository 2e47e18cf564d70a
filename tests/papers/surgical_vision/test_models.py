"""Sizes, first weights, types and errors of the networks; what depends on what."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from papers.surgical_vision.models.attention import SelfAttention
from papers.surgical_vision.models.coder import Autoencoder, DCGANDecoder, GANGenerator, sample
from papers.surgical_vision.models.convert import cyclegan_names, from_torch
from papers.surgical_vision.models.discriminator import (
    DCGANDiscriminator,
    PatchGAN,
    StarGANDiscriminator,
)
from papers.surgical_vision.models.translator import cyclegan, stargan, style_transfer
from papers.surgical_vision.models.unet import UNet, _dropped

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "surgical_models.npz")
COUNTED = {
    "cyclegan": (cyclegan, 11_378_179),
    "cyclegan6": (partial(cyclegan, blocks=6), 7_837_699),
    "stargan3": (partial(stargan, 3), 8_424_256),
    "stargan5": (partial(stargan, 5), 8_430_528),
    "style": (style_transfer, 1_679_235),
    "pix2pix": (UNet, 54_413_955),
    "pix2pix7": (partial(UNet, downs=7), 41_828_995),
    "patchgan6": (partial(PatchGAN, 6, norm="affine"), 2_768_705),
    "patchgan3": (PatchGAN, 2_764_737),
    "dcgan": (partial(DCGANDiscriminator, 64), 2_765_568),
    "dcgan_decoder": (partial(DCGANDecoder, 64), 3_576_704),
    "stargan_d3_128": (partial(StarGANDiscriminator, 128, labels=3), 44_745_664),
    "stargan_d5_128": (partial(StarGANDiscriminator, 128, labels=5), 44_762_048),
    "stargan_d3_512": (partial(StarGANDiscriminator, 512, labels=3), 45_114_304),
    "attention256": (partial(SelfAttention, 256), 82_241),
    "attention128": (partial(SelfAttention, 128), 20_641),
    "attention64": (partial(SelfAttention, 64), 5_201),
}
SMALL = {
    "autoencoder": partial(Autoencoder, 16, filters=(4, 6), dense=5),
    "gan": partial(GANGenerator, 16, filters=(4, 6), latent=5),
    "pix2pix": partial(UNet, filters=4, downs=3, dropped=1),
    "cyclegan": partial(cyclegan, 4, 1),
    "stargan": partial(stargan, 3, 4, 1, attention=2),
    "style": partial(style_transfer, 4, 1),
    "patchgan": partial(PatchGAN, width=4, layers=2, attention=1),
    "stargan_d": partial(StarGANDiscriminator, 16, labels=3, width=4, layers=2),
}
QUICK = {"xla_backend_optimization_level": 0}  # half the time to compile
LABELS = jnp.array([[0, 0, 0], [1, 0, 1]], jnp.uint8)
KEYS = jax.random.split(jax.random.key(0), 2)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)


def abstract(build, **options):
    return nnx.eval_shape(lambda: build(**options, rngs=nnx.Rngs(0)))


def count(network):
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))


def applied(name, network, images, labels=LABELS, keys=KEYS):
    if name == "stargan":
        return network(images, labels)
    return network(images, keys) if name == "pix2pix" else network(images)


def shape_of(name, network, images):
    return jax.eval_shape(lambda network, x: applied(name, network, x), network, images)


@pytest.fixture(scope="module")
def states():
    """Return first weights of the small networks."""

    @partial(jax.jit, compiler_options=QUICK)
    def draw():
        return {name: nnx.state(build(rngs=nnx.Rngs(0))) for name, build in SMALL.items()}

    return draw()


@pytest.fixture(scope="module")
def outputs(states):
    """Return what the small networks make of images: one program."""
    graphs = {name: nnx.graphdef(abstract(build)) for name, build in SMALL.items()}

    @partial(jax.jit, compiler_options=QUICK)
    def run(states, images, labels, keys):
        return {
            name: applied(name, nnx.merge(graphs[name], states[name]), images, labels, keys)
            for name in SMALL
        }

    return lambda images=IMAGES, labels=LABELS, keys=KEYS: run(states, images, labels, keys)


@pytest.mark.parametrize("name", COUNTED)
def test_networks_have_as_many_parameters_as_the_published(name):
    build, published = COUNTED[name]
    assert count(abstract(build)) == published == GOLDEN[f"parameters/{name}"]


def test_attention_adds_its_parameters_once_for_each_module():
    for heads in (1, 4):
        assert count(abstract(SelfAttention, channels=256, heads=heads)) == heads * 82_241
        assert count(abstract(cyclegan, attention=heads)) == 11_378_179 + heads * 82_241
        assert count(abstract(PatchGAN, attention=heads)) == 2_764_737 + heads * 20_641


@pytest.mark.parametrize("size", [48, 64, 128, 512])
def test_sizes_of_the_experiments(size):
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    networks = {
        "autoencoder": partial(Autoencoder, size, filters=(2, 3, 4, 5)),
        "gan": partial(GANGenerator, size, filters=(2, 3, 4, 5)),
        "pix2pix": partial(UNet, filters=2, downs=4, dropped=2),
        "cyclegan": partial(cyclegan, 2, 1, attention=1),
        "stargan": partial(stargan, 3, 2, 1, attention=4),
        "style": partial(style_transfer, 2, 1),
    }
    for name, build in networks.items():
        assert shape_of(name, abstract(build), images).shape == images.shape, name
    assert shape_of("", abstract(partial(DCGANDiscriminator, size)), images).shape == (2, 1)
    patches = shape_of("", abstract(PatchGAN, width=2), images)
    assert patches.shape == (2, size // 8 - 2, size // 8 - 2, 1)
    scores, labels = shape_of(
        "", abstract(partial(StarGANDiscriminator, size, labels=3, width=2, layers=4)), images
    )
    assert (scores.shape, labels.shape) == ((2, size // 16, size // 16, 1), (2, 3))


def test_images_stay_in_their_range_and_labels_change_them(outputs):
    found = outputs()
    for name in ("autoencoder", "gan", "pix2pix", "cyclegan", "stargan"):
        assert found[name].shape == IMAGES.shape
        assert np.abs(found[name]).max() <= 1
    other = outputs(labels=LABELS[::-1])["stargan"]
    assert np.abs(other - found["stargan"]).mean((1, 2, 3)).min() > 1e-3


def test_no_result_depends_on_its_batch_or_its_place_in_it(outputs):
    found = outputs()
    turned = outputs(IMAGES[::-1], LABELS[::-1], KEYS[::-1])
    other = outputs(jnp.stack([IMAGES[0], IMAGES[1, ::-1]]))
    for name in SMALL:
        for a, b, c in zip(
            *map(jax.tree.leaves, (found[name], turned[name], other[name])), strict=True
        ):
            scale = np.abs(a).max()
            np.testing.assert_allclose(a, b[::-1], atol=1e-5 * scale)
            np.testing.assert_allclose(a[0], c[0], atol=1e-5 * scale)
            assert np.abs(a[1] - c[1]).max() > 1e-3 * scale, name


def test_dropout_goes_by_the_key_of_each_image(outputs):
    first, again = outputs()["pix2pix"], outputs()["pix2pix"]
    keys = jnp.stack([KEYS[0], jax.random.key(9)])
    other = outputs(keys=keys)["pix2pix"]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], other[0])
    assert np.abs(first[1] - other[1]).max() > 1e-6
    ones = jax.jit(_dropped, static_argnums=(1, 3))(jnp.ones((2, 32, 32, 2)), 0.25, KEYS, 1)
    np.testing.assert_allclose(np.unique(ones), [0, 4 / 3], rtol=1e-6)
    assert np.mean(ones == 0) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(ValueError, match="a key for each image"):
        jax.eval_shape(lambda n: n(IMAGES), abstract(SMALL["pix2pix"]))


@pytest.mark.parametrize(("downs", "dropped"), [(8, [4, 5, 6]), (7, [4, 5]), (5, []), (4, [])])
def test_dropout_is_where_the_published_code_has_it(downs, dropped):
    assert list(abstract(UNet, filters=1, downs=downs).dropped) == dropped
    assert list(abstract(UNet, filters=1, downs=downs, dropped=1).dropped) == [downs - 2]
    assert not abstract(UNet, filters=1, downs=downs, dropout=0).dropped


def test_first_weights_are_those_of_the_published_codes(states):
    for name in ("gan", "pix2pix", "cyclegan", "patchgan"):
        for path, parameter in nnx.to_flat_state(states[name]):
            value = np.asarray(parameter[...])
            if path[-1] == "kernel" and value.size > 500:
                assert value.std() == pytest.approx(0.02, rel=0.1), path
            elif path[-1] == "scale":
                assert 0 < np.abs(value - 1).max() < 0.1
            elif path[-1] in ("bias", "gamma"):
                assert not value.any()
    for path, parameter in nnx.to_flat_state(states["stargan"]):
        if path[0] == "up" and path[-1] == "kernel":  # PyTorch counts the output's channels
            bound = 1 / np.sqrt(16 * parameter.shape[3])
            assert 0.95 * bound < np.abs(parameter[...]).max() <= bound
    biases = [
        v for p, v in nnx.to_flat_state(states["style"]) if p[-1] == "bias" and "norm" not in p
    ]
    assert all(np.asarray(bias[...]).any() for bias in biases)
    dense = states["autoencoder"]["dense"]["kernel"][...]
    assert 0.95 < np.abs(dense).max() / np.sqrt(6 / sum(dense.shape)) <= 1


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_computes_on_float32_parameters(name):
    network = abstract(SMALL[name], dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(network))} == {jnp.dtype("float32")}
    program = str(jax.make_jaxpr(lambda n, x: applied(name, n, x))(network, IMAGES))
    convolutions = [line for line in program.splitlines() if "= conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    outputs = jax.tree.leaves(shape_of(name, network, IMAGES))
    assert {output.dtype for output in outputs} == {jnp.dtype("float32")}


@pytest.mark.parametrize(("build", "message"), [
    (partial(Autoencoder, 50), "images of 50 pixels: the autoencoder halves them 2 times; give a"),
    (partial(GANGenerator, 72), "the GAN halves them 4 times; give a multiple of 16"),
    (partial(StarGANDiscriminator, 48, labels=3), "StarGAN's discriminator halves them 6 times"),
])  # fmt: skip
def test_sizes_that_a_network_cannot_have_are_one_error(build, message):
    with pytest.raises(InputError, match=message):
        abstract(build)


@pytest.mark.parametrize(("name", "build", "message"), [
    ("", cyclegan, "images of 12x18: the translator halves them 2 times; give multiples of 4"),
    ("pix2pix", UNet, "images of 12x18: the U-Net halves them 8 times; give multiples of 256"),
    ("", PatchGAN, "images of 12x18: a PatchGAN of 3 layers sees no patch below 24 pixels"),
])  # fmt: skip
def test_images_that_do_not_fit_are_one_error(name, build, message):
    with pytest.raises(InputError, match=message):
        shape_of(name, abstract(build), jnp.zeros((2, 12, 18, 3)))


def test_labels_must_be_as_many_as_the_condition():
    with pytest.raises(ValueError, match="expected 3 labels of each image"):
        jax.eval_shape(lambda n: n(IMAGES), abstract(SMALL["stargan"]))
    with pytest.raises(ValueError, match="expected 0 labels of each image"):
        jax.eval_shape(lambda n: n(IMAGES, LABELS), abstract(SMALL["cyclegan"]))
    with pytest.raises(ValueError, match="has no attention"):
        jax.eval_shape(lambda n: n.attention_maps(IMAGES), abstract(SMALL["cyclegan"]))


def test_maps_of_a_translator_are_those_of_its_attention():
    maps = jax.eval_shape(
        lambda n: n.attention_maps(IMAGES, LABELS), abstract(SMALL["stargan"], pooled=True)
    )
    assert maps.shape == (2, 2, 4, 4, 2, 2)


def test_codes_are_drawn_around_their_means():
    mean = jnp.full((4000, 2), 3.0)
    drawn = sample(mean, jnp.full_like(mean, np.log(0.25)), jax.random.key(0))
    assert np.mean(drawn) == pytest.approx(3, abs=0.03)
    assert np.std(drawn) == pytest.approx(0.5, rel=0.03)
    plain = abstract(SMALL["autoencoder"], variational=False)
    assert jax.eval_shape(lambda n: n.encode(IMAGES), plain)[1] is None


def test_weights_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"weights: 12 missing: 'model\.4\.bias'"):
        from_torch(abstract(cyclegan, blocks=0), {}, cyclegan_names(0))
