"""Findings on a made-up lung: where they begin, that they grow, and what they add in numbers."""

import numpy as np
import pytest

from papers.rare_disease_controlnet.simulation import findings
from papers.rare_disease_controlnet.simulation.ct import WATER
from papers.rare_disease_controlnet.simulation.findings import Cut, Lung

EXTENTS = np.linspace(0, 1, 41)
PIXELS = (2.5, 5.0)  # mm
AXES = (60.0, 110.0, 75.0)  # mm, half the lung: aside, down, deep


def ellipsoid(pixel):
    """Return the patient's left lung as an ellipsoid of a quarter of water's density."""
    axis = np.arange(-140 + pixel / 2, 140, pixel, dtype=np.float32)
    down, left = np.meshgrid(axis, axis, indexing="ij")
    share = (left / AXES[0]) ** 2 + (down / AXES[1]) ** 2
    thickness = 2 * AXES[2] * np.sqrt(np.maximum(1 - share, 0))
    lung = Lung(
        attenuation=(thickness * WATER / 4).astype(np.float32),
        thickness=thickness.astype(np.float32),
        height=(0.5 - down / (2 * AXES[1])).astype(np.float32),
        lateral=(0.5 + left / (2 * AXES[0])).astype(np.float32),
        size=(2 * AXES[1], 2 * AXES[0]),
        inside=inside,
    )
    return lung, down, left


def inside(height, lateral):
    """Return about how many mm a place of the ellipsoid lies from its edge."""
    down, left = (0.5 - height) * 2 * AXES[1], (lateral - 0.5) * 2 * AXES[0]
    share = np.sqrt((left / AXES[0]) ** 2 + (down / AXES[1]) ** 2)
    slope = np.hypot(left / AXES[0] ** 2, down / AXES[1] ** 2) / np.maximum(share, 1e-3)
    return np.maximum((1 - share) / np.maximum(slope, 1e-6), 0).astype(np.float32)


def changes(kind, pixel):
    """Return a finding as a function of its extent."""
    lung, down, left = ellipsoid(pixel)
    if kind == "effusion":
        return lambda extent: findings.effusion(lung, extent)
    if kind == "pneumothorax":
        return lambda extent: findings.pneumothorax(lung, extent, pixel)
    if kind == "nodule":
        away = np.hypot(down - 10, left + 5)
        return lambda extent: findings.nodule(lung, away, extent)

    def rib(down, left):  # runs down and to the left, 10 mm wide
        across = (down - 0.5 * left) / np.hypot(1, 0.5)
        return (0.4 * np.sqrt(np.maximum(1 - (across / 5) ** 2, 0))).astype(np.float32)

    outwards = (0.5 / np.hypot(1, 0.5), 1 / np.hypot(1, 0.5))
    return lambda extent: findings.fracture(rib, down, left, Cut(0.0, 0.0, outwards), extent)


@pytest.mark.parametrize("pixel", PIXELS)
@pytest.mark.parametrize("kind", ["effusion", "pneumothorax", "nodule", "fracture"])
def test_a_larger_extent_never_changes_less(kind, pixel):
    if kind == "fracture":
        pixel /= 4  # of films on which a fracture can be seen
    change = changes(kind, pixel)
    made = [change(extent) for extent in EXTENTS]
    masks = np.stack([findings.mask(one) for one in made])
    totals = np.array([np.abs(one).sum(dtype=np.float64) for one in made])
    areas = masks.sum((1, 2))
    tenth = len(EXTENTS) // 10
    assert (areas[tenth:] >= areas[:-tenth]).all(), areas
    assert np.diff(totals).min() > 0
    if kind in ("effusion", "nodule"):
        assert not (masks[:-1] & ~masks[1:]).any()
    assert areas[0] > 0
    assert areas[-1] > 1.5 * areas[1]
    assert all(one.dtype == np.float32 for one in made)


@pytest.mark.parametrize("kind", ["effusion", "pneumothorax"])
def test_beside_the_lung_nothing_is_changed(kind):
    lung, _, _ = ellipsoid(PIXELS[0])
    outside = lung.thickness == 0
    for extent in EXTENTS:
        assert (changes(kind, PIXELS[0])(extent)[outside] == 0).all()


def test_fluid_is_water_and_begins_in_the_angle_at_the_side():
    lung, _, _ = ellipsoid(PIXELS[0])
    small, large = (findings.effusion(lung, extent) for extent in (0.05, 1.0))
    for change in (small, large):
        assert (change >= 0).all()
        assert (change <= lung.thickness * WATER * 0.75 + 1e-5).all()
    deep = (lung.height < 0.3) & (lung.thickness > 0)
    np.testing.assert_allclose(large[deep], 0.75 * WATER * lung.thickness[deep], rtol=1e-4)
    highest = {
        name: lung.height[findings.mask(large) & part].max()
        for name, part in (
            ("aside", lung.lateral > 0.85),
            ("middle", abs(lung.lateral - 0.5) < 0.1),
        )
    }
    assert highest["aside"] > highest["middle"] + 0.05  # the meniscus
    first = findings.mask(small)
    assert lung.lateral[first].mean() > 0.5
    assert lung.height[first].max() < 0.4


def test_air_takes_the_lung_away_most_of_all_at_the_apex_and_the_side():
    lung, down, left = ellipsoid(1.0)
    row, column = (int(np.argmin(np.abs(axis))) for axis in (down[:, 0], left[0]))
    for extent in (0.0, 0.5, 1.0):
        change = findings.pneumothorax(lung, extent, 1)
        gone = change < -findings.VISIBLE
        apex, base = gone[:row, column].sum(), gone[row:, column].sum()
        mediastinum, side = gone[row, :column].sum(), gone[row, column:].sum()
        assert apex > side > base
        assert mediastinum < 0.35 * side
        # What is left is the ellipse, shrunk towards the hilum by as much.
        kept = 1 - np.interp(extent, (0, 1), findings.SHRUNK)
        high, across = (
            (place - at) / kept + at - 0.5
            for place, at in zip((lung.height, lung.lateral), findings.HILUM, strict=True)
        )
        left_over = (2 * high) ** 2 + (2 * across) ** 2 < 1
        expected = (lung.thickness > 5) & ~left_over
        assert (gone ^ expected).sum() < 0.15 * expected.sum()
    air = gone & (lung.height > 0.8) & (lung.thickness > 20)
    np.testing.assert_allclose(change[air], -findings.AIR * lung.attenuation[air], rtol=1e-3)
    deep = (np.abs(lung.height - 0.35) < 0.1) & (np.abs(lung.lateral - 0.3) < 0.1)
    np.testing.assert_allclose(change[deep], findings.DENSER * lung.attenuation[deep], rtol=1e-3)
    assert not findings.mask(change)[deep].any()


def test_the_pleura_is_a_thin_bright_line_along_the_air():
    fine, down, _ = ellipsoid(0.5)
    change = findings.pneumothorax(fine, 0.5, 0.5)
    row = int(np.argmin(np.abs(down[:, 0] + 30)))
    profile = change[row, change.shape[1] // 2 :]
    bright = np.flatnonzero(profile > 0.05)
    assert len(bright) * 0.5 == pytest.approx(2 * findings.PLEURA[0], abs=1.2)
    assert profile.argmax() in bright
    assert np.ptp(bright) == len(bright) - 1  # one line
    outer = profile[bright[-1] + 4 :]
    assert (outer <= 0).all()
    assert outer.min() < -0.2
    # Wider pixels show the line as wide as they are, and as much fainter.
    wide = findings.pneumothorax(ellipsoid(4.0)[0], 0.5, 4.0)
    assert 0 < wide.max() < 0.5 * change.max()


@pytest.mark.parametrize(("extent", "radius"), [(0, 7), (0.5, 11), (1, 15)])
def test_a_nodule_is_a_ball_denser_than_water(extent, radius):
    lung, down, left = ellipsoid(0.5)
    away = np.hypot(down - 10, left + 5)
    change = findings.nodule(lung, away, extent)
    assert (change[away >= radius] == 0).all()
    assert (change[away < radius - 0.5] > 0).all()
    # The mean over the ball's disk of (1 - r²)^(3/4) is 4/7.
    denser = findings.SOLID * WATER - WATER / 4
    expected = denser * findings.ROUND * radius * np.pi * radius**2 * 4 / 7
    assert change.sum() * 0.5**2 == pytest.approx(expected, rel=0.02)
    ray = np.sqrt(1 - np.linspace(-1, 1, 200001) ** 2)  # the density's integral along the middle
    assert np.trapezoid(np.sqrt(ray), dx=1e-5) == pytest.approx(findings.ROUND, abs=1e-3)


def test_a_broken_rib_steps_down_with_a_gap():
    pixel = 0.5
    change = changes("fracture", pixel)
    _, down, left = ellipsoid(pixel)
    made = change(1.0)
    along = (0.5 * down + left) / np.hypot(1, 0.5)
    across = (down - 0.5 * left) / np.hypot(1, 0.5)
    assert (made[np.hypot(down, left) > 2 * findings.HEALED] == 0).all()
    inner = along < -2 * findings.GAP[1]
    assert (made[inner] == 0).all()  # towards the spine it lies where it was
    outer = (along > 4) & (along < 10)
    assert made[outer & (across > 5) & (across < 8)].min() > 0
    assert made[outer & (across > -5) & (across < -3)].max() < 0
    middle = (np.abs(along) < 0.4) & (np.abs(across) < 1)
    np.testing.assert_allclose(made[middle], -0.4, atol=0.02)
    assert abs(made.sum()) < 0.2 * np.abs(made).sum()


def test_the_mask_is_where_more_than_the_threshold_changes():
    change = np.array([[0, findings.VISIBLE * 0.99, findings.VISIBLE * 1.01, -1]], np.float32)
    assert findings.mask(change).tolist() == [[False, False, True, True]]
