"""Averages over readers: the variance by its definition, coverage by simulation; sample sizes."""

import pytest

pytest.importorskip("statsmodels", reason="the desk: install the extra desk")

import itertools

import numpy as np
from scipy.stats import binom

from papers.rare_disease_controlnet.desk.reports import multireader
from papers.rare_disease_controlnet.desk.reports.equivalence import p_value, shown
from papers.rare_disease_controlnet.desk.reports.estimate import Estimate, share
from papers.rare_disease_controlnet.desk.reports.multireader import (
    accuracy,
    area,
    average,
    difference,
    told,
)
from papers.rare_disease_controlnet.desk.reports.power import (
    half_width,
    to_see,
    to_show_equivalence,
)
from papers.rare_disease_controlnet.desk.reports.rates import credit
from papers.rare_disease_controlnet.desk.reports.roc import order

READERS, FILMS = 5, 50  # of each kind
STUDIES = 400
BAND = (0.92, 0.985)  # of 400 studies with a nominal 95%, and the t quantile's slight excess


def ratings(rng: np.random.Generator, readers: int, looks: np.ndarray, shift: float) -> np.ndarray:
    """Return answers from 1 to 5, of readers of unequal skill to films of unequal looks."""
    skill = rng.normal(shift, 0.3 / 2, (readers, 1)) * np.sign(shift)
    seen = looks + np.sign(shift) * np.abs(skill) + rng.normal(0, 0.7, (readers, len(looks)))
    return 1.0 + np.digitize(seen, [-1, -0.3, 0.3, 1])


def study(rng: np.random.Generator, readers: int = READERS) -> tuple[np.ndarray, np.ndarray]:
    """Return answers to real and to synthetic films, of one study out of many."""
    looks = rng.normal(0, 0.7, (2, FILMS))
    return ratings(rng, readers, looks[0], -0.3), ratings(rng, readers, looks[1], 0.3)


def with_gaps(rng: np.random.Generator, answers: np.ndarray) -> np.ndarray:
    """Return the answers of readers of whom the first stopped early."""
    answers = answers.copy()
    answers[0, rng.permutation(answers.shape[1])[:20]] = np.nan
    return answers


def covered(estimates: list[Estimate], truth: float) -> float:
    return float(np.mean([one.low < truth < one.high for one in estimates]))


def by_definition(values: np.ndarray) -> float:
    """Return A² less the mean product of entries with nothing in common, entry by entry."""
    places = list(itertools.product(*map(range, values.shape)))
    products = [
        values[one] * values[other]
        for one, other in itertools.product(places, places)
        if all(a != b for a, b in zip(one, other, strict=True))
    ]
    return float(values.mean() ** 2 - np.mean(products))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2), (3, 2, 4)])
def test_the_variance_is_that_of_the_definition(shape):
    values = np.random.default_rng(len(shape)).choice([0.0, 0.5, 1.0], shape)
    assert multireader._variance(values) == pytest.approx(by_definition(values))


def test_the_average_of_hand_made_readings():
    # reader 1 tells all four pairs, reader 2 three of four: 7/8
    real, synthetic = np.array([[1.0, 2.0], [1.0, 4.0]]), np.array([[4.0, 5.0], [3.0, 5.0]])
    found = area(real, synthetic)
    assert found.value == pytest.approx(7 / 8)
    # entries that share nothing: both of reader 1 are 1, of reader 2 1, 1, 0, 1
    assert multireader._variance(order(real, synthetic)) == pytest.approx((7 / 8) ** 2 - 3 / 4)
    # right with all films but one of 8, which was undecided, and one that was wrong
    assert accuracy(synthetic, real).value == pytest.approx(6.5 / 8)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth = float(np.mean([area(*study(rng)).value for _ in range(1500)]))
    true_accuracy = float(np.mean([told(*study(rng)[::-1]).mean() for _ in range(1500)]))
    whole, gaps, right = [], [], []
    for _ in range(STUDIES):
        real, synthetic = study(rng)
        whole.append(area(real, synthetic))
        right.append(accuracy(synthetic, real))
        gaps.append(area(with_gaps(rng, real), with_gaps(rng, synthetic)))
    assert BAND[0] <= covered(whole, truth) <= BAND[1]
    assert BAND[0] <= covered(right, true_accuracy) <= BAND[1]
    assert BAND[0] <= covered(gaps, truth) <= BAND[1]


def test_a_difference_between_groups_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(STUDIES):
        looks = rng.normal(0, 0.7, (2, FILMS))
        groups = [
            order(ratings(rng, n, looks[0], -0.3), ratings(rng, n, looks[1], 0.3)) for n in (3, 5)
        ]
        found.append(difference(*groups, 2 * FILMS))
    known = [one for one in found if one.low is not None]
    assert len(known) > 0.9 * STUDIES
    assert BAND[0] <= covered(known, 0.0) <= 0.995


def test_shares_over_readers_and_films_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    truth = float(np.mean([(study(rng)[1] > 3).mean() for _ in range(2000)]))
    found = [average((study(rng)[1] > 3).astype(float), FILMS) for _ in range(STUDIES)]
    assert BAND[0] <= covered(found, truth) <= BAND[1]


def test_the_order_of_readers_and_films_changes_nothing():
    rng = np.random.default_rng(4)
    real, synthetic = study(rng)
    found = area(real, synthetic)
    mixed, films = rng.permutation(READERS), rng.permutation(FILMS)
    other = area(real[mixed][:, films], synthetic[mixed])
    assert (other.value, other.low, other.high) == pytest.approx(
        (found.value, found.low, found.high)
    )
    swapped = area(synthetic, real)
    assert (swapped.value, swapped.low) == pytest.approx((1 - found.value, 1 - found.high))


def test_a_film_that_nobody_read_changes_nothing():
    real, synthetic = study(np.random.default_rng(5))
    more = np.concatenate([real, np.full((READERS, 3), np.nan)], axis=1)
    found, other = area(real, synthetic), area(more, synthetic)
    assert (other.value, other.low) == pytest.approx((found.value, found.low))


def test_one_reader_has_no_interval_for_others():
    real, synthetic = study(np.random.default_rng(6), readers=1)
    assert area(real, synthetic).low is None
    assert average(np.full((3, 4), np.nan), 4).value is None


def test_that_all_are_right_does_not_make_it_certain():
    found = area(np.full((4, 10), 1.0), np.full((4, 10), 5.0))
    assert found.value == 1
    assert found.low == pytest.approx(share(20, 20).low)


def test_guessing_is_one_half_however_many_films_are_real():
    always = np.full((3, 30), 5.0)
    assert accuracy(always, np.full((3, 10), 5.0)).value == 0.5
    assert credit(np.array([1.0, 3.0, 5.0]), True).tolist() == [1.0, 0.5, 0.0]


def test_sample_sizes_are_those_that_studies_are_planned_by():
    assert [to_see(accuracy) for accuracy in (0.6, 0.65, 0.7)] == [210, 90, 55]
    assert [to_show_equivalence(margin) for margin in (0.15, 0.1, 0.05)] == [100, 230, 880]
    assert [round(half_width(n) * 100) for n in (50, 100, 150, 300)] == [13, 10, 8, 6]


def test_equivalence_is_two_exact_tests():
    assert p_value(50, 100) == pytest.approx(binom.sf(49, 100, 0.35))
    assert p_value(55, 100) == pytest.approx(binom.cdf(55, 100, 0.65))
    assert p_value(50, 100) < 0.05 < p_value(60, 100)
    assert p_value(52.5, 100) == pytest.approx(p_value(53, 100))  # the worse neighbor
    assert p_value(10, 20) > 0.05  # as near to guessing as can be, and too few films


def test_an_interval_that_only_holds_one_half_shows_nothing():
    assert not shown(Estimate(0.5, 0.30, 0.70, 20))
    assert not shown(Estimate(0.5, None, None, 20))
    assert shown(Estimate(0.55, 0.51, 0.59, 200))
