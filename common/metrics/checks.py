"""What every metric asks of its input, said in one line where it is not so."""

from __future__ import annotations

import jax
import numpy as np

from common.errors import InputError

_ROUNDING = 1e-4  # how far beyond [0, 1] rounding may carry a value


def check_images(images: jax.Array | np.ndarray, name: str = "images", minimum: int = 1) -> None:
    """Raise InputError unless `images` are at least `minimum` finite NHWC images in [0, 1].

    Inside `jax.jit` there are no values yet: there only the shape is checked.
    """
    if images.ndim != 4:
        raise InputError(f"{name}: shape {images.shape}, expected [n, height, width, channels]")
    _check_count(images, name, minimum)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"{name}: type {images.dtype}, expected float in [0, 1]; divide by 255")
    if isinstance(images, jax.core.Tracer):
        return
    low, high = _range(images)  # NaN where there is one
    if not np.isfinite([low, high]).all():
        raise InputError(f"{name}: NaN or infinite values, expected values in [0, 1]")
    if high > 1 + _ROUNDING:
        raise InputError(f"{name}: values up to {high:g}, expected [0, 1]; divide by 255?")
    if low < -_ROUNDING:
        raise InputError(
            f"{name}: values down to {low:g}, expected [0, 1]; from [-1, 1]: x / 2 + 0.5"
        )


def check_vectors(vectors: jax.Array | np.ndarray, name: str, minimum: int = 1) -> None:
    """Raise InputError unless `vectors` are at least `minimum` finite rows [n, features]."""
    if vectors.ndim != 2:
        raise InputError(f"{name}: shape {vectors.shape}, expected [n, features]")
    _check_count(vectors, name, minimum)
    check_finite(vectors, name)


def check_labels(labels: jax.Array | np.ndarray, name: str, classes: int) -> None:
    """Raise InputError unless `labels` are booleans or integers from 0 to `classes` - 1.

    Inside `jax.jit` there are no values yet: there only type and size are checked.
    """
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool):
        raise InputError(f"{name}: type {labels.dtype}, expected integer labels or a boolean mask")
    if not labels.size:
        raise InputError(f"{name}: shape {labels.shape}, expected at least one value")
    if isinstance(labels, jax.core.Tracer):
        return
    low, high = map(int, _range(labels))
    if low < 0 or high >= classes:
        hint = "; mask > 0?" if high == 255 and classes == 2 else ""
        raise InputError(f"{name}: labels {low} to {high}, expected 0 to {classes - 1}{hint}")


def check_probabilities(values: jax.Array | np.ndarray, name: str) -> None:
    """Raise InputError unless `values` are finite and in [0, 1] (not inside `jax.jit`)."""
    if not values.size:
        raise InputError(f"{name}: shape {values.shape}, expected at least one value")
    check_finite(values, name)
    if isinstance(values, jax.core.Tracer):
        return
    low, high = _range(values)
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"{name}: values {low:g} to {high:g}, expected [0, 1]; mask / 255, sigmoid of logits?"
        )


def check_finite(values: jax.Array | np.ndarray, name: str) -> None:
    """Raise InputError where a value is NaN or infinite (not inside `jax.jit`)."""
    if not isinstance(values, jax.core.Tracer) and not np.isfinite(values).all():
        raise InputError(f"{name}: NaN or infinite values")


def check_same_shape(
    a: jax.Array | np.ndarray, b: jax.Array | np.ndarray, names: tuple[str, str]
) -> None:
    """Raise InputError unless both have one shape."""
    if a.shape != b.shape:
        raise InputError(f"{names[0]} {a.shape} and {names[1]} {b.shape}: expected one shape")


def _range(values: jax.Array | np.ndarray) -> tuple[float, float]:
    """Return the least and the largest value, of a constant of a jitted function too."""
    with jax.ensure_compile_time_eval():
        return float(values.min()), float(values.max())


def _check_count(items: jax.Array | np.ndarray, name: str, minimum: int) -> None:
    if len(items) < minimum:
        raise InputError(f"{name}: {len(items)} given, at least {minimum} needed")
