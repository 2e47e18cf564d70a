"""Seeded weights made fit for the Inception network, for PyTorch's side and ours alike."""

import numpy as np


def fit_for_inception(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weights with positive variances, under which activations keep their size."""
    fit = {}
    for name, value in weights.items():
        fit[name] = value * np.float32(np.sqrt(2)) if value.ndim > 1 else value
        if name.endswith("running_var"):
            fit[name] = 1 + np.abs(value)
    return fit
