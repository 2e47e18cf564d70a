"""The denoising network against MONAI's, whose outputs tests/golden/make_unet.py recorded."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.diffusion.samplers import DDIM
from common.diffusion.sampling import sample
from common.diffusion.schedule import Schedule
from common.errors import InputError
from papers.camcan_cfg.config import ModelConfig
from papers.camcan_cfg.models.convert import from_monai, monai_name
from papers.camcan_cfg.models.unet import UNet
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "unet.npz")
SMALL = ModelConfig(
    channels=(16, 32), attention=(False, True), head_channels=(0, 8), residual_blocks=1, groups=8
)
CONFIGS = {"small": SMALL, "published": ModelConfig()}
INPUTS = [jnp.asarray(GOLDEN[name]) for name in ("x", "times", "conditions")]


@cache
def abstract(config: ModelConfig) -> UNet:
    return nnx.eval_shape(lambda: UNet(config, rngs=nnx.Rngs(0)))


@cache
def monai_weights(name: str) -> dict[str, np.ndarray]:
    return seeded_weights(json.loads(str(GOLDEN[f"{name}_shapes"])))


def loaded(config: ModelConfig, weights: dict[str, np.ndarray]) -> UNet:
    return nnx.merge(nnx.graphdef(abstract(config)), from_monai(weights, config))


@jax.jit
def predicted(network: UNet, x: jax.Array, t: jax.Array, condition: jax.Array) -> jax.Array:
    return network(x, t, condition)


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_monais_in_number_and_name(name):
    parameters = nnx.to_flat_state(nnx.state(abstract(CONFIGS[name])))
    names = sorted(monai_name(path) for path, _ in parameters)
    assert names == sorted(json.loads(str(GOLDEN[f"{name}_shapes"])))
    assert sum(value.size for _, value in parameters) == GOLDEN[f"{name}_parameters"]


@pytest.mark.parametrize("name", CONFIGS)
def test_output_equals_monais(name):
    network = loaded(CONFIGS[name], monai_weights(name))
    output = predicted(network, *INPUTS)
    # measured: 2e-6; with the tanh form of GELU 3e-5
    assert relative_error(np.asarray(output), GOLDEN[f"{name}_output"]) < 1e-5


def test_bfloat16_computes_in_less_precision_on_float32_parameters():
    config = replace(SMALL, dtype="bfloat16")
    network = loaded(config, monai_weights("small"))
    assert {x.dtype for x in jax.tree.leaves(network)} == {jnp.dtype("float32")}
    jaxpr = str(jax.make_jaxpr(lambda network, *inputs: network(*inputs))(network, *INPUTS))
    convolutions = [line for line in jaxpr.splitlines() if "= conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    output = predicted(network, *INPUTS)
    assert output.dtype == jnp.float32
    assert 1e-4 < relative_error(np.asarray(output), GOLDEN["small_output"]) < 0.05


def test_fresh_network_predicts_zero_and_draws_weights_like_torch():
    network = jax.jit(lambda: UNet(SMALL, rngs=nnx.Rngs(0)))()
    assert not np.any(predicted(network, *INPUTS))
    layer = network.down[1].blocks[0].residual.conv1
    bound = (16 * 9) ** -0.5
    for parameter in (layer.kernel, layer.bias):
        spread = np.abs(parameter[...]).max() / bound
        assert 0.8 < spread <= 1
    assert np.std(layer.kernel[...]) == pytest.approx(bound / 3**0.5, rel=0.05)


def test_initial_weights_of_a_seed_are_those_of_the_committed_results():
    """They are parts of one draw: in another order, every number of the study would change."""
    network = jax.jit(lambda: UNet(SMALL, rngs=nnx.Rngs(0)))()
    transformer = network.middle[0].attention.transformer
    first = {
        network.conv_in: (0.02058975, 0.1450092),
        transformer.cross_attention.value: (0.4844036, 0.44839245),
        transformer.ff_out: (0.0453325, -0.03715822),
        transformer.self_attention.key: (-0.02261608, 0.15408053),
        transformer.ff_in: (-0.16504583, -0.02121719),
        network.up[1].blocks[1].residual.time: (-0.12215611, -0.07089749),
    }
    for layer, values in first.items():
        np.testing.assert_allclose(layer.kernel[...].ravel()[:2], values, rtol=1e-6)


def transformer_and_inputs(network: UNet) -> tuple:
    tokens, context = np.zeros((2, 12, 32)), np.zeros((2, 5, 3))
    return network.middle[0].attention.transformer, tokens, context


def residual_block_and_inputs(network: UNet) -> tuple:
    return network.down[1].blocks[0].residual, np.zeros((2, 4, 6, 16)), np.zeros((2, 64))


@pytest.mark.parametrize("parts", [transformer_and_inputs, residual_block_and_inputs])
def test_gradients_of_a_block_are_the_slopes_of_the_loss(parts):
    """By finite differences along the gradients, which a stopped gradient does not pass."""
    random = np.random.RandomState(0)
    block, *inputs = parts(loaded(SMALL, monai_weights("small")))
    graph, state = nnx.split(block)
    inputs = [random.standard_normal(x.shape).astype(np.float32) for x in inputs]
    leaves, structure = jax.tree.flatten((state, inputs))

    @jax.jit
    def loss(leaves: list[jax.Array]) -> jax.Array:
        state, inputs = jax.tree.unflatten(structure, leaves)
        return jnp.mean(nnx.merge(graph, state)(*inputs) ** 2)

    gradients = jax.jit(jax.grad(loss))(leaves)
    names = [jax.tree_util.keystr(p) for p, _ in jax.tree.leaves_with_path((state, inputs))]
    for i, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        size = np.linalg.norm(gradient)
        step = 0.01 * np.linalg.norm(leaf) * gradient / size
        ahead, behind = (loss([*leaves[:i], leaf + d, *leaves[i + 1 :]]) for d in (step, -step))
        slope = (ahead - behind) / (2 * np.linalg.norm(step))
        assert float(slope) == pytest.approx(float(size), rel=0.03), names[i]


def test_every_parameter_learns_but_the_weights_over_a_single_token():
    network = loaded(SMALL, monai_weights("small"))
    gradients = jax.jit(jax.grad(lambda network: jnp.mean(network(*INPUTS) ** 2)))(network)
    still = {
        monai_name(path).split(".attn2.")[-1]
        for path, value in nnx.to_flat_state(nnx.state(gradients))
        if not np.any(value[...])
    }
    # softmax over one token is 1 whatever query and key are; the norm before feeds only the query
    assert {name.split("transformer_blocks.0.")[-1] for name in still} <= {
        "to_q.weight",
        "to_k.weight",
        "norm2.weight",
        "norm2.bias",
    }


def test_sampled_image_does_not_depend_on_its_batch():
    network = loaded(SMALL, monai_weights("small"))
    conditions, seeds = np.tile(GOLDEN["conditions"], (3, 1)) + np.arange(6)[:, None], np.arange(6)

    def draw(rows: list[int]) -> np.ndarray:
        images, _ = sample(
            network,
            Schedule.linear(),
            conditions[rows],
            seeds[rows],
            shape=(16, 24, 1),
            guidance_scale=3.0,
            unconditional=np.full(3, -1, np.float32),
            sampler=DDIM(3),
            batch_size=4,
        )
        return images

    images = draw([0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(draw([5, 2, 2, 1, 0]), images[[5, 2, 2, 1, 0]])
    np.testing.assert_array_equal(draw([3]), images[[3]])


def test_checkpoint_that_does_not_fit_is_named():
    weights = monai_weights("small")
    missing = {k: v for k, v in weights.items() if k != "time_embed.0.bias"}
    with pytest.raises(InputError, match=r"checkpoint: 1 missing: 'time_embed\.0\.bias';"):
        from_monai(missing, SMALL)
    with pytest.raises(InputError, match="1 unused: 'stray';"):
        from_monai(weights | {"stray": np.zeros(1)}, SMALL)
    with pytest.raises(InputError, match=r"conv_in\.conv\.bias' is \(16,\)"):
        from_monai(weights, replace(SMALL, channels=(32, 32)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": (True,)}, "attention: 1 values for 2"),
        ({"channels": (16, 20)}, "channels: 20 at level 1 with groups = 8"),
        ({"head_channels": (0, 0)}, "head_channels = 0"),
        ({"head_channels": (0, 7)}, "head_channels = 7"),
    ],
)
def test_config_that_describes_no_network_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        abstract(replace(SMALL, **change))


def test_size_that_cannot_be_halved_is_refused():
    x = jnp.zeros((2, 16, 21, 1))
    with pytest.raises(ValueError, match="multiples of 2"):
        jax.eval_shape(predicted, abstract(SMALL), x, *INPUTS[1:])
