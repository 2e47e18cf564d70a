"""Functions that are linear in each of two arrays, with gradients that are written out.

With y = f(x, k) and a cotangent g, <g, f(x, k)> is linear in each of x, k and g: what is derived of
it is one of three functions of two of them,

    output(x, k)           f itself
    input_slope(k, g)      the gradient for x
    kernel_slope(x, g)     the gradient for k

and the gradients of each of these for its arguments are the other two. So three ways to compute are
enough for derivatives of any order, as those of a penalty on a gradient are; automatic
differentiation of the second would make other, slower ones up. In reverse mode only.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
from jax import lax

AnyArray = Any  # of NumPy or JAX


@runtime_checkable
class Form(Protocol):
    """How the three are computed; hashable, with all sizes that they need in it."""

    def output(self, x: AnyArray, kernel: AnyArray) -> jax.Array:
        """Return f(x, kernel)."""
        ...

    def input_slope(self, kernel: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for `x` of a function whose gradient for the output is `slope`."""
        ...

    def kernel_slope(self, x: AnyArray, slope: AnyArray) -> jax.Array:
        """Return the gradient for `kernel`."""
        ...


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def bilinear(form: Form, x: AnyArray, kernel: AnyArray) -> jax.Array:
    """Return the form's output, to be differentiated any number of times by the form.

    Its gradients begin with a barrier: without it XLA's CPU backend computes parts of what made the
    cotangent again inside of both.
    """
    return form.output(x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_slope(form: Form, kernel: AnyArray, slope: AnyArray) -> jax.Array:
    return form.input_slope(kernel, slope)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_slope(form: Form, x: AnyArray, slope: AnyArray) -> jax.Array:
    return form.kernel_slope(x, slope)


def _output_backward(form, kept, slope):
    (x, kernel), slope = kept, lax.optimization_barrier(slope)
    return _input_slope(form, kernel, slope), _kernel_slope(form, x, slope)


def _input_slope_backward(form, kept, x):
    kernel, slope = kept
    return _kernel_slope(form, x, slope), bilinear(form, x, kernel)


def _kernel_slope_backward(form, kept, kernel):
    x, slope = kept
    return _input_slope(form, kernel, slope), bilinear(form, x, kernel)


bilinear.defvjp(lambda form, x, k: (bilinear(form, x, k), (x, k)), _output_backward)
_input_slope.defvjp(lambda form, k, g: (_input_slope(form, k, g), (k, g)), _input_slope_backward)
_kernel_slope.defvjp(lambda form, x, g: (_kernel_slope(form, x, g), (x, g)), _kernel_slope_backward)
