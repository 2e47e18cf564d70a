"""Arms: which films each batch holds, and that they are paired."""

import numpy as np
import pytest

from papers.rare_disease_controlnet.classifier.arms import (
    Trial,
    balanced,
    batch_rows,
    real_films,
    trials,
)
from papers.rare_disease_controlnet.config import ArmsConfig

RARE = 1  # the column of the rare finding
COUNT = 4000


def films(seed: int = 0) -> np.ndarray:
    """Return labels of 60 normal films, 30 with the first finding, 20 with the rare one."""
    labels = np.zeros((110, 2), np.uint8)
    labels[60:90, 0] = 1
    labels[90:, RARE] = 1
    return np.random.default_rng(seed).permutation(labels)


@pytest.mark.parametrize("seed", range(5))
def test_few_rare_films_are_part_of_more_and_all_others_stay(seed):
    labels = films(seed)
    before: set[int] = set()
    for count in (4, 8, 16):
        rows = real_films(labels, RARE, count, seed)
        rare = {int(row) for row in rows if labels[row, RARE]}
        assert len(rare) == count
        assert before < rare
        assert len(rows) == 90 + count
        before = rare
    assert len(real_films(labels, RARE, 500, seed)) == 110
    others = real_films(labels, RARE, 8, seed + 1)
    assert set(others) != set(real_films(labels, RARE, 8, seed))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_half_is_the_same_real_films_in_all_arms(seed):
    labels = films()
    labels = labels[real_films(labels, RARE, 8, seed)]
    made = np.zeros((30, 2), np.uint8)
    made[:, RARE] = 1
    whole = np.concatenate([labels, made])
    synthetic = np.arange(len(whole)) >= len(labels)
    first = {}
    for arm in ("real", "augmented", "unselected", "selected"):
        pool = whole if arm in ("unselected", "selected") else labels
        rows = batch_rows(Trial(arm, 8), pool, synthetic[: len(pool)], COUNT, seed)
        first[arm] = rows[0]
        assert not synthetic[rows[0]].any()
        assert bool(synthetic[rows[1]].any()) == (arm in ("unselected", "selected"))
    for rows in first.values():
        np.testing.assert_array_equal(rows, first["real"])
    half = batch_rows(Trial("pretrained", 8), labels, synthetic[: len(labels)], COUNT // 2, seed)
    np.testing.assert_array_equal(half[0], first["real"][: COUNT // 2])


def test_the_second_half_has_every_class_as_often():
    labels = films()
    synthetic = np.zeros(len(labels), bool)
    real = batch_rows(Trial("real", 20), labels, synthetic, COUNT, 0)[1]
    even = batch_rows(Trial("augmented", 20), labels, synthetic, COUNT, 0)[1]
    assert labels[real, RARE].mean() == pytest.approx(20 / 110, abs=0.03)
    assert labels[even, RARE].mean() == pytest.approx(1 / 3, abs=0.03)


def test_synthetic_films_alone_are_all_of_synthetic_arms():
    labels = films()
    synthetic = np.arange(len(labels)) % 2 == 0
    for trial in (Trial("synthetic_only", 8), Trial("pretrained", 8, half=True)):
        for rows in batch_rows(trial, labels, synthetic, COUNT, 0):
            assert synthetic[rows].all()
            assert labels[rows, RARE].mean() == pytest.approx(1 / 3, abs=0.03)


def test_a_class_that_a_pool_lacks_is_left_out():
    labels = films()
    pool = np.flatnonzero(labels[:, RARE] == 0)
    rows = balanced(labels, pool, COUNT, np.random.default_rng(0))
    assert set(rows) <= set(pool)
    assert labels[rows, 0].mean() == pytest.approx(0.5, abs=0.03)


def test_names_are_unique_and_pretraining_comes_before():
    found = [trial.name for trial in trials(ArmsConfig())]
    assert len(set(found)) == len(found)
    assert found.index("classifier_pretraining_24") < found.index("classifier_pretrained_24")
    assert "classifier_selected_24_dose_48" in found
    few = trials(ArmsConfig(elsewhere=("real",)))
    assert {trial.arm for trial in few if trial.rare == 12} == {"real"}
