"""Network weights that PyTorch's side and ours draw alike, so that golden files need none."""

import numpy as np


def seeded_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Return float32 weights for PyTorch parameters of these names and shapes.

    Drawn in the order of the names: matrices and kernels uniform with variance 1 / fan_in, norms'
    weights around 1, biases around 0. RandomState's stream is the same in every numpy.
    """
    random, weights = np.random.RandomState(seed), {}
    for name in sorted(shapes):
        shape = tuple(shapes[name])
        uniform = random.random_sample(shape) * 2 - 1
        if len(shape) > 1:
            weight = uniform * np.sqrt(3 / np.prod(shape[1:]))
        else:
            weight = 0.2 * uniform + name.endswith("weight")
        weights[name] = weight.astype(np.float32)
    return weights


def seeded_keras_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict:
    """Return the like for Keras weights; moving variances are small, so that activations are not.

    Drawn in the order of the names, which are Keras's paths.
    """
    random, weights = np.random.RandomState(seed), {}
    for name in sorted(shapes):
        shape = tuple(shapes[name])
        uniform = random.random_sample(shape) * 2 - 1
        if len(shape) > 1:
            weight = uniform * np.sqrt(3 / np.prod(shape[:-1]))
        elif name.endswith("moving_variance"):
            weight = 0.12 * (1 + 0.8 * uniform)
        else:
            weight = 0.2 * uniform + name.endswith("gamma")
        weights[name] = weight.astype(np.float32)
    return weights
