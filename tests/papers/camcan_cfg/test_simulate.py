"""The simulated cohort: published trends, sound anatomy, and the same people every time."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from common.anatomy import template as mni
from common.anatomy.acquisition import area_average
from common.anatomy.grid import Grid, centered
from papers.camcan_cfg import simulate
from papers.camcan_cfg.simulation import aging, anatomy, shape

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cohort():
    return list(simulate.cohort(50, 0, height=48, width=64))


@pytest.fixture(scope="module")
def people():
    template = anatomy.atlas()
    return [aging.person(1, i, aging.generator(1, i), template) for i in range(3000)]


def fluid_seen(images):
    """Return the share of dark pixels inside the head, from the images alone."""
    bright = np.quantile(images[images > 0.3], 0.9)
    head = np.stack([ndimage.binary_fill_holes(image > 0.3 * bright) for image in images])
    return float((images[head] < 0.4 * bright).mean())


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def test_each_subject_is_forty_slices_between_0_and_1(cohort):
    assert [s.name for s in cohort[:2]] == ["sim-0001", "sim-0002"]
    for s in cohort:
        assert s.images.shape == (40, 48, 64)
        assert s.images.dtype == np.float32
        assert s.images.min() >= 0
        assert s.images.max() <= 1
        assert s.images.max() > 0.4
        assert all(np.isfinite(v) for v in s.truth.values())


def test_ages_are_even_and_sexes_balanced_and_neither_goes_with_the_order():
    for seed in range(5):
        ages, sexes = np.array([aging.age_and_sex(seed, i) for i in range(120)]).T
        assert ages.min() <= 20
        assert ages.max() >= 86
        assert set(ages % 1) == {0.0}
        decades = np.histogram(ages, bins=np.arange(18, 90, 10))[0]
        assert decades.min() >= 14
        assert abs((sexes == 2).sum() - 60) <= 4
        assert abs(correlation(ages, sexes)) < 0.1
        assert abs(correlation(ages, np.arange(120))) < 0.1
        assert abs(correlation(sexes, np.arange(120))) < 0.1


def test_intracranial_volume_differs_by_sex_as_published(people):
    women = np.mean([p.intracranial_ml for p in people if p.sex == 1])
    men = np.mean([p.intracranial_ml for p in people if p.sex == 2])
    assert women == pytest.approx(1393, rel=0.01)
    assert men == pytest.approx(1538, rel=0.01)


def test_ventricles_grow_by_a_fifth_a_decade(people):
    ages = np.array([p.age for p in people])
    slope = np.polyfit(ages, np.log([p.ventricle_ml / p.intracranial_ml for p in people]), 1)[0]
    assert np.exp(10 * slope) == pytest.approx(1.2, abs=0.015)
    twenties = [p.ventricle_ml for p in people if 20 <= p.age < 30]
    assert np.mean(twenties) == pytest.approx(16.2 * 0.9, rel=0.06)


def test_fluid_grows_by_two_percent_of_the_head_a_decade(people):
    fluid = [p.sulcal_fluid + p.ventricle_ml / p.intracranial_ml for p in people]
    slope = np.polyfit([p.age for p in people], fluid, 1)[0]
    assert 10 * slope == pytest.approx(0.02, abs=0.0015)


def test_the_slices_show_the_anatomy_that_was_drawn(cohort):
    drawn = np.array([s.truth["ventricle_ml"] for s in cohort])
    seen = np.array([s.truth["seen_ventricle_ml"] for s in cohort])
    assert correlation(drawn, seen) > 0.97
    assert np.median(seen / drawn) == pytest.approx(1, abs=0.1)
    ages = np.array([s.age for s in cohort])
    slope = np.polyfit(ages, np.log(seen), 1)[0]
    assert np.exp(10 * slope) == pytest.approx(1.2, abs=0.08)
    assert correlation(ages, [s.truth["seen_sulcal_fluid"] for s in cohort]) > 0.7
    assert correlation(ages, [s.truth["seen_gray_matter"] for s in cohort]) < -0.6


def test_age_and_head_size_can_be_read_from_the_images(cohort):
    ages = [s.age for s in cohort]
    assert correlation(ages, [fluid_seen(s.images) for s in cohort]) > 0.6
    sizes = [(s.images > 0.2).mean() for s in cohort]
    assert correlation(sizes, [s.truth["intracranial_ml"] for s in cohort]) > 0.6


def test_no_two_subjects_look_alike(cohort):
    flat = np.stack([s.images[10:30].ravel() for s in cohort])
    squares = (flat**2).sum(1)
    distances = squares[:, None] + squares - 2 * flat @ flat.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.sqrt(distances.min() / flat.shape[1])
    assert nearest > 3 * max(s.truth["noise"] for s in cohort)
    mirrored = [np.sqrt(np.mean((s.images - s.images[:, ::-1]) ** 2)) for s in cohort]
    assert min(mirrored) > 3 * max(s.truth["noise"] for s in cohort)


def test_slices_run_upwards_rows_to_the_right_and_columns_to_the_front(cohort):
    mean = np.mean([s.images for s in cohort], 0)
    areas = (mean > 0.3).sum((1, 2))
    assert areas[39] < 0.95 * areas[15]  # the head closes towards its top
    size = (1460 / anatomy.atlas().intracranial_ml) ** (1 / 3)  # of a head, in the template's
    rows, columns = centered(48, 160 / 48), centered(64, 160 / 48)
    volume = mni.read("t1")
    agreement = np.zeros((3, 3))
    for i, index in enumerate((5, 20, 35)):
        z, x, y = np.meshgrid(index - 20, rows, columns, indexing="ij")
        points = np.stack([x, y, z]) / size + np.reshape(mni.CENTER, (3, 1, 1, 1))
        image = ndimage.map_coordinates(volume, points, order=1)[0]
        agreement[i] = [correlation(image, mean[k]) for k in (5, 20, 35)]
        assert agreement[i, i] > correlation(image[:, ::-1], mean[index]) + 0.01
    assert np.diag(agreement).min() > 0.95
    assert list(agreement.argmax(1)) == [0, 1, 2]


def test_left_and_right_are_those_of_the_template(monkeypatch):
    """The template is symmetric: one marked side shows where it goes."""
    template = anatomy.atlas()
    marked = template.t1.copy()
    marked[int(mni.MIDLINE) :] = 0  # nothing of the right half is left
    monkeypatch.setattr(
        simulate, "atlas", lambda: anatomy.Atlas(**(vars(template) | {"t1": marked}))
    )
    images = simulate.subject(0, 0, height=48, width=64).images
    assert images[20, :20].mean() > 5 * images[20, -20:].mean()


def test_the_deformation_does_not_fold():
    template = anatomy.atlas()
    grid = Grid(
        slices=np.arange(40, dtype=np.float32) - 20,
        rows=centered(96, 1.67),
        columns=centered(128, 1.67),
    ).coarse()
    for index in range(60):
        rng = aging.generator(0, index)
        person = aging.person(0, index, rng, template)
        points, length = shape.template_points(grid, person, rng, template)
        steps = [np.stack(np.gradient(p, *grid.axes()))[[1, 2, 0]] for p in points]
        assert np.linalg.det(np.moveaxis(np.stack(steps), (0, 1), (-2, -1))).min() > 0
        assert 1 < length < 10
        inside = template.sample(template.t1, points) > 40
        assert points[2][inside].min() > anatomy.FLOOR + 1
        assert points[2][inside].max() < anatomy.CEILING - 2
        assert not inside[:, [0, -1]].any()
        assert not inside[:, :, [0, -1]].any()


def test_a_subject_does_not_depend_on_how_many_there_are(cohort):
    two = list(simulate.cohort(2, 0, height=48, width=64))
    np.testing.assert_array_equal(two[1].images, cohort[1].images)
    assert two[1].truth == cohort[1].truth
    other = simulate.subject(1, 1, height=48, width=64)
    assert np.abs(other.images - two[1].images).mean() > 0.02


def test_the_cohort_is_the_one_the_committed_results_were_made_with():
    """Values of the simulator as it was when the study's results were made."""
    one = simulate.subject(7, 0, height=48, width=64)
    assert one.images.mean(dtype=np.float64) == pytest.approx(0.2284153, abs=1e-6)
    assert one.images.std(dtype=np.float64) == pytest.approx(0.2830186, abs=1e-6)


def test_two_processes_make_the_same_subject(cohort):
    program = (
        "import hashlib; from papers.camcan_cfg import simulate; "
        "s = simulate.subject(7, 0, height=48, width=64); "
        "print(hashlib.sha256(s.images.tobytes()).hexdigest(), s.age, sorted(s.truth.items()))"
    )
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    out = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    s = cohort[7]
    digest = hashlib.sha256(s.images.tobytes()).hexdigest()
    assert out.strip() == f"{digest} {s.age} {sorted(s.truth.items())}"


def test_the_size_of_the_images_changes_nothing_in_the_head(cohort):
    fine = simulate.subject(3, 0, height=96, width=128)
    smaller = area_average(fine.images, 2)
    assert np.sqrt(np.mean((smaller - cohort[3].images) ** 2)) < 0.03
    square = simulate.subject(3, 0, height=64, width=64)  # as wide, with more air above and below
    assert np.sqrt(np.mean((square.images[:, 8:56] - cohort[3].images) ** 2)) < 0.03
    for key in ("intracranial_ml", "ventricle_ml", "gray_to_white"):
        assert fine.truth[key] == cohort[3].truth[key] == square.truth[key]
    assert fine.truth["seen_ventricle_ml"] == pytest.approx(
        cohort[3].truth["seen_ventricle_ml"], rel=0.03
    )


def test_few_slices_are_the_middle_ones():
    one = simulate.subject(0, 0, height=12, width=16, slices=1)
    four = simulate.subject(0, 0, height=12, width=16, slices=4)
    assert one.images.shape == (1, 12, 16)
    assert np.abs(one.images[0] - four.images[2]).max() < 0.1


@pytest.mark.parametrize(("subjects", "seed", "height"), [(0, 0, 8), (1, -1, 8), (1, 0, 0)])
def test_impossible_cohorts_are_refused(subjects, seed, height):
    with pytest.raises(ValueError, match="must be positive"):
        next(simulate.cohort(subjects, seed, height=height, width=8))
