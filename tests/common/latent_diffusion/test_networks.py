"""Every block and network against diffusers', whose outputs are recorded."""

import json
import math
import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.diffusion.unet.blocks import ResidualBlock, SpatialTransformer
from common.diffusion.unet.unet import UNet
from common.latent_diffusion import names
from common.latent_diffusion.config import HintConfig, LatentDiffusionConfig
from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.vae import PixelAttention
from common.nn.conv import Conv
from tests.common.latent_diffusion.golden import (
    GOLDEN,
    TINY,
    abstract,
    draw,
    network,
    relative_error,
    shapes,
    thinned,
)
from tests.common.latent_diffusion.small import SMALL

PARAMETERS = {
    "unet": 859_520_964,
    "vae": 83_653_863,
    "text": 123_060_480,
    "controlnet": 361_279_120,
}
TIMES = jnp.array([3, 977])
call = jax.jit(lambda module, *inputs: module(*inputs))


@pytest.mark.parametrize("part", PARAMETERS)
def test_names_and_shapes_at_full_size_are_diffusers(part):
    flat = nnx.to_flat_state(nnx.state(abstract(part, LatentDiffusionConfig())))
    ours = {}
    for path, variable in flat:
        name = names.names_in_folder(part, path)[-1 if part == "text" else 0]
        ours[name] = names.from_ours(name, path, np.broadcast_to(np.float32(0), variable.shape))
    theirs = shapes(part, "full")
    assert {name: array.shape for name, array in ours.items()} == theirs
    assert sum(math.prod(variable.shape) for _, variable in flat) == PARAMETERS[part]


def test_all_names_of_stable_diffusion_are_covered():
    assert sum(len(shapes(part, "full")) for part in PARAMETERS) == 1470


@pytest.mark.parametrize("part", ["unet", "vae", "controlnet"])
def test_names_of_the_single_file_are_those_diffusers_reads(part):
    mapping = json.loads(str(GOLDEN[f"single/{part}"]))
    flat = nnx.to_flat_state(nnx.state(abstract(part, LatentDiffusionConfig())))
    ours = {names.diffusers_name(part, p): names.single_file_name(part, p) for p, _ in flat}
    assert ours == mapping
    assert set(mapping) == set(shapes(part, "full"))


def modules(part):
    """Return our modules by diffusers' names."""
    found = {}
    for path, module in nnx.iter_modules(network(part)):
        name = names.diffusers_name(part, path).removesuffix(".conv")
        found[re.sub(r"mid_block\.attention$", "mid_block.attentions.0", name)] = module
    return found


def output_of(part, module, seed):
    """Return what a block of ours makes of the input that the maker gave diffusers'."""
    if isinstance(module, ResidualBlock):
        x = draw(seed, 2, module.conv1.kernel.shape[2], 4, 4)
        return module(x) if part == "vae" else module(x, jax.nn.silu(draw(1000, 2, 128)))
    if isinstance(module, SpatialTransformer):
        return module(draw(seed, 2, module.proj_in.in_features, 4, 4), draw(1001, 2, 7, 32))
    if isinstance(module, PixelAttention):
        return module(draw(seed, 2, module.attention.query.in_features, 4, 4))
    x = draw(seed, 2, module.kernel.shape[2], 4, 4)
    if part == "vae" and isinstance(module, Conv):
        x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    return module(x)


@pytest.mark.parametrize(("part", "count"), [("unet", 44), ("vae", 32)])
def test_every_block_equals_diffusers(part, count):
    ours = modules(part)
    recorded = {k.split("/", 2)[2]: k for k in GOLDEN if k.startswith(f"block/{part}/")}
    seeds = {name: int(GOLDEN[f"block_seed/{part}/{name}"]) for name in recorded}
    outputs = jax.jit(
        lambda chosen: {name: output_of(part, chosen[name], seed) for name, seed in seeds.items()}
    )({name: ours[name] for name in recorded})
    errors = {
        name: relative_error(thinned(outputs[name]), GOLDEN[key]) for name, key in recorded.items()
    }
    assert len(errors) == count
    assert max(errors.values()) < 1e-5, errors


def unet_inputs():
    return draw(1, 2, 4, 8, 8), TIMES, draw(2, 2, 77, 32)


def test_unet_equals_diffusers():
    output = call(network("unet"), *unet_inputs())
    assert output.dtype == jnp.float32
    assert relative_error(output, GOLDEN["unet"]) < 1e-5


@partial(jax.jit, static_argnames="guess")
def controlled(controlnet, unet, x, t, context, hint, scale, guess):
    residuals = controlnet(x, t, context, controlnet.encode_hint(hint), scale, guess)
    return residuals, unet(x, t, context, residuals)


@pytest.mark.parametrize(
    ("name", "scale", "guess"),
    [("0", 0.0, False), ("0.8", 0.8, False), ("1", 1.0, False), ("guess", 0.8, True)],
)
def test_controlnet_equals_diffusers(name, scale, guess):
    x, t, context = unet_inputs()
    hint = np.random.RandomState(3).random_sample((2, 3, 64, 64)).astype(np.float32)
    hint = jnp.asarray(hint.transpose(0, 2, 3, 1))

    networks = network("controlnet"), network("unet")
    (to_skips, to_middle), output = controlled(*networks, x, t, context, hint, scale, guess)
    for i, residual in enumerate([*to_skips, to_middle]):
        theirs = GOLDEN[f"residual/{name}/{i}"]
        if scale == 0:
            assert not np.asarray(residual).any()
        else:
            assert np.abs(theirs).max() > 1e-3
            assert relative_error(thinned(residual, 64), theirs) < 1e-5, i
    assert len(to_skips) == 12
    assert relative_error(output, GOLDEN[f"controlled/{name}"]) < 1e-5
    assert (relative_error(output, GOLDEN["unet"]) < 1e-5) == (scale == 0)


def test_untrained_controlnet_changes_nothing_and_is_a_copy_of_the_unet():
    unet = network("unet")
    controlnet = ControlNet.of(unet, TINY.unet, HintConfig(), seed=0)
    x, t, context = unet_inputs()
    encoded = jax.jit(lambda net: net.encode_hint(jnp.ones((2, 64, 64, 3))))(controlnet)
    residuals = call(controlnet, x, t, context, encoded)
    assert not any(np.asarray(map_).any() for map_ in jax.tree.leaves(residuals))
    kernel = controlnet.down[1].blocks[0].residual.conv1.kernel
    assert (kernel[...] == unet.down[1].blocks[0].residual.conv1.kernel[...]).all()
    assert kernel is not unet.down[1].blocks[0].residual.conv1.kernel
    assert np.asarray(controlnet.hint.conv_in.kernel[...]).any()


def test_vae_equals_diffusers_both_ways():
    images = np.random.RandomState(4).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    vae = network("vae")
    normal = jax.jit(lambda vae, x: vae.encode(x))(vae, images.transpose(0, 2, 3, 1))
    assert relative_error(normal.mean, GOLDEN["vae_mean"]) < 1e-5
    assert relative_error(normal.log_variance, GOLDEN["vae_log_variance"]) < 1e-5
    assert relative_error(normal.kl(), GOLDEN["vae_kl"]) < 1e-5
    decoded = jax.jit(lambda vae, z: vae.decode(z))(vae, draw(5, 2, 4, 8, 8))
    assert decoded.shape == (2, 64, 64, 3)
    assert relative_error(thinned(decoded, 2048), GOLDEN["vae_decoded"]) < 1e-5


def test_log_variance_is_clamped():
    vae = nnx.clone(network("vae"))
    vae.quant.bias[...] = jnp.full(8, 1e3)
    normal = jax.jit(lambda vae: vae.encode(jnp.zeros((1, 16, 16, 3))))(vae)
    assert (np.asarray(normal.log_variance) == 20).all()


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        network("vae").encode(jnp.zeros((1, 60, 64, 3)))
    with pytest.raises(ValueError, match="multiples of 8"):
        network("unet")(jnp.zeros((1, 12, 8, 4)), TIMES[:1], jnp.zeros((1, 77, 32)))


def test_text_encoder_equals_transformers():
    ids = np.random.RandomState(6).randint(0, 800, (2, 77)).astype(np.int32)
    assert relative_error(call(network("text"), ids), GOLDEN["text"]) < 1e-5


def small(**changes):
    """Return a U-Net of one level and its inputs."""
    config = replace(SMALL.unet, **changes)
    unet = jax.jit(lambda: UNet(config, rngs=nnx.Rngs(0)))()
    unet.conv_out.kernel[...] = jax.random.normal(jax.random.key(0), (3, 3, 8, 4))
    return unet, (draw(1, 2, 4, 8, 8), TIMES, draw(2, 2, 5, 8))


def test_bfloat16_computes_in_bfloat16_and_returns_float32():
    unet, inputs = small(dtype="bfloat16")
    jaxpr = str(jax.make_jaxpr(lambda unet: unet(*inputs))(unet))
    convolutions = [line for line in jaxpr.splitlines() if "= conv_general_dilated" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    output = call(unet, *inputs)
    assert output.dtype == jnp.float32
    assert 1e-4 < relative_error(output, call(small()[0], *inputs)) < 0.05


def test_rematerialization_changes_no_gradient():
    def gradients(remat):
        unet, inputs = small(remat=remat)
        graph, state = nnx.split(unet)
        loss = jax.jit(jax.grad(lambda state: (nnx.merge(graph, state)(*inputs) ** 2).mean()))
        return jax.tree.leaves(loss(state)), loss.lower(state).as_text().count("convolution")

    (plain, few), (again, many) = gradients(False), gradients(True)
    assert many > few
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
