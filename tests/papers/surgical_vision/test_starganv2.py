"""StarGANv2's networks against PyTorch; tests/golden/make_starganv2.py recorded it."""

import json
import math
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from common.nn.by_name import load_by_name, torch_layout
from papers.surgical_vision.models.starganv2 import (
    Discriminator,
    Generator,
    MappingNetwork,
    StyleEncoder,
)
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "starganv2.npz")
SMALL = {"first": 4, "widest": 8}
NETWORKS = {
    "generator": lambda: Generator(48, style=5, **SMALL, rngs=nnx.Rngs(0)),
    "mapping": lambda: MappingNetwork(3, latent=3, style=5, hidden=7, rngs=nnx.Rngs(0)),
    "encoder": lambda: StyleEncoder(48, 3, style=5, **SMALL, rngs=nnx.Rngs(0)),
    "discriminator": lambda: Discriminator(48, 3, **SMALL, rngs=nnx.Rngs(0)),
}
WANTED = jnp.array([2, 0])


def torch_name(path) -> str:
    return ".".join({"kernel": "weight", "scale": "weight"}.get(p, str(p)) for p in path)


def stacked(weights):
    """Return the weights with every domain's layers of the mapping network as one."""
    shared = {name: value for name, value in weights.items() if not name.startswith("own.")}
    own = {name.split(".", 2)[2] for name in weights.keys() - shared.keys()}
    together = {name: np.stack([weights[f"own.{d}.{name}"] for d in range(3)]) for name in own}
    return shared | {
        f"own.{name}": value.swapaxes(1, -1) if value.ndim == 3 else value
        for name, value in together.items()
    }


@cache
def parts(name):
    """Return graph and state with the recorded weights."""
    network = nnx.eval_shape(NETWORKS[name])
    convert = torch_layout(network)
    weights = stacked(seeded_weights(json.loads(str(GOLDEN[f"{name} shapes"]))))
    as_it_is = lambda path, array: array if path[0] == "own" else convert(path, array)  # noqa: E731
    return nnx.graphdef(network), load_by_name(network, weights, torch_name, as_it_is, name)


@cache
def inputs():
    random = np.random.RandomState(1)
    images = random.uniform(-1, 1, (2, 3, 48, 48)).astype(np.float32).transpose(0, 2, 3, 1)
    noise, styles = (random.standard_normal((2, n)).astype(np.float32) for n in (3, 5))
    return jnp.asarray(images), jnp.asarray(noise), jnp.asarray(styles)


@cache
def computed():
    """Return all outputs, the generator's gradient, and R1 with its gradient, of one program."""
    graphs = {name: parts(name)[0] for name in NETWORKS}

    def drawn(state, images, styles):
        images = nnx.merge(graphs["generator"], state)(images, styles)
        return jnp.square(images).mean(), images

    def r1(state, images):
        judge = nnx.merge(graphs["discriminator"], state)
        logits, pull = jax.vjp(lambda images: judge(images, WANTED), images)
        slope = pull(jnp.ones_like(logits))[0]
        return 0.5 * jnp.square(slope).sum((1, 2, 3)).mean(), logits

    @jax.jit
    def program(states, images, noise, styles):
        made = {
            "mapping": nnx.merge(graphs["mapping"], states["mapping"])(noise, WANTED),
            "encoder": nnx.merge(graphs["encoder"], states["encoder"])(images, WANTED),
        }
        slope = jax.value_and_grad(drawn, has_aux=True)
        (_, made["generator"]), generator = slope(states["generator"], images, styles)
        (penalty, made["discriminator"]), discriminator = jax.value_and_grad(r1, has_aux=True)(
            states["discriminator"], images
        )
        return made, generator, penalty, discriminator

    return program({name: parts(name)[1] for name in NETWORKS}, *inputs())


def error(ours, theirs) -> float:
    """The largest difference, against the range of their values; of R1 biases have no gradient."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / (np.ptp(theirs) or 1.0))


def check_slopes(slopes, prefix, limit):
    recorded = {n.removeprefix(prefix): GOLDEN[n] for n in GOLDEN.files if n.startswith(prefix)}
    network = nnx.merge(*parts(prefix.split()[0] if prefix[0] == "g" else "discriminator"))
    convert, found = torch_layout(network), set()
    for path, slope in nnx.to_flat_state(slopes):
        if (name := torch_name(path)) in recorded:
            assert error(slope[...], convert(path, recorded[name])) < limit, name
            found.add(name)
    assert found == set(recorded)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_pytorch(name):
    assert error(computed()[0][name], GOLDEN[name]) < 2e-5


def test_gradients_of_the_generator_equal_pytorch():
    check_slopes(computed()[1], "generator slope ", 5e-5)


def test_gradient_of_r1_with_respect_to_every_weight_equals_pytorch():
    _, _, penalty, slopes = computed()
    np.testing.assert_allclose(penalty, GOLDEN["r1"], rtol=1e-5)
    check_slopes(slopes, "r1 slope ", 5e-5)


def count(build) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(build), nnx.Param)))


def test_parameter_counts_are_the_published_ones():
    recorded = json.loads(str(GOLDEN["counts"]))
    ours = {f"generator {n}": count(lambda n=n: Generator(n, rngs=nnx.Rngs(0))) for n in (256, 512)}
    for n in (2, 3, 4):
        ours |= {
            f"mapping {n}": count(lambda n=n: MappingNetwork(n, rngs=nnx.Rngs(0))),
            f"encoder {n}": count(lambda n=n: StyleEncoder(256, n, rngs=nnx.Rngs(0))),
            f"discriminator {n}": count(lambda n=n: Discriminator(256, n, rngs=nnx.Rngs(0))),
        }
    assert ours == recorded
    assert ours["generator 256"] == 33_892_995
    assert ours["generator 512"] == 33_964_099
    assert [ours[f"mapping {n}"] for n in (2, 3, 4)] == [2_438_272, 3_259_072, 4_079_872]
    assert [ours[f"encoder {n}"] for n in (2, 3, 4)] == [20_916_928, 20_949_760, 20_982_592]
    assert [ours[f"discriminator {n}"] for n in (2, 3, 4)] == [20_852_290, 20_852_803, 20_853_316]


def test_initial_weights_are_he_normal_and_biases_zero():
    states = jax.jit(
        lambda: [
            nnx.state(MappingNetwork(3, hidden=64, rngs=nnx.Rngs(0))),
            nnx.state(Discriminator(16, 2, first=32, widest=32, rngs=nnx.Rngs(1))),
        ]
    )()
    for path, variable in [one for state in states for one in nnx.to_flat_state(state)]:
        value = np.asarray(variable[...])
        if path[-1] == "bias":
            assert not value.any(), path
        elif value.size > 2000:
            domains = path[0] == "own"
            deviation = math.sqrt(2 / math.prod(value.shape[domains:-1]))
            assert abs(value.std() / deviation - 1) < 0.05, path
            assert abs(value).max() > 2 * deviation  # a uniform draw ends at 1.73


@pytest.mark.parametrize("dtype", [jnp.bfloat16])
def test_computes_in_another_type_and_returns_float32(dtype):
    def shapes():
        images, styles = jnp.zeros((1, 48, 48, 3)), jnp.zeros((1, 5))
        options = {"dtype": dtype, "rngs": nnx.Rngs(0)}
        generator = Generator(48, style=5, **SMALL, **options)
        judge = Discriminator(48, 3, **SMALL, **options)
        mapping = MappingNetwork(3, hidden=7, **options)
        inside = generator.decoder[-1](jnp.zeros((1, 24, 24, 8)), styles)
        one = jnp.array([1])
        return (
            inside,
            generator(images, styles),
            judge(images, one),
            mapping(jnp.zeros((1, 16)), one),
        )

    inside, *outputs = jax.eval_shape(shapes)
    assert inside.dtype == dtype
    assert all(output.dtype == jnp.float32 for output in outputs)


@pytest.mark.parametrize("build", [Generator, lambda size, **o: Discriminator(size, 2, **o)])
def test_a_size_that_cannot_be_halved_is_named(build):
    with pytest.raises(InputError, match=r"images of 50 pixels.*cut at 25"):
        nnx.eval_shape(lambda: build(50, **SMALL, rngs=nnx.Rngs(0)))
