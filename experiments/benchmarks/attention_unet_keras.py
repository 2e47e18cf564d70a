"""The source's Attention U-Net in Keras: what golden values and the benchmark compare with.

As the Keras side of `experiments.benchmarks.attention_unet` it is started with a folder and the
interpreter of an environment with Keras 3 (`pip install keras==3.15.1 jax==0.10.2`), on the
backend that KERAS_BACKEND names, by default JAX with the flags that JAX itself has. Reads the
weights that PyTorch's side wrote, then answers as `answering` says.
"""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.pop("XLA_FLAGS", None)  # ours are not Keras's

import keras
import numpy as np
from keras import layers, ops


def build(filters: tuple[int, ...], shape: tuple[int, int, int]) -> tuple[keras.Model, list]:
    """Return the network for images of `shape` and its gates' maps before they are enlarged.

    Layers are made in the order in which the source's README calls them, which gives them Keras's
    names: conv2d, conv2d_1, ...; those of a process's later networks begin anew.
    """
    keras.utils.clear_session()
    inputs = x = keras.Input(shape)
    skips, gates = [], []
    for count in filters[:-1]:
        skips.append(conv_block(x, count))
        x = layers.MaxPooling2D((2, 2))(skips[-1])
    x = conv_block(x, filters[-1])
    for count, skip in zip(filters[-2::-1], skips[::-1], strict=True):
        grown = layers.Conv2DTranspose(count, (2, 2), strides=(2, 2), padding="same")(x)
        gated, gate = attention(x, skip)
        gates.append(gate)
        x = conv_block(layers.concatenate([grown, gated]), count)
    outputs = layers.Conv2D(1, (1, 1), activation="sigmoid")(x)
    return keras.Model(inputs, outputs), gates


def conv_block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, (3, 3), padding="same", activation="relu")(x)
    x = layers.Conv2D(filters, (3, 3), padding="same")(x)
    x = layers.BatchNormalization(axis=3)(x)
    return layers.Activation("relu")(x)


def attention(low: keras.KerasTensor, skip: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
    """Return the gated skip, normalized, and the gate's map at the lower resolution."""
    channels = skip.shape[-1]
    phi = layers.Conv2D(channels, (1, 1), padding="same")(low)
    theta = layers.Conv2D(channels, (1, 1), strides=(2, 2), padding="same")(skip)
    x = layers.Activation("relu")(layers.add([phi, theta]))
    gate = layers.Conv2D(1, (1, 1), padding="same", activation="sigmoid")(x)
    gated = layers.multiply([skip, layers.UpSampling2D((2, 2))(gate)])
    return layers.BatchNormalization(axis=3)(gated), gate


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights by name: conv2d/kernel, batch_normalization/moving_mean, ..."""
    return {weight.path: np.asarray(weight) for weight in model.weights}


def main() -> None:
    from answering import answer  # beside this file, where a script finds it

    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    inputs = np.load(folder / "inputs.npz")
    images, masks = inputs["images"], inputs["masks"]
    model, _ = build(setting["filters"], images.shape[1:])
    weights = np.load(folder / "weights.npz")
    for weight in model.weights:
        weight.assign(weights[weight.path])

    def loss(masks, p):
        smooth, entropy = setting["smooth"], keras.losses.binary_crossentropy(masks, p)
        dice = (2 * ops.sum(p * masks) + smooth) / (ops.sum(p) + ops.sum(masks) + smooth)
        return ops.mean(entropy) - dice

    model.compile(keras.optimizers.Adam(setting["rate"], beta_2=0.99), loss)
    actions = {
        "forward": lambda: float(np.square(model.predict_on_batch(images)).mean()),
        "step": lambda: float(model.train_on_batch(images, masks)),
    }
    backend = importlib.import_module(keras.backend.backend())  # is called like its package
    answer(f"Keras {keras.__version__} on {backend.__name__} {backend.__version__}", actions)


if __name__ == "__main__":
    main()
