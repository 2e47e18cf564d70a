"""Surface distances equal MONAI's and medpy's, keep their laws, and refuse unusable input."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics import surface
from common.metrics.surface import SurfaceDistances, surface_distances

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "segmentation.npz"))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def golden_masks(name):
    shape = GOLDEN[name + "_shape"]
    bits = np.unpackbits(GOLDEN[name + "_masks"], count=int(shape.prod()))
    return bits.reshape(shape).astype(bool)


def masks(seed, shape=(7, 9)):
    random = np.random.default_rng(seed)
    p, t = random.random((2, *shape)) < random.uniform(0.1, 0.7)
    assume(p.any() and t.any())
    return p, t


def pairwise(p, t, spacing):
    """Return both directed sets of distances by comparing every pixel with every other."""

    def surface(mask):
        padded = np.pad(mask, 1)
        inner = padded.copy()
        for axis in range(mask.ndim):
            inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        return np.argwhere(padded & ~inner) * spacing

    apart = np.linalg.norm(surface(p)[:, None] - surface(t), axis=-1)
    return apart.min(1), apart.min(0)


@pytest.mark.parametrize("name", ["real", "flat", "solid", "touching"])
def test_distances_match_monai_and_medpy(name):
    found = surface_distances(*golden_masks(name), GOLDEN[name + "_spacing"].tolist())
    hd95, hd, assd, pooled, assd_medpy = GOLDEN[name]
    np.testing.assert_allclose(found.hausdorff(), hd95, rtol=1e-6)
    np.testing.assert_allclose(found.hausdorff(100.0), hd, rtol=1e-6)
    np.testing.assert_allclose(found.average(), assd, rtol=1e-6)  # MONAI's is float32
    np.testing.assert_allclose(found.hausdorff(pooled=True), pooled, rtol=1e-12)
    np.testing.assert_allclose(found.average(), assd_medpy, rtol=1e-12)


@few
@given(seeds, st.booleans())
def test_distances_are_those_of_all_pairs_of_surface_pixels(seed, solid):
    shape, spacing = ((4, 6, 5), (3.0, 0.9, 1.1)) if solid else ((7, 9), (0.7, 1.3))
    p, t = masks(seed, shape)
    found = surface_distances(p, t, spacing)
    from_p, from_t = pairwise(p, t, spacing)
    np.testing.assert_allclose(found.from_predicted, from_p, rtol=1e-12)
    np.testing.assert_allclose(found.from_target, from_t, rtol=1e-12)


@few
@given(seeds, st.floats(0.1, 10))
def test_distances_laws(seed, scale):
    p, t = masks(seed)
    same, forth = surface_distances(p, p, (1.0, 2.0)), surface_distances(p, t, (1.0, 2.0))
    assert same.hausdorff(100.0) == same.average() == 0
    back = surface_distances(t, p, (1.0, 2.0))
    assert forth.hausdorff() == back.hausdorff()
    np.testing.assert_allclose(forth.average(), back.average(), rtol=1e-12)
    assert 0 <= forth.hausdorff(50.0) <= forth.hausdorff() <= forth.hausdorff(100.0)
    assert forth.average() <= forth.hausdorff(100.0)
    scaled = surface_distances(p, t, (scale, 2 * scale))
    np.testing.assert_allclose(scaled.hausdorff(), scale * forth.hausdorff(), rtol=1e-9)
    turned = surface_distances(p.T, t.T, (2.0, 1.0))
    np.testing.assert_allclose(turned.average(), forth.average(), rtol=1e-12)
    placed = (np.pad(mask, ((3, 0), (1, 4))) for mask in (p, t))
    assert surface_distances(*placed, (1.0, 2.0)).hausdorff() == forth.hausdorff()


def test_a_shifted_square_is_as_far_as_the_shift():
    p, t = np.zeros((2, 30, 30), bool)
    p[5:15, 5:15], t[5:15, 9:19] = True, True
    assert surface_distances(p, t, (1.0, 0.5)).hausdorff(100.0) == 2


@pytest.mark.parametrize("pooled", [False, True])
def test_empty_masks_have_the_documented_values(pooled):
    none, some = np.zeros((5, 6), bool), np.eye(5, 6, dtype=bool)
    for p, t in ((none, some), (some, none)):
        found = surface_distances(p, t, (1.0, 1.0))
        assert found.hausdorff(pooled=pooled) == found.average() == np.inf
    found = surface_distances(none, none, (1.0, 1.0))
    assert np.isnan([found.hausdorff(pooled=pooled), found.average()]).all()


def test_masks_that_are_refused():
    p, t = np.eye(5, dtype=bool), np.eye(5, dtype=bool)
    for bad, shape in ((p[0], "5"), (np.stack([p] * 2)[None], "1, 2, 5, 5")):
        with pytest.raises(InputError, match=shape):
            surface_distances(bad, bad, (1.0, 1.0))
    for spacing in ((1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, -2.0), (1.0, np.nan)):
        with pytest.raises(InputError, match="2 sizes of a pixel above 0"):
            surface_distances(p, t, spacing)
    with pytest.raises(InputError, match="percentile 101"):
        surface_distances(p, t, (1.0, 1.0)).hausdorff(101.0)
    with pytest.raises(InputError, match="expected one shape"):
        surface_distances(p[:4], t, (1.0, 1.0))
    with pytest.raises(InputError, match="target: type uint8, expected a boolean mask"):
        surface._check(p, t.astype(np.uint8), (1.0, 1.0))


def test_distances_given_alone_are_summed_up():
    found = SurfaceDistances(np.array([0.0, 1.0, 2.0]), np.array([4.0]))
    assert found.average() == 7 / 4
    assert found.hausdorff(50.0) == 4
    assert found.hausdorff(50.0, pooled=True) == 1.5
