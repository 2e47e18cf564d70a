"""What simulated heads are made of: grids, random fields, noise, the template."""

import numpy as np
import pytest

from common.anatomy import acquisition
from common.anatomy import template as mni
from common.anatomy.grid import Grid, centered, coarse_axis, refine, rotation, smooth_field
from common.errors import InputError

REACH = (24.0, 40.0, 40.0)


@pytest.fixture
def fine():
    return Grid(centered(6, 7.0), centered(50, 1.5), centered(40, 1.0))


def test_a_coarse_grid_covers_the_same_box_with_fewer_points(fine):
    coarse = fine.coarse()
    np.testing.assert_array_equal(coarse.slices, fine.slices)  # far enough apart as they are
    for few, many in zip(coarse.axes()[1:], fine.axes()[1:], strict=True):
        assert len(few) < len(many) / 2 + 1
        assert (few[0], few[-1]) == (many[0], many[-1])
    falling = coarse_axis(fine.rows[::-1])
    np.testing.assert_allclose(falling[::-1], coarse.rows, atol=1e-5)


def test_refining_is_exact_for_what_is_linear(fine):
    def values(grid):
        z, y, x = np.meshgrid(*grid.axes(), indexing="ij")
        return (2 * z - 3 * y + x + 1)[None]

    np.testing.assert_allclose(
        refine(values(fine.coarse()), fine.coarse(), fine), values(fine), 1e-4
    )


def test_a_random_field_is_the_same_on_any_grid(fine):
    part = Grid(fine.slices[2:4], fine.rows[10:30:3], fine.columns[5:])
    fields = [smooth_field(np.random.default_rng(0), grid, 12.0, 2, REACH) for grid in (fine, part)]
    np.testing.assert_allclose(fields[0][:, 2:4, 10:30:3, 5:], fields[1], atol=1e-5)
    assert fields[0].shape == (2, 6, 50, 40)
    assert 0.15 < fields[0].std() < 0.6
    outside = Grid(fine.slices, fine.rows + 200, fine.columns)
    assert not smooth_field(np.random.default_rng(0), outside, 12.0, 1, REACH).any()


def test_a_rotation_keeps_lengths_and_turns_by_its_angles():
    matrix = rotation(np.radians([10.0, -20.0, 30.0]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    quarter = rotation(np.radians([0.0, 0.0, 90.0]))
    np.testing.assert_allclose(np.abs(quarter @ [1, 0, 0]), [0, 1, 0], atol=1e-12)


def test_pixels_are_means_of_squares():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    np.testing.assert_array_equal(acquisition.area_average(image, 2), [[[2.5, 4.5], [10.5, 12.5]]])


def test_signed_distances_are_negative_inside():
    mask = np.zeros((9, 9, 9), bool)
    mask[3:6, 3:6, 3:6] = True
    distance = mni.signed_distance(mask)
    assert (distance < 0).sum() == 27
    assert distance[4, 4, 4] == -2
    assert distance[4, 4, 8] == 3


def test_the_template_is_read_at_its_own_voxels():
    volume = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    points = np.array([[1.0, 0.5, 9.0], [2.0, 0.0, 0.0], [23.0, 20.0, 20.0]], np.float32)
    values = mni.sample(mni.slices_first(volume), points, 20, outside=-7.0)
    np.testing.assert_allclose(values, [volume[1, 2, 3], volume[:2, 0, 0].mean(), -7.0])


def test_the_ventricles_lie_on_both_sides_of_the_midline():
    floor = 48
    ventricles = mni.lateral_ventricles(mni.read("t1")[:, :, floor:], floor)
    sides = ventricles[: int(mni.MIDLINE)].sum(), ventricles[int(mni.MIDLINE) + 1 :].sum()
    assert sides[0] == pytest.approx(sides[1], rel=0.05)
    assert 10_000 < sum(sides) < 40_000  # of 1 mm^3
    x, _, z = np.argwhere(ventricles).mean(0)
    assert abs(x - mni.MIDLINE) < 2
    assert 70 < z + floor < 105


def test_noise_is_rician():
    rng = np.random.default_rng(0)
    images = np.zeros((4, 64, 64), np.float32)
    air = acquisition.rician(images, 0.1, rng)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
    tissue = acquisition.rician(images + 0.8, 0.02, rng)
    assert tissue.std() == pytest.approx(0.02, rel=0.05)


def test_a_missing_template_is_named(monkeypatch):
    monkeypatch.setattr(mni.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install nilearn"):
        mni.read("t1")
