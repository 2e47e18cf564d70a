"""The CPU's forms of convolution and pooling against XLA's own: values and gradients.

Transposed convolutions also against PyTorch's; tests/golden/make_layers.py recorded them.
"""

import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from common.nn import conv as layers
from common.nn import cpu_forms, cpu_products
from common.nn.by_name import from_torch_transposed_kernel
from common.nn.normalization import GroupNorm, group_norm

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
LAYOUT = ("NHWC", "HWIO", "NHWC")


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def _value_and_gradients(function, *arguments, cotangent):
    value, pull = jax.vjp(function, *arguments)
    return value, *pull(cotangent)


def same(ours, theirs, *arguments, rtol: float = 2e-5) -> None:
    """Values and all gradients agree, each measured against its largest entry."""
    shape = jax.eval_shape(theirs, *arguments).shape
    found, expected = (
        _value_and_gradients(function, *arguments, cotangent=draw(*shape, seed=1))
        for function in (ours, theirs)
    )
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * (np.abs(b).max() + 1e-6))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((8, 8), 3, 2, 1),
        ((9, 7), 3, 2, "SAME"),
        ((8, 9), 4, 2, "SAME"),
        ((7, 10), 5, 3, "VALID"),
        ((9, 9), 1, 2, 0),
        ((6, 11), 7, 4, 3),
        ((8, 8), 3, (2, 1), 1),
    ],
)
def test_strided(size, kernel, stride, padding) -> None:
    x, k = draw(2, *size, 3), draw(kernel, kernel, 3, 5)
    pads = padding if isinstance(padding, str) else [(padding, padding)] * 2
    strides = layers.pair(stride)

    def native(x, k):
        return lax.conv_general_dilated(x, k, strides, pads, dimension_numbers=LAYOUT)

    same(lambda x, k: layers.conv(x, k, stride, padding), native, x, k)
    explicit = layers.explicit_padding(size, (kernel, kernel), strides, padding, (1, 1))
    same(lambda x, k: cpu_forms.space_to_depth_form(x, k, strides, tuple(explicit)), native, x, k)


@pytest.mark.parametrize("padding", ["SAME", "VALID", 0, 1])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (5, 3), (1, 2), (3, 4)])
def test_transposed(kernel, stride, padding) -> None:
    if padding == 1 and kernel == 1:
        pytest.skip("more is removed than there is")
    x, k = draw(2, 5, 4, 3), draw(kernel, kernel, 3, 4)
    pads = padding if isinstance(padding, str) else [(kernel - 1 - padding,) * 2] * 2

    def native(x, k):
        return lax.conv_transpose(x, k, (stride, stride), pads, dimension_numbers=LAYOUT)

    same(lambda x, k: layers.conv_transpose(x, k, stride, padding), native, x, k)


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize(("kernel", "output_padding"), [(3, 1), (4, 0)])
def test_transposed_as_pytorch_pads(kernel, output_padding, on_cpu, monkeypatch) -> None:
    monkeypatch.setattr(cpu_forms, "on_cpu", lambda: on_cpu)
    golden = {k.split("/")[1]: v for k, v in GOLDEN.items() if k.startswith(f"transposed{kernel}/")}
    layer = layers.ConvTranspose(
        3, 4, kernel, padding=1, output_padding=output_padding, rngs=nnx.Rngs(0)
    )
    layer.kernel[...] = from_torch_transposed_kernel(golden["weight"])
    layer.bias[...] = golden["bias"]
    graph, state = nnx.split(layer)
    found, pull = jax.vjp(lambda s, x: nnx.merge(graph, s)(x), state, jnp.asarray(GOLDEN["images"]))
    slopes, slope = pull(golden["slopes"])
    expected = from_torch_transposed_kernel(golden["weight_gradient"])
    np.testing.assert_allclose(found, golden["output"], atol=1e-5)
    np.testing.assert_allclose(slope, golden["gradient"], atol=2e-5)
    np.testing.assert_allclose(slopes["kernel"][...], expected, atol=5e-5)
    np.testing.assert_allclose(slopes["bias"][...], golden["bias_gradient"], rtol=1e-5)


@pytest.mark.parametrize("size", [(4, 5), (1, 1), (6, 3)])
def test_upsampled(size) -> None:
    def plain(x, k):
        return layers.conv(layers.upsample_nearest(x, 2), k)

    same(cpu_forms.upsampled, plain, draw(2, *size, 3), draw(3, 3, 3, 4))


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize(("groups", "epsilon"), [(1, 1e-6), (2, 0.5), (8, 1e-6)])
def test_group_norm(groups: int, epsilon: float, silu: bool) -> None:
    def plain(x, scale, bias):
        grouped = x.reshape(*x.shape[:3], groups, -1)
        mean = grouped.mean((1, 2, 4), keepdims=True)
        variance = grouped.var((1, 2, 4), keepdims=True)
        y = ((grouped - mean) / jnp.sqrt(variance + epsilon)).reshape(x.shape) * scale + bias
        return jax.nn.silu(y) if silu else y

    def ours(x, scale, bias):
        return group_norm(x, scale, bias, groups, epsilon, silu)

    same(ours, plain, draw(2, 5, 4, 8) + 3, draw(8), draw(8, seed=2))


def test_group_norm_layer_has_flax_parameters_and_refuses_uneven_groups() -> None:
    ours = GroupNorm(8, 2, rngs=nnx.Rngs(0))
    theirs = nnx.GroupNorm(8, 2, rngs=nnx.Rngs(0))
    assert jax.tree.map(jnp.shape, nnx.state(ours, nnx.Param)) == jax.tree.map(
        jnp.shape, nnx.state(theirs, nnx.Param)
    )
    x = draw(2, 4, 4, 8)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    with pytest.raises(ValueError, match="8 channels"):
        GroupNorm(8, 3, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(("size", "window"), [((8, 6), 2), ((9, 9), 3), ((7, 9), 2)])
def test_pooling(size, window) -> None:
    x = draw(2, *size, 3)

    def native(x, start, operation):
        shape = (1, window, window, 1)
        return lax.reduce_window(x, start, operation, shape, shape, "VALID")

    same(lambda x: layers.max_pool(x, window), lambda x: native(x, -jnp.inf, lax.max), x)
    same(lambda x: layers.avg_pool(x, window), lambda x: native(x, 0.0, lax.add) / window**2, x)


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 2, 0), (3, 1, 1), (2, None, 1), (2, 3, 0), (5, 2, 2)]
)
def test_pooling_of_overlapping_and_padded_windows(window, stride, padding) -> None:
    x = draw(1, 6, 7, 2) - 3  # all negative: zeros of the padding would be seen
    frame = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(frame, (window, window), (1, 2))
    windows = windows[:, :: stride or window, :: stride or window]
    pooled = layers.max_pool(x, window, stride, padding)
    np.testing.assert_array_equal(pooled, np.nanmax(windows, (-1, -2)))
    averaged = layers.avg_pool(x, window, stride, padding)
    np.testing.assert_allclose(averaged, np.nanmean(windows, (-1, -2)), rtol=1e-6)


def test_layers_equal_flax_with_the_same_parameters() -> None:
    x, bias = draw(2, 6, 7, 3), draw(4)
    pairs = (
        (layers.Conv(3, 4, 3, stride=2, dilation=1, rngs=nnx.Rngs(0)),
         nnx.Conv(3, 4, (3, 3), strides=2, rngs=nnx.Rngs(1))),
        (layers.Conv(3, 4, (1, 3), dilation=2, padding="VALID", rngs=nnx.Rngs(0)),
         nnx.Conv(3, 4, (1, 3), kernel_dilation=2, padding="VALID", rngs=nnx.Rngs(1))),
        (layers.ConvTranspose(3, 4, 4, rngs=nnx.Rngs(0)),
         nnx.ConvTranspose(3, 4, (4, 4), strides=(2, 2), rngs=nnx.Rngs(1))),
    )  # fmt: skip
    for ours, theirs in pairs:
        ours.bias[...] = jnp.asarray(bias)
        nnx.update(theirs, nnx.state(ours))
        np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    upsampled = layers.UpsampleConv(3, 4, rngs=nnx.Rngs(0))
    upsampled.bias[...] = jnp.asarray(bias)
    expected = layers.conv(layers.upsample_nearest(x, 2), upsampled.kernel[...]) + bias
    np.testing.assert_allclose(upsampled(x), expected, atol=1e-5)


def test_padding_beyond_the_kernel_is_added_beforehand() -> None:
    def program(pads):
        return str(jax.make_jaxpr(lambda x, k: cpu_forms.plain(x, k, pads))(x, k))

    x, k = draw(1, 5, 4, 2), draw(3, 3, 2, 2)
    assert " pad[" not in program(((1, 1), (0, 2)))
    assert " pad[" in program(((1, 1), (1, 2)))


def test_layers_in_bfloat16_keep_float32_parameters() -> None:
    @partial(jax.jit, static_argnums=1)
    def outputs(x, dtype):
        options = {"dtype": dtype, "kernel_init": nnx.initializers.constant(0.1)}
        built = (
            layers.Conv(4, 8, 3, stride=2, padding=1, **options, rngs=nnx.Rngs(0)),
            layers.ConvTranspose(4, 8, 4, **options, rngs=nnx.Rngs(0)),
            layers.UpsampleConv(4, 8, **options, rngs=nnx.Rngs(0)),
        )
        assert {layer.kernel[...].dtype for layer in built} == {jnp.dtype(jnp.float32)}
        return [layer(x) for layer in built]

    x = draw(1, 6, 6, 4)
    for half, whole in zip(outputs(x, jnp.bfloat16), outputs(x, None), strict=True):
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(half.astype(jnp.float32), whole, atol=0.05)


class EveryLayer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv = layers.Conv(2, 4, 3, stride=2, padding=1, rngs=rngs)
        self.norm = GroupNorm(4, 2, silu=True, rngs=rngs)
        self.upsample = layers.UpsampleConv(4, 4, rngs=rngs)
        self.transposed = layers.ConvTranspose(4, 2, 4, rngs=rngs)

    def __call__(self, x):
        return self.transposed(self.upsample(self.norm(self.conv(x))))


def lowered(platform: str) -> str:
    """The program of the gradient of a network of all layers, lowered for a platform."""
    gradient = jax.jit(jax.grad(lambda network, x: jnp.sum(network(x) ** 2), argnums=(0, 1)))
    network = nnx.eval_shape(lambda: EveryLayer(nnx.Rngs(0)))
    return gradient.trace(network, draw(1, 8, 8, 2)).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_backends_get_the_native_forms(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = lowered("cpu")
    assert on_cpu.count("optimization_barrier") == 2  # of the strided convolution and the norm
    assert not re.search(r"[lr]hs_dilate = \[2", on_cpu)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    elsewhere = lowered(platform)
    assert "optimization_barrier" not in elsewhere
    assert re.search(r"lhs_dilate = \[2, 2\]", elsewhere)  # of transposed and strided gradients


@pytest.mark.parametrize(
    ("size", "kernel", "padding", "dilation"),
    [
        ((8, 8), (3, 3), 1, 1),
        ((9, 7), (3, 3), "VALID", 1),
        ((5, 6), (1, 7), (0, 3), 1),
        ((5, 6), (4, 2), "SAME", 1),
        ((5, 4), (2, 2), 1, 1),  # the output is larger than the input
        ((5, 4), (3, 3), (3, 2), 1),
        ((9, 8), (3, 3), 2, 2),
        ((9, 8), (3, 3), "SAME", 2),
        ((9, 8), (3, 2), "VALID", 3),
    ],
)
def test_plain(size, kernel, padding, dilation) -> None:
    x, k = draw(2, *size, 3), draw(*kernel, 3, 5)
    pads = padding if isinstance(padding, str) else [(p, p) for p in layers.pair(padding)]

    def native(x, k):
        return lax.conv_general_dilated(
            x, k, (1, 1), pads, rhs_dilation=(dilation,) * 2, dimension_numbers=LAYOUT
        )

    same(lambda x, k: layers.conv(x, k, 1, padding, dilation), native, x, k)


FORMS = {
    "strided": lambda x, k: layers.conv(x, k, 2, 1),
    "transposed": lambda x, k: layers.conv_transpose(x, k, 2, 1),
    "upsampled": lambda x, k: cpu_forms.upsampled(x, k),
}


@pytest.mark.parametrize("form", FORMS)
def test_compiled_and_mapped_over_kernels(form) -> None:
    x, k = draw(2, 6, 7, 3), draw(3, 3, 3, 3, 4)
    mapped = jax.jit(jax.vmap(FORMS[form], in_axes=(None, 0)))(x, k)
    for one, each in zip(k, mapped, strict=True):
        np.testing.assert_allclose(each, FORMS[form](x, one), atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_a_gradient_penalty(form) -> None:
    native = {
        "strided": lambda x, k: lax.conv_general_dilated(
            x, k, (2, 2), [(1, 1)] * 2, dimension_numbers=LAYOUT
        ),
        "transposed": lambda x, k: lax.conv_transpose(
            x, k, (2, 2), [(1, 1)] * 2, dimension_numbers=LAYOUT
        ),
        "upsampled": lambda x, k: layers.conv(layers.upsample_nearest(x, 2), k),
    }[form]
    x, k = draw(1, 4, 5, 2), draw(3, 3, 2, 3)

    def penalty(function):
        def slope(x, k):
            return jax.grad(lambda x: jnp.sum(jnp.tanh(function(x, k))))(x)

        return lambda x, k: jnp.sum(slope(x, k) ** 2, keepdims=True)

    same(penalty(FORMS[form]), penalty(native), x, k, rtol=1e-4)


def test_equal_largest_values_share_the_gradient() -> None:
    gradient = jax.grad(lambda x: layers.max_pool(x, 2).sum())(jnp.ones((1, 5, 4, 1)))
    np.testing.assert_array_equal(gradient[0, :4, :, 0], np.full((4, 4), 0.25))
    np.testing.assert_array_equal(gradient[0, 4], 0)  # no window reaches the last row


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((1, 0), (0, 1))])
def test_wide_kernels_over_few_pixels_give_the_same_values_and_gradients(monkeypatch, pads):
    monkeypatch.setattr(cpu_forms, "_WIDE", 6 * 5)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((2, 5, 4, 6)), jnp.float32)
    kernel = jnp.asarray(random.standard_normal((3, 3, 6, 5)), jnp.float32)
    forms = (cpu_forms.plain, cpu_products.convolution)

    def derivatives(form):
        def loss(x, kernel):
            return jnp.sum(jnp.tanh(form(x, kernel, pads)))

        def penalty(x, kernel):  # of the gradient, as some discriminators learn by
            return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

        return [
            form(x, kernel, pads),
            *jax.grad(loss, (0, 1))(x, kernel),
            *jax.grad(penalty, (0, 1))(x, kernel),
        ]

    assert "custom_vjp_call" in str(jax.make_jaxpr(lambda *a: forms[0](*a, pads))(x, kernel))
    for ours, theirs in zip(*map(derivatives, forms), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_gradient_for_the_input_of_a_wide_kernel_does_not_turn_it_over():
    x, kernel = jnp.ones((1, 4, 4, 1024)), jnp.ones((3, 3, 1024, 1024))

    def text(pixels):
        x = jnp.ones((1, pixels, 4, 1024))
        loss = jax.grad(lambda x, kernel: (cpu_forms.plain(x, kernel, ((1, 1), (1, 1))) ** 2).sum())
        return jax.jit(loss).lower(x, kernel).compile().as_text()

    assert "reverse" in text(64)
    assert "reverse" not in text(x.shape[1])


def test_upsampling_by_a_wide_kernel_is_the_same(monkeypatch):
    layer = layers.UpsampleConv(6, 5, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4, 6)), jnp.float32)
    merged = layer(x)
    monkeypatch.setattr(cpu_forms, "_WIDE", 6 * 5)
    monkeypatch.setattr(cpu_forms, "upsampled", None)
    np.testing.assert_allclose(layer(x), merged, atol=1e-5)
