"""The source's Attention U-Net in Keras: the reference of golden values and of the benchmark.

Any Keras 3 backend: pip install keras==3.15.1 jax==0.10.2, and KERAS_BACKEND=jax.
"""

import keras
import numpy as np
from keras import layers


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
    """Return the gated skip, normalised, and the gate's map at the lower resolution."""
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
