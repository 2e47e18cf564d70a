import numpy as np
import pytest
from flax import nnx

from common.nn.initialization import draw_uniform, glorot_bound, he_bound


def drawn(seed: int = 0) -> list[np.ndarray]:
    parameters = [nnx.Param(np.zeros(shape, np.float32)) for shape in ((40, 50), (3,), (2000,))]
    draw_uniform(list(zip(parameters, (1.0, 5.0, 0.01), strict=True)), nnx.Rngs(seed))
    return [np.asarray(parameter[...]) for parameter in parameters]


def test_every_parameter_fills_its_own_bounds():
    values = drawn()
    for value, bound in zip((values[0], values[2]), (1.0, 0.01), strict=True):
        assert -bound <= value.min() < -0.98 * bound
        assert 0.98 * bound < value.max() <= bound
        assert value.mean() == pytest.approx(0, abs=0.06 * bound)
        assert value.std() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert values[1].shape == (3,)
    assert np.abs(values[1]).max() > 1


def test_no_number_is_given_twice_and_the_seed_decides():
    first, again, other = drawn(), drawn(), drawn(1)
    unscaled = np.concatenate(
        [value.ravel() / b for value, b in zip(first, (1, 5, 0.01), strict=True)]
    )
    assert len(np.unique(unscaled.round(6))) > 0.99 * unscaled.size
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_bounds_give_the_published_variances():
    # a uniform draw has the variance bound^2 / 3
    for shape, fan_in, fan_out in (((3, 3, 4, 8), 36, 72), ((10, 6), 10, 6)):
        assert he_bound(shape) ** 2 / 3 == pytest.approx(2 / fan_in)
        assert glorot_bound(shape) ** 2 / 3 == pytest.approx(2 / (fan_in + fan_out))
