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
