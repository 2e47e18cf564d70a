"""Derivatives of bilinear functions, of three orders, against automatic differentiation."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.nn.bilinear import bilinear


@dataclass(frozen=True)
class Scaled:
    """A matrix product times a number."""

    factor: float

    def output(self, x, kernel):
        return self.factor * (x @ kernel)

    def input_slope(self, kernel, slope):
        return self.factor * (slope @ kernel.T)

    def kernel_slope(self, x, slope):
        return self.factor * (x.T @ slope)


@dataclass(frozen=True)
class Wrong(Scaled):
    """One of the three is another function's."""

    def kernel_slope(self, x, slope):
        return 2 * super().kernel_slope(x, slope)


def derivatives(product):
    """Return values of a loss's derivatives, each the gradient of the squares of the one before."""

    def next_loss(loss):
        def squares(x, kernel):
            return sum(jnp.square(slope).sum() for slope in jax.grad(loss, (0, 1))(x, kernel))

        return squares

    losses = [lambda x, kernel: jnp.sin(product(x, kernel)).sum()]
    for _ in range(2):
        losses.append(next_loss(losses[-1]))
    random = np.random.default_rng(0)
    x, kernel = (jnp.asarray(random.random(shape, np.float32)) for shape in ((3, 4), (4, 2)))
    return jax.jit(lambda x, kernel: [jax.grad(loss, (0, 1))(x, kernel) for loss in losses])(
        x, kernel
    )


@pytest.mark.parametrize("factor", [1.0, -0.5])
def test_derivatives_of_three_orders(factor):
    expected = derivatives(lambda x, kernel: factor * (x @ kernel))
    found = derivatives(lambda x, kernel: bilinear(Scaled(factor), x, kernel))
    for order, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5, err_msg=f"order {order + 1}")


def test_each_gradient_is_that_of_the_form():
    right, wrong = (
        derivatives(lambda x, kernel, form=form: bilinear(form, x, kernel))
        for form in (Scaled(1.0), Wrong(1.0))
    )
    np.testing.assert_array_equal(right[0][0], wrong[0][0])
    np.testing.assert_allclose(2 * right[0][1], wrong[0][1], rtol=1e-6)
    assert not np.allclose(right[1][0], wrong[1][0], rtol=1e-2)
