"""Writes tflite.npz: a small TensorFlow Lite model of every operator that is read, and its outputs.

pip install ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6
python tests/golden/make_tflite.py
"""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

CODES = schema.BuiltinOperator
TYPES = {"float32": 0, "float16": 1, "int32": 2}
SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3


class Builder:
    """A model under construction: tensors, their constants, operators."""

    def __init__(self):
        self.tensors, self.buffers = [], [schema.BufferT()]
        self.operators, self.codes = [], []
        self.random = np.random.RandomState(0)

    def tensor(self, shape, dtype="float32", values=None):
        tensor = schema.TensorT()
        tensor.name = f"tensor{len(self.tensors)}".encode()
        tensor.shape, tensor.type, tensor.buffer = list(shape), TYPES[dtype], 0
        if values is not None:
            tensor.buffer = len(self.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(values, dtype).tobytes(), np.uint8)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, *shape, dtype="float32"):
        return self.tensor(shape, dtype, self.random.uniform(-1, 1, shape))

    def numbers(self, values):
        return self.tensor(np.shape(values), "int32", values)

    def operator(self, name, inputs, shape, **options):
        """Append an operator whose output has a shape; return the output."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(CODES, name)
        code.version = 3 if name == "RESIZE_BILINEAR" else 1
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = len(self.codes), list(inputs)
        operator.outputs = [self.tensor(shape)]
        if options:
            kind = options.pop("kind")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for option, value in options.items():
                setattr(operator.builtinOptions, option, value)
        self.codes.append(code)
        self.operators.append(operator)
        return operator.outputs[0]

    def model(self, image, outputs):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [image], outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = self.codes
        packed = flatbuffers.Builder(0)
        packed.Finish(model.Pack(packed), file_identifier=b"TFL3")
        return bytes(packed.Output())


def convolution(**options):
    return {"kind": "Conv2DOptions", "strideW": 1, "strideH": 1, "padding": SAME} | options


def depthwise(**options):
    same = {"strideW": 1, "strideH": 1, "padding": SAME, "depthMultiplier": 1}
    return {"kind": "DepthwiseConv2DOptions"} | same | options


def resized(build, x, size, **options):
    shape = (1, size, size, 4)
    sizes = build.numbers([size, size])
    return build.operator(
        "RESIZE_BILINEAR", [x, sizes], shape, kind="ResizeBilinearOptions", **options
    )


def small():
    build = Builder()
    image = build.tensor((1, 11, 11, 3))
    edges = build.numbers([[0, 0], [1, 2], [0, 1], [0, 1]])
    x = build.operator("PAD", [image, edges], (1, 14, 12, 4))
    half = build.constant(4, 3, 3, 4, dtype="float16")
    kernel = build.operator("DEQUANTIZE", [half], (4, 3, 3, 4))
    strides = {"strideW": 1, "strideH": 2, "fusedActivationFunction": RELU}
    x = build.operator(
        "CONV_2D", [x, kernel, build.constant(4)], (1, 7, 12, 4), **convolution(**strides)
    )
    y = build.operator(
        "DEPTHWISE_CONV_2D",
        [x, build.constant(1, 3, 3, 4), build.constant(4)],
        (1, 7, 12, 4),
        **depthwise(fusedActivationFunction=RELU6, dilationWFactor=2, dilationHFactor=1),
    )
    x = build.operator("ADD", [x, y], (1, 7, 12, 4), kind="AddOptions")
    x = build.operator(
        "CONV_2D",
        [x, build.constant(4, 2, 3, 4), build.constant(4)],
        (1, 6, 8, 4),
        **convolution(padding=VALID, dilationWFactor=2, dilationHFactor=1),
    )
    x = build.operator("PRELU", [x, build.constant(1, 1, 4)], (1, 6, 8, 4))
    pool = {"strideW": 3, "strideH": 2, "filterWidth": 3, "filterHeight": 2, "padding": SAME}
    x = build.operator("MAX_POOL_2D", [x], (1, 3, 3, 4), kind="Pool2DOptions", **pool)
    centers = resized(build, x, 7, halfPixelCenters=True)
    corners = resized(build, x, 7, alignCorners=True)
    neither = resized(build, x, 7)
    x = build.operator("ADD", [centers, corners], (1, 7, 7, 4), kind="AddOptions")
    first = build.operator("RESHAPE", [x], (1, 98, 2), kind="ReshapeOptions", newShape=[1, -1, 2])
    doubled = build.operator(
        "DEPTHWISE_CONV_2D",
        [neither, build.constant(1, 3, 3, 8), build.constant(8)],
        (1, 3, 3, 8),
        **depthwise(padding=VALID, strideW=2, strideH=2, depthMultiplier=2),
    )
    second = build.operator("RELU", [doubled], (1, 3, 3, 8))
    return build.model(image, [first, second])


def main() -> None:
    content = small()
    image = np.random.RandomState(1).uniform(-1, 1, (1, 11, 11, 3)).astype(np.float32)
    network = Interpreter(model_content=content)
    network.allocate_tensors()
    network.set_tensor(network.get_input_details()[0]["index"], image)
    network.invoke()
    outputs = [network.get_tensor(one["index"]) for one in network.get_output_details()]
    np.savez_compressed(
        Path(__file__).with_name("tflite.npz"),
        model=np.frombuffer(content, np.uint8),
        image=image,
        **{f"output{i}": output for i, output in enumerate(outputs)},
    )
    print([output.shape for output in outputs], [np.abs(output).max() for output in outputs])


if __name__ == "__main__":
    main()
