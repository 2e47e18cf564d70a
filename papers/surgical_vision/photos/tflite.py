"""TensorFlow Lite models read and run by JAX: the operators that the face models are made of.

The fields' positions are those of the format's schema, `tensorflow/lite/schema/schema.fbs`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from common.errors import InputError
from papers.surgical_vision.photos.flatbuffer import Table

CODES = {
    0: "ADD",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    17: "MAX_POOL_2D",
    19: "RELU",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    54: "PRELU",
}
TYPES = {0: "float32", 1: "float16", 2: "int32"}
PADDING = ("SAME", "VALID")
ACTIVATIONS: dict[int, Callable[[Any], Any]] = {
    0: lambda x: x,
    1: jax.nn.relu,
    3: lambda x: jnp.clip(x, 0, 6),
}
_CONVOLUTION = ("NHWC", "OHWI", "NHWC")
_DEPTHWISE = ("NHWC", "IHWO", "NHWC")
Constants = dict[int, np.ndarray]  # by tensor


@dataclass(frozen=True)
class Operator:
    """One step: what it is called, its options, and the tensors that it takes and makes."""

    name: str
    options: Table | None
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True)
class Model:
    """Steps in order, the tensors that never change, and which go in and come out."""

    operators: tuple[Operator, ...]
    constants: Constants
    image: int
    outputs: tuple[int, ...]
    size: int  # of the square image that goes in, pixels
    shapes: tuple[tuple[int, ...], ...]  # of what comes out


def read(path: Path) -> Model:
    """Return the model in a file.

    Raises `InputError` for a file that is none, or has an operator that is not known here.
    """
    try:
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            raise ValueError("does not begin as one does")
        return _model(Table.root(content))
    except (OSError, struct.error, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: no TensorFlow Lite model that can be read ({error})") from None


def predictor(
    model: Model,
) -> Callable[[Float[Any, "batch height width 3"]], tuple[Array, ...]]:
    """Return the model as a function of images, compiled once per batch size."""

    @jax.jit
    def program(constants: Mapping[int, Any], images: Any) -> tuple[Any, ...]:
        tensors = {**constants, model.image: images}
        fixed = model.constants  # shapes and paddings, which must be known to compile
        for step in model.operators:
            tensors[step.output] = _run(step, tensors, fixed)
        return tuple(tensors[output] for output in model.outputs)

    weights = {i: jnp.asarray(v) for i, v in model.constants.items() if v.dtype.kind == "f"}
    return lambda images: program(weights, images)


def _model(root: Table) -> Model:
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in root.tables(1)]
    (graph,) = root.tables(2)
    buffers, tensors = list(root.tables(4)), list(graph.tables(0))
    constants = {}
    for i, tensor in enumerate(tensors):
        buffer = buffers[tensor.number(2, "I")]
        dtype = TYPES[tensor.number(1, "b")]
        if (values := buffer.numbers(0, "uint8")).size:
            constants[i] = values.view(dtype).reshape(tensor.numbers(0, "int32"))
    (image,) = graph.numbers(1, "int32").tolist()
    operators = []
    for operator in graph.tables(3):
        code = codes[operator.number(0, "I")]
        if code not in CODES:
            raise ValueError(f"operator {code} is not known here")
        inputs = tuple(operator.numbers(1, "int32").tolist())
        (output,) = operator.numbers(2, "int32").tolist()
        operators.append(Operator(CODES[code], operator.table(4), inputs, output))
    outputs = tuple(graph.numbers(2, "int32").tolist())
    size = int(tensors[image].numbers(0, "int32")[1])
    shapes = tuple(tuple(tensors[i].numbers(0, "int32").tolist()) for i in outputs)
    return Model(tuple(operators), constants, image, outputs, size, shapes)


def _run(step: Operator, tensors: Mapping[int, Any], fixed: Constants) -> Any:
    """Return what a step makes of the tensors so far."""
    x, *others = (tensors.get(i, fixed.get(i)) for i in step.inputs)
    options = step.options or Table(b"\4\0\4\0\4\0\0\0", 4)  # all defaults
    match step.name:
        case "CONV_2D":
            kernel, bias = others
            return _activated(options, 3, _convolved(x, kernel, options, 4) + bias)
        case "DEPTHWISE_CONV_2D":
            kernel, bias = others
            y = _convolved(x, kernel, options, 5, depthwise=True)
            return _activated(options, 4, y + bias)
        case "ADD":
            return _activated(options, 0, x + others[0])
        case "MAX_POOL_2D":
            window, stride = _pair(options, 4, 3), _pair(options, 2, 1)
            padding = PADDING[options.number(0, "b")]
            y = lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding)
            return _activated(options, 5, y)
        case "RELU":
            return jax.nn.relu(x)
        case "PRELU":
            return jnp.where(x >= 0, x, others[0] * x)
        case "PAD":
            return jnp.pad(x, fixed[step.inputs[1]].tolist())
        case "RESHAPE":
            return x.reshape(len(x), *options.numbers(0, "int32").tolist()[1:])
        case "RESIZE_BILINEAR":
            return _resized(x, fixed[step.inputs[1]].tolist(), options)
        case _:  # DEQUANTIZE, which is of half floats here
            return x.astype(jnp.float32)


def _convolved(x: Any, kernel: Any, options: Table, dilation: int, depthwise: bool = False) -> Any:
    """Return a convolution; `dilation` is the position of its fields in the options."""
    return lax.conv_general_dilated(
        x,
        kernel,
        _pair(options, 2, 1),
        PADDING[options.number(0, "b")],
        rhs_dilation=_pair(options, dilation + 1, dilation),
        dimension_numbers=_DEPTHWISE if depthwise else _CONVOLUTION,
        feature_group_count=x.shape[-1] if depthwise else 1,
    )


def _pair(options: Table, vertical: int, horizontal: int) -> tuple[int, int]:
    return options.number(vertical, "i", 1), options.number(horizontal, "i", 1)


def _activated(options: Table, field: int, x: Any) -> Any:
    return ACTIVATIONS[options.number(field, "b")](x)


def _resized(x: Any, sizes: list[int], options: Table) -> Any:
    """Return maps resized by linear interpolation, at the corners or centers that options say."""
    corners, centers = options.number(2, "b"), options.number(3, "b")
    for axis, new in zip((1, 2), sizes, strict=True):
        old, places = x.shape[axis], np.arange(new, dtype=np.float32)
        if centers:
            places = np.clip((places + 0.5) * (old / new) - 0.5, 0, old - 1)
        else:
            places = places * ((old - 1) / (new - 1) if corners else old / new)
        low = np.minimum(places.astype(np.int32), old - 1)
        high = np.minimum(low + 1, old - 1)
        shape = [-1 if i == axis else 1 for i in range(4)]
        part = (places - low).astype(np.float32).reshape(shape)
        x = jnp.take(x, low, axis) * (1 - part) + jnp.take(x, high, axis) * part
    return x
