"""Write training.npz: learning rates of torch's and Keras's schedulers on the same sequences.

Run in an environment with ``pip install torch==2.13.0 keras==3.15.1`` (CPU builds do):
``python make_training.py``.
"""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch


def sequences() -> np.ndarray:
    """Return [6, 60] losses: falling, noisy, flat, negative, in steps near the threshold, NaN."""
    rng = np.random.default_rng(0)
    t = np.arange(60)
    falling = np.exp(-t / 8) + 0.002 * rng.standard_normal(60)
    noisy = 1 + rng.standard_normal(60)
    flat = np.ones(60)
    negative = -1 + np.exp(-t / 20) * rng.uniform(-1, 1, 60)
    near = 1 - 1.0001e-4 * (t // 3) - 0.4e-4 * (t % 3)
    broken = np.where(t % 4 == 1, np.nan, 2 - t / 60)
    return np.stack([falling, noisy, flat, negative, near, broken])


def torch_rates(values: np.ndarray, **options) -> list[float]:
    """Return the learning rate after each value."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for value in values:
        scheduler.step(float(value))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def keras_model() -> keras.Model:
    """Return the smallest model that a callback can be set on."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def keras_rates(values: np.ndarray, **options) -> list[float]:
    """Return the learning rate after each value."""
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **options)
    callback.set_model(keras_model())
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": float(value)})
        rates.append(float(callback.model.optimizer.learning_rate))
    return rates


def keras_stop(values: np.ndarray, **options) -> int:
    """Return the epoch after which training stops, -1 where it does not."""
    callback = keras.callbacks.EarlyStopping(monitor="val_loss", **options)
    callback.set_model(keras_model())
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": float(value)})
        if callback.model.stop_training:
            return epoch
    return -1


def main() -> None:
    """Write the file beside this script."""
    values = sequences()
    golden = {
        "values": values,
        "torch": [torch_rates(v, patience=5, factor=0.1, min_lr=1e-6) for v in values],
        "torch_max": [torch_rates(v, mode="max", patience=2, factor=0.5) for v in values],
        "torch_absolute": [
            torch_rates(v, patience=3, threshold=0.01, threshold_mode="abs", factor=0.3)
            for v in values
        ],
        "keras": [keras_rates(v, patience=5, factor=0.1, min_lr=1e-6) for v in values],
        "keras_max": [keras_rates(v, mode="max", patience=0, factor=0.5) for v in values],
        "stop": [keras_stop(v, patience=5) for v in values],
        "stop_max": [keras_stop(v, mode="max", patience=0) for v in values],
        "stop_delta": [keras_stop(v, patience=15, min_delta=0.05) for v in values],
    }
    np.savez_compressed(
        Path(__file__).with_name("training.npz"), **{k: np.asarray(v) for k, v in golden.items()}
    )


if __name__ == "__main__":
    main()
