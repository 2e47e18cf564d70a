"""Writes attention_unet.npz: outputs of the source's Keras network with seeded weights.

pip install keras==3.15.1 jax==0.10.2
KERAS_BACKEND=jax python -m tests.golden.make_attention_unet
"""

import json
from pathlib import Path

import keras
import numpy as np

from experiments.benchmarks.attention_unet_keras import build, weights_of
from tests.golden.seeded_weights import seeded_keras_weights

FILTERS, PUBLISHED = (4, 8, 12, 16, 20), (64, 128, 256, 512, 1024)


def main() -> None:
    full, _ = build(PUBLISHED, (256, 256, 3))
    golden = {
        "total": np.array(full.count_params()),
        "trainable": np.array(sum(int(np.prod(weight.shape)) for weight in full.trainable_weights)),
        "filters": np.array(FILTERS),
        "images": np.random.RandomState(1).random_sample((2, 32, 48, 3)).astype(np.float32),
    }
    model, gates = build(FILTERS, golden["images"].shape[1:])
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    weights = seeded_keras_weights(shapes)
    for weight in model.weights:
        weight.assign(weights[weight.path])
    golden["shapes"] = np.array(json.dumps(shapes))
    probe = keras.Model(model.input, [model.output, *gates])
    output, *maps = probe(golden["images"], training=False)
    golden["output"] = np.asarray(output)
    golden |= {f"gate{i}": np.asarray(gate) for i, gate in enumerate(maps)}
    golden["train_output"] = np.asarray(model(golden["images"], training=True))
    for name, weight in weights_of(model).items():
        if "/moving_" in name:
            golden[f"moved/{name}"] = weight
    np.savez_compressed(Path(__file__).with_name("attention_unet.npz"), **golden)


if __name__ == "__main__":
    main()
