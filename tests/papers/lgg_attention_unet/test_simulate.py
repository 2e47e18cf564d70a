"""The simulated patients: exact masks, true contrasts, no easy way out, the same every time."""

import numpy as np
import pytest
from scipy import ndimage

from common.anatomy.acquisition import area_average
from common.anatomy.grid import Grid, centered
from common.anatomy.template import MIDLINE
from papers.lgg_attention_unet import simulate
from papers.lgg_attention_unet.simulation.atlas import atlas
from papers.lgg_attention_unet.simulation.person import person
from papers.lgg_attention_unet.simulation.tissues import TISSUES, tissues
from papers.lgg_attention_unet.simulation.tumor import level, tumor

SIZE, FACTOR = 64, 3  # pixels a side, and points a pixel and side
PRE, FLAIR, POST = range(3)


@pytest.fixture(scope="module")
def cohort():
    return list(simulate.cohort(12, 0, height=SIZE, width=SIZE))


@pytest.fixture(scope="module")
def heads():
    """Five patients with a tumor: their heads, and images of them."""
    pixel = simulate.FIELD_OF_VIEW / SIZE
    axis = centered(SIZE * FACTOR, pixel / FACTOR)
    out = []
    for index in range(5):
        rng = np.random.default_rng([1, index])
        one = simulate.head(rng, True, axis, axis)
        out.append((one, simulate.acquire(rng, one, FACTOR)[0]))
    return out


def share(one, *names):
    """Return the share of some tissues in every pixel."""
    whole = sum(one.shares[TISSUES.index(name)] for name in names)
    return area_average(np.asarray(whole, np.float32), FACTOR)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def best_threshold(images, masks):
    """Return the Dice of all pixels at the one best threshold, by trying every one."""
    values, truth = (np.concatenate([np.ravel(x) for x in many]) for many in (images, masks))
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    return float((2 * hits / (np.arange(1, len(hits) + 1) + truth.sum())).max())


def test_patients_are_stacks_of_8_bit_slices_of_three_channels(cohort):
    assert [p.name for p in cohort[:2]] == ["sim-0001", "sim-0002"]
    for p in cohort:
        slices = len(p.images)
        assert 9 <= slices <= 12
        assert p.images.shape == (slices, SIZE, SIZE, 3)
        assert p.images.dtype == np.uint8
        assert p.masks.shape == (slices, SIZE, SIZE)
        assert p.masks.dtype == bool
        assert 60 < p.images[..., FLAIR].max() <= 255
        assert all(np.isfinite(v) for v in p.truth.values())
        corners = p.images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.max() < 20  # air around the head
        assert (p.images[..., FLAIR] > 20).any((1, 2)).all()  # a head in every slice
    assert len({len(p.images) for p in cohort}) > 1


def test_a_patient_depends_on_seed_and_index_alone(cohort):
    again = list(simulate.cohort(2, 0, height=SIZE, width=SIZE))[1]
    np.testing.assert_array_equal(again.images, cohort[1].images)
    np.testing.assert_array_equal(again.masks, cohort[1].masks)
    assert again.truth == cohort[1].truth
    other = simulate.patient(1, 1, height=SIZE, width=SIZE)
    slices = min(len(other.images), len(again.images))
    apart = other.images[:slices].astype(float) - again.images[:slices]
    assert np.abs(apart).mean() > 5


def test_the_size_of_the_images_changes_nothing_in_the_head(cohort):
    small = cohort[0]
    large = simulate.patient(0, 0, height=2 * SIZE, width=2 * SIZE)
    for channel in (PRE, FLAIR, POST):
        image = area_average(large.images[..., channel].astype(np.float32), 2)
        apart = image - small.images[..., channel]
        assert np.sqrt(np.mean(apart**2)) < 0.1 * image[image > 20].mean()
    same = ("tumor_ml", "contrast", "spacing_mm", "missing", "has_core", "has_rim")
    assert [small.truth[key] for key in same] == [large.truth[key] for key in same]
    assert large.truth["seen_ml"] == pytest.approx(small.truth["seen_ml"], rel=0.03)
    covered = area_average(large.masks.astype(np.float32), 2)
    assert dice(covered > 0.5, small.masks) > 0.93


def test_images_need_not_be_square():
    wide = simulate.patient(0, 0, height=24, width=32)
    square = simulate.patient(0, 0, height=24, width=24)
    assert wide.images.shape[1:] == (24, 32, 3)
    assert dice(wide.masks[:, :, 4:-4], square.masks) > 0.99
    assert wide.masks.sum() == square.masks.sum()


def test_masks_hold_the_volume_of_the_tumor(cohort):
    """A patient's slices are some millimeters apart: only the whole cohort gives the volume."""
    drawn, seen = 0.0, 0.0
    for p in cohort:
        voxel = p.truth["pixel_mm"] ** 2 * p.truth["spacing_mm"] / 1000
        marked = float(p.masks.sum()) * voxel
        assert p.masks.any() == (p.truth["has_tumor"] == 1) == (p.truth["tumor_ml"] > 0)
        assert marked == pytest.approx(p.truth["seen_ml"], rel=0.04, abs=0.25)
        drawn, seen = drawn + p.truth["tumor_ml"], seen + marked
    assert seen == pytest.approx(drawn, rel=0.04)
    volumes = [p.truth["tumor_ml"] for p in cohort if p.truth["has_tumor"]]
    assert 1 <= min(volumes) < 5
    assert 30 < max(volumes) <= 80


def test_a_mask_is_where_half_of_the_pixel_lies_inside_the_level_set(cohort):
    """Counted anew from many points a pixel."""
    many, p = 10, cohort[0]
    pixel = p.truth["pixel_mm"]
    axis = centered(SIZE * many, pixel / many)
    few = simulate.head(np.random.default_rng([0, 0]), True, axis[::50], axis[::50])
    for index in np.flatnonzero(p.masks.any((1, 2)))[:3]:
        grid = Grid(few.grid.slices[[index]], axis, axis)
        inside = level(few.tumor, few.person, grid, atlas()) > 0
        covered = area_average(inside.astype(np.float32), many)[0]
        unclear = np.abs(covered - 0.5) < 0.15
        np.testing.assert_array_equal(p.masks[index][~unclear], (covered >= 0.5)[~unclear])
        assert unclear.sum() < 0.2 * p.masks[index].sum() + 5


def test_four_patients_in_five_have_a_tumor_and_one_in_ten_lacks_a_channel(cohort):
    for seed in range(5):
        sick, complete = np.array([simulate.even(seed, i) for i in range(60)]).T
        assert (sick < simulate.WITH_TUMOR).mean() == pytest.approx(0.8, abs=0.04)
        lacking = complete < simulate.NO_POST + simulate.NO_PRE
        assert lacking.mean() == pytest.approx(0.1, abs=0.04)
        assert abs(np.corrcoef(sick, complete)[0, 1]) < 0.15
    for p in cohort:
        for channel in (PRE, POST):
            repeated = (p.images[..., channel] == p.images[..., FLAIR]).all()
            assert repeated == (p.truth["missing"] == channel)
    assert 0 < sum(p.truth["missing"] >= 0 for p in cohort) < 5
    assert 0.6 < np.mean([p.truth["has_tumor"] for p in cohort]) < 0.95


def test_tissues_are_as_bright_as_in_each_sequence(heads):
    """Means over pixels of one tissue, each patient's in units of its white matter."""
    means = {}
    for name in ("white", "gray", "fluid", "fat", "bone", "tumor", "vessel"):
        level = 0.6 if name == "vessel" else 0.85
        values = []
        for one, images in heads:
            white = images[share(one, "white") > 0.95].mean(0)
            pixels = share(one, name) > level
            if pixels.sum() > 3:
                values.append(images[pixels].mean(0) / white)
        assert values, f"nowhere is a pixel of {name}"
        means[name] = np.mean(values, 0)
    for channel in (PRE, POST):
        assert means["fat"][channel] > 1.5
        assert 0.7 < means["gray"][channel] < 0.92
        assert 0.25 < means["fluid"][channel] < 0.5
        assert means["fluid"][channel] < means["tumor"][channel] < 0.95
    assert 1.08 < means["gray"][FLAIR] < 1.35
    assert means["fluid"][FLAIR] < 0.45
    assert means["tumor"][FLAIR] > means["gray"][FLAIR] + 0.1
    assert means["fat"][FLAIR] > 1.3
    assert (means["bone"] < 0.3).all()
    assert means["vessel"][POST] > means["vessel"][PRE] + 0.5


def test_tumors_are_brighter_in_flair_by_the_contrast_drawn(heads):
    ratios, drawn = [], []
    for one, images in heads:
        flair, most = images[..., FLAIR], share(one, "tumor") > 0.6
        ratios.append(flair[most].mean() / flair[share(one, "white") > 0.9].mean() - 1)
        drawn.append(one.tumor.contrast)
    np.testing.assert_allclose(ratios, drawn, atol=0.35)  # edges are soft, coils are uneven
    assert np.corrcoef(ratios, drawn)[0, 1] > 0.8


def test_the_brightest_of_a_t1_image_lies_outside_the_brain(heads):
    for one, images in heads:
        for channel in (PRE, POST):
            image = images[..., channel].astype(float)
            brain = share(one, "white", "gray", "fluid", "tumor") > 0.5
            head = share(one, "air") < 0.5
            assert np.quantile(image[head & ~brain], 0.9) > np.quantile(image[brain], 0.99)


def test_no_threshold_on_flair_finds_the_tumors(cohort):
    flair = [p.images[..., FLAIR].astype(float) for p in cohort]
    masks = [p.masks for p in cohort]
    assert best_threshold(flair, masks) < 0.5
    brains = [
        [ndimage.binary_erosion(ndimage.binary_fill_holes(s > 20), iterations=5) for s in stack]
        for stack in flair
    ]
    known = [s * b / np.median(s[b]) for s, b in zip(flair, map(np.array, brains), strict=True)]
    assert 0.15 < best_threshold(known, masks) < 0.65


def test_healthy_brains_have_bright_spots_too(heads):
    spots = [share(one, "spot") > 0.5 for one, _ in heads]
    assert sum(s.any() for s in spots) >= 2
    ratios = [
        images[s][:, FLAIR].mean() / images[share(one, "white") > 0.9][:, FLAIR].mean()
        for (one, images), s in zip(heads, spots, strict=True)
        if s.any()
    ]
    assert np.mean(ratios) > 1.2


def test_shares_sum_to_one_and_tumors_stay_in_the_brain(heads):
    for one, _ in heads:
        assert one.shares.min() > -1e-5
        np.testing.assert_allclose(one.shares.sum(0), 1, atol=1e-4)
        outside = share(one, "bone", "fat", "skin", "muscle", "eye", "air") > 0.5
        inside = area_average((one.level > 0).astype(np.float32), FACTOR) >= 0.5
        assert inside.any()
        assert not (outside & inside).any()
        healthy = tissues(one.person, one.grid, atlas())
        fluid = healthy[TISSUES.index("fluid")] > 0.9
        assert (fluid & (one.level > 0)).mean() < 0.2 * (one.level > 0).mean()


def test_the_face_is_up_and_the_right_side_on_the_left(heads):
    for one, _ in heads:
        points = one.person.points
        assert (np.diff(points[0], axis=2) < 0).all()  # right comes first, template x falls
        assert (np.diff(points[1], axis=1) < 0).all()  # the front comes first
        assert (np.diff(points[2], axis=0) > 0).all()
        assert abs(points[0].mean() - MIDLINE) < 12
    eyes = sum(share(one, "eye").sum((0, 2)) for one, _ in heads)
    assert eyes[: SIZE // 2].sum() > 10 * (eyes[SIZE // 2 :].sum() + 1e-3)


def test_neither_the_deformation_nor_the_push_of_a_tumor_folds():
    for index in range(12):
        rng = np.random.default_rng([2, index])
        one = person(rng)
        _, pushed = tumor(rng, one, np.array([-50.0, 25.0]), atlas())
        for points in (one.points, pushed.pushed):
            steps = np.stack([np.stack(np.gradient(p, *one.coarse.axes())) for p in points])
            size = np.linalg.det(np.moveaxis(steps, (0, 1), (-2, -1)))
            assert (np.sign(size) == np.sign(size.mean())).all()


@pytest.mark.parametrize(("patients", "seed", "height"), [(0, 0, 8), (1, -1, 8), (1, 0, 0)])
def test_impossible_cohorts_are_refused(patients, seed, height):
    with pytest.raises(ValueError, match="must be positive"):
        next(simulate.cohort(patients, seed, height=height, width=8))
