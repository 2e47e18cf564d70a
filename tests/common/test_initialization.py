import numpy as np
import pytest
from flax import nnx

from common.nn.initialization import draw_normal, draw_uniform, glorot_bound, he_bound


def drawn(seed: int = 0, draw=draw_uniform) -> list[np.ndarray]:
    parameters = [nnx.Param(np.zeros(shape, np.float32)) for shape in ((40, 50), (3,), (2000,))]
    draw(list(zip(parameters, (1.0, 5.0, 0.01), strict=True)), nnx.Rngs(seed))
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


def test_every_parameter_has_its_own_deviation():
    for value, deviation in zip(drawn(draw=draw_normal), (1.0, 5.0, 0.01), strict=True):
        if value.size > 3:
            assert value.mean() == pytest.approx(0, abs=0.06 * deviation)
            assert value.std() == pytest.approx(deviation, rel=0.05)
            shares = [np.mean(np.abs(value) < k * deviation) for k in (1, 2)]  # of a normal
            assert shares == pytest.approx([0.683, 0.954], abs=0.03)


@pytest.mark.parametrize("draw", [draw_uniform, draw_normal])
def test_no_number_is_given_twice_and_the_seed_decides(draw):
    first, again, other = drawn(draw=draw), drawn(draw=draw), drawn(1, draw)
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
