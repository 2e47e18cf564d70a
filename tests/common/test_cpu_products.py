"""Convolutions of few pixels and few maps against XLA's own, and where they are taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from common.nn import cpu_forms
from common.nn.bilinear import bilinear
from common.nn.cpu_products import (
    LAYOUT,
    FewMaps,
    FewPixels,
    FewPixelsTransposed,
    Window,
)

# form, image, kernel, stride, pads: of the convolution, or around the dilated input
CASES = {
    "pixels": (FewPixels, (2, 4, 5, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1))),
    "pixels, strided": (FewPixels, (2, 8, 6, 3), (4, 4, 3, 5), (2, 2), ((1, 1), (1, 1))),
    "pixels, uneven": (FewPixels, (1, 7, 10, 2), (5, 3, 2, 3), (3, 2), ((0, 2), (1, 0))),
    "pixels, one": (FewPixels, (3, 2, 2, 3), (4, 4, 3, 4), (2, 2), ((1, 1), (1, 1))),
    "transposed": (FewPixelsTransposed, (2, 3, 2, 3), (4, 4, 3, 5), (2, 2), ((2, 2), (2, 2))),
    "transposed, one": (FewPixelsTransposed, (3, 1, 1, 3), (4, 4, 3, 4), (2, 2), ((2, 2), (2, 2))),
    "transposed, odd": (FewPixelsTransposed, (1, 2, 3, 4), (3, 3, 4, 2), (2, 2), ((1, 2), (1, 2))),
    "transposed, gaps": (FewPixelsTransposed, (1, 2, 3, 2), (1, 3, 2, 2), (3, 2), ((0, 1), (3, 2))),
    "maps, to": (FewMaps, (2, 9, 8, 10), (7, 7, 10, 3), (1, 1), ((3, 3), (3, 3))),
    "maps, from": (FewMaps, (2, 9, 8, 3), (7, 7, 3, 10), (1, 1), ((3, 3), (3, 3))),
    "maps, both": (FewMaps, (1, 9, 10, 3), (5, 4, 3, 2), (1, 1), ((0, 0), (2, 1))),
}


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def derivatives(function, x, kernel):
    """Return the output, its gradients, and those of a penalty on them, of one program."""
    cotangent = draw(*jax.eval_shape(function, x, kernel).shape, seed=1)

    def loss(x, kernel):
        return jnp.vdot(jnp.tanh(function(x, kernel)), cotangent)

    def penalty(x, kernel):
        return sum(jnp.square(slope).sum() for slope in jax.grad(loss, (0, 1))(x, kernel))

    def program(x, kernel):
        slopes = (jax.grad(f, (0, 1))(x, kernel) for f in (loss, penalty))
        return [function(x, kernel), *(slope for pair in slopes for slope in pair)]

    return jax.jit(program)(x, kernel)


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_equal_xla(case):
    form, image, weights, stride, pads = CASES[case]
    x, kernel = draw(*image), draw(*weights)
    if form is FewPixelsTransposed:
        ours = form.of(x, kernel, stride, pads)
        native = lambda x, k: lax.conv_transpose(x, k, stride, pads, dimension_numbers=LAYOUT)  # noqa: E731
    else:
        ours = form(Window.of(x, kernel, stride, pads))
        native = lambda x, k: lax.conv_general_dilated(  # noqa: E731
            x, k, stride, pads, dimension_numbers=LAYOUT
        )
    found = derivatives(lambda x, k: bilinear(ours, x, k), x, kernel)
    for a, b in zip(found, derivatives(native, x, kernel), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


def program(form, image, kernel, *options):
    arguments = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (image, kernel))
    return str(jax.make_jaxpr(lambda x, kernel: form(x, kernel, *options))(*arguments))


@pytest.mark.parametrize(
    ("form", "image", "kernel", "few"),
    [
        (cpu_forms.strided, (4, 8, 8, 512), (4, 4, 512, 512), True),
        (cpu_forms.strided, (4, 16, 16, 512), (4, 4, 512, 512), False),  # 256 pixels
        (cpu_forms.strided, (4, 8, 8, 64), (4, 4, 64, 128), False),  # a small kernel
        (cpu_forms.transposed, (4, 4, 4, 1024), (4, 4, 1024, 512), True),
        (cpu_forms.transposed, (4, 8, 8, 1024), (4, 4, 1024, 256), False),
        (cpu_forms.transposed, (4, 4, 4, 64), (4, 4, 64, 64), False),
    ],
)
def test_large_kernels_over_few_pixels_are_products(form, image, kernel, few):
    pads = ((1, 1), (1, 1)) if form is cpu_forms.strided else ((2, 2), (2, 2))
    text = program(form, image, kernel, (2, 2), pads)
    assert ("conv_general_dilated" not in text) == few


@pytest.mark.parametrize(
    ("kernel", "few"),
    [
        ((7, 7, 64, 3), True), ((7, 7, 6, 64), True), ((4, 4, 512, 1), False),
        ((7, 7, 64, 64), False), ((3, 3, 64, 3), False), ((1, 7, 3, 64), False),
    ],
)  # fmt: skip
def test_large_windows_to_or_from_few_maps_have_their_form(kernel, few):
    text = program(cpu_forms.plain, (1, 16, 16, kernel[2]), kernel, ((3, 3), (3, 3)))
    assert ("custom_vjp_call" in text) == few


def test_gradients_of_a_gradient_penalty_turn_no_window_over():
    """XLA's CPU backend has no fast way for windows in reverse, which it makes of large ones."""
    x, kernel = jnp.ones((1, 16, 16, 8)), jnp.ones((4, 4, 8, 16))

    def penalty(kernel):
        def score(x):
            return jnp.tanh(cpu_forms.strided(x, kernel, (2, 2), ((1, 1), (1, 1)))).sum()

        return jnp.square(jax.grad(score)(x)).sum()

    text = jax.jit(jax.grad(penalty)).lower(kernel).compile().as_text()
    assert " convolution(" in text
    assert "rhs_reversal" not in text
