"""Statistics of readers one by one and of their agreement, against values that others computed."""

import pytest

pytest.importorskip("statsmodels", reason="the desk: install the extra desk")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from papers.rare_disease_controlnet.desk.reports.agreement import cohen, fleiss, prevalence, raw
from papers.rare_disease_controlnet.desk.reports.estimate import share
from papers.rare_disease_controlnet.desk.reports.parameters import correlation
from papers.rare_disease_controlnet.desk.reports.rates import detection
from papers.rare_disease_controlnet.desk.reports.roc import area, curve

FIVE = (1.0, 2.0, 3.0, 4.0, 5.0)
# Fleiss (1971): six psychiatrists' diagnoses of 30 patients
DIAGNOSES = (
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 "
    "144444 124444 222333 144444 224445 333335 111455 111112 224444 133555 "
    "555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"
)
SOME = settings(max_examples=40, deadline=None)
answers = st.lists(
    st.lists(st.sampled_from(FIVE), min_size=3, max_size=3), min_size=4, max_size=25
).map(lambda rows: np.array(rows).T)


def pairs_of(table: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return answers of two readers that give this table."""
    pairs = [
        (float(row), float(column))
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]
    first, second = np.array(pairs).T
    return first, second


def test_cohens_kappa_is_that_of_his_example():
    first, second = pairs_of([[88, 14, 18], [10, 40, 10], [2, 6, 12]])  # Cohen (1960)
    found = cohen(first, second, (0.0, 1.0, 2.0))
    assert found.value == pytest.approx(0.29 / 0.59)
    assert found.n == 200


def test_cohens_interval_is_that_of_the_textbook():
    first, second = pairs_of([[75, 1, 4], [5, 4, 1], [0, 0, 10]])  # Fleiss (1981)
    found = cohen(first, second, (0.0, 1.0, 2.0))
    assert found.value == pytest.approx(0.676, abs=5e-4)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.088, abs=1e-3)


@SOME
@given(answers)
def test_weighted_kappa_is_scikit_learns(matrix):
    first, second, _ = matrix
    found = cohen(first, second, FIVE, weighted=True)
    if found.value is None:
        assert len(set(first) | set(second)) == 1
    else:
        other = cohen_kappa_score(first, second, labels=FIVE, weights="quadratic")
        assert found.value == pytest.approx(other)


def test_weighted_kappa_of_hand_made_answers():
    # squared distances 0 0 0 1; by chance, of all 16 pairs, 2.5/4 of a squared step each
    first, second = np.array([1.0, 1.0, 3.0, 3.0]), np.array([1.0, 1.0, 3.0, 2.0])
    chance = np.mean((first[:, None] - second[None, :]) ** 2)
    assert chance == pytest.approx((0 + 0 + 4 + 1 + 4 + 4 + 0 + 1) / 8)
    assert cohen(first, second, FIVE, weighted=True).value == pytest.approx(1 - 0.25 / chance)


def test_fleiss_kappa_is_that_of_his_example():
    matrix = np.array([[float(one) for one in patient] for patient in DIAGNOSES.split()]).T
    found = fleiss(matrix, FIVE)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.n == 30
    assert 0.25 < found.low < found.value < found.high < 0.60


def test_fleiss_leaves_out_films_that_not_all_have_read():
    matrix = np.array([[float(one) for one in patient] for patient in DIAGNOSES.split()]).T
    more = np.concatenate([matrix, [[np.nan]] * 1 + [[5.0]] * 5], axis=1)
    assert fleiss(more, FIVE) == fleiss(matrix, FIVE)


@SOME
@given(answers, st.permutations(FIVE), st.permutations(range(3)))
def test_names_of_answers_and_the_order_of_readers_change_nothing(matrix, names, order):
    renamed = np.vectorize(dict(zip(FIVE, names, strict=True)).get)(matrix)
    for found, other in (
        (fleiss(matrix, FIVE), fleiss(renamed[list(order)], FIVE)),
        (cohen(matrix[0], matrix[1], FIVE), cohen(renamed[1], renamed[0], FIVE)),
    ):
        assert (found.value is None) == (other.value is None)
        if found.value is not None:
            assert found.value == pytest.approx(other.value)
            assert found.low == pytest.approx(other.low)
    assert raw(matrix) == raw(renamed[list(order)])


@SOME
@given(answers)
def test_full_agreement_is_one_and_less_certain_the_fewer_films(matrix):
    same = np.stack([matrix[0]] * 3)
    for found in (fleiss(same, FIVE), cohen(same[0], same[1], FIVE)):
        if len(set(same[0])) == 1:
            assert found.value is None
        else:
            assert found.value == pytest.approx(1)
            assert found.low < 1
    assert raw(same) == 1


def test_what_is_not_there_is_not_counted():
    first = np.array([1.0, 0.0, 1.0, np.nan])
    second = np.array([1.0, 1.0, np.nan, 0.0])
    assert raw(np.stack([first, second])) == 0.5
    assert prevalence(np.stack([first, second]), 1.0) == pytest.approx(4 / 6)
    assert cohen(first, second, (0.0, 1.0)).n == 2
    assert raw(np.full((2, 2), np.nan)) is None


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_shares_have_the_intervals_that_newcombe_published(successes, n, low, high):
    found = share(successes, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_an_answer_in_the_middle_is_half_right():
    origins = np.array([1.0, 3.0, 4.0, 5.0, 3.0, 2.0])
    told = detection(origins, np.array([True, True, True, False, False, False]))
    assert told.specificity.value == pytest.approx(1.5 / 3)
    assert told.sensitivity.value == pytest.approx(1.5 / 3)
    assert told.accuracy.value == pytest.approx(0.5)
    assert told.undecided == 2


def test_delong_by_hand():
    found = area(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    # pairs 1, 1, 1/2, 1: means 1 and 3/4 on both sides, so variance 2 × (1/32) / 2
    assert found.value == pytest.approx(0.875)
    assert found.low == pytest.approx(0.875 - 1.959964 * (1 / 32) ** 0.5)
    assert found.high == 1


@SOME
@given(st.lists(st.sampled_from(FIVE), min_size=4, max_size=30))
def test_the_area_is_scikit_learns_and_that_below_the_curve(values):
    low, high = np.array(values[::2]), np.array(values[1::2])
    found = area(low, high)
    truth = np.repeat([0, 1], [len(low), len(high)])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([low, high])))
    across, up = zip(*curve(low, high), strict=True)
    assert found.value == pytest.approx(np.trapezoid(up, across))
    assert found.low <= found.value + 1e-12
    assert area(high, low).value == pytest.approx(1 - found.value)


def test_films_in_perfect_order_do_not_make_it_certain():
    found = area(np.full(10, 1.0), np.full(10, 5.0))
    assert found.value == 1
    assert found.low == pytest.approx(share(10, 10).low)
    assert area(np.array([]), np.array([1.0])).value is None


def test_correlation_by_hand():
    # ranks differ by 1, 1, 1, 1, 0: 1 - 6 × 4 / (5 × 24)
    found = correlation(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([2.0, 1.0, 4.0, 3.0, 5.0]))
    assert found.value == pytest.approx(0.8)
    reach = 1.959964 * ((1 + 0.32) / 2) ** 0.5
    assert found.low == pytest.approx(np.tanh(np.arctanh(0.8) - reach))
    assert correlation(np.full(9, 7.5), np.arange(9.0)).value is None
