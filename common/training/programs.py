"""The programs of a training: its first state, and its step."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax

from common.training.mesh import data_mesh, data_parallel

_ONCE = {"xla_backend_optimization_level": 0}  # a program that runs once compiles in half the time


@functools.cache
def compiled(init: Callable, step: Callable) -> tuple[Callable, Callable]:
    """Return the programs that draw a first state and, on the data's mesh, take a step.

    Trainings that share these functions, those of one network's seeds among them, share programs.
    """
    once = _ONCE if jax.default_backend() == "cpu" else None
    return jax.jit(init, compiler_options=once), data_parallel(step, data_mesh())
