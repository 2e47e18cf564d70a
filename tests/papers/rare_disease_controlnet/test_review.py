"""The reviewer's rule, and the scores of classifiers."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from papers.rare_disease_controlnet import scores
from papers.rare_disease_controlnet.config import ReviewConfig
from papers.rare_disease_controlnet.review import copy_distance, review

CONFIG = ReviewConfig(visible=0.5, edges=0.5, copy=0.05)


def films(count: int, seed: int) -> np.ndarray:
    """Return noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16)).astype(np.uint8)


def test_a_film_must_keep_the_whole_rule():
    training, drawn = films(20, 0), films(4, 1)
    drawn[3] = training[5]  # a copy
    expected = np.zeros((4, 16, 16), np.uint8)
    expected[:, 4] = 255
    found = expected.copy()
    found[2] = 0  # the structure is lost
    copies = copy_distance(CONFIG, films(30, 2), training)
    probability = np.array([0.9, 0.4, 0.9, 0.9])
    result = review(CONFIG, drawn, probability, (found, expected), training, copies)
    assert result.accepted.tolist() == [True, False, False, False]
    assert [result.reasons(index, CONFIG) for index in range(4)] == [
        [],
        ["finding not visible"],
        ["structure not kept"],
        ["too near to a training film"],
    ]
    assert result.distance[3] == 0
    assert 0 < result.copies < result.distance[0]
    lost = np.array([np.nan, 0.9, 0.9, 0.9])
    assert not review(CONFIG, drawn, lost, (found, expected), training, copies).accepted[0]


def test_the_distance_of_copies_is_a_quantile_among_real_films():
    training, others = films(20, 0), films(40, 2)
    by_hand = np.sqrt(((others[:, None] / 255 - training[None] / 255) ** 2).mean((2, 3)).min(1))
    assert copy_distance(CONFIG, others, training) == pytest.approx(np.quantile(by_hand, 0.05))


LABELS = np.array([[0, 0], [1, 0], [0, 1], [0, 1], [0, 0], [1, 0]], np.uint8)


def test_scores_of_single_findings_are_those_of_the_likeliest_class():
    probability = np.array(
        [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.6, 0.1, 0.3], [0.3, 0.4, 0.3],
         [0.1, 0.8, 0.1]]
    )  # fmt: skip
    found = scores.single(probability, LABELS, ("effusion", "pneumothorax"), 1)
    target, predicted = [0, 1, 2, 2, 0, 1], probability.argmax(1)
    each = f1_score(target, predicted, average=None)
    assert found["f1"] == pytest.approx(
        dict(zip(("normal", "effusion", "pneumothorax"), each, strict=True))
    )
    assert found["rare_f1"] == pytest.approx(each[2])
    assert found["macro_f1"] == pytest.approx(each.mean())
    assert found["confusion"] == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert (found["n"], found["n_rare"]) == (6, 2)


def test_scores_of_several_findings_are_by_thresholds_of_the_best_f1():
    random = np.random.default_rng(0)
    labels = (random.random((60, 2)) < 0.3).astype(np.uint8)
    probability = np.concatenate(
        [np.zeros((60, 1)), 0.3 * labels + 0.5 * random.random((60, 2))], 1
    )
    thresholds = scores.best_thresholds(probability, labels)
    found = scores.several(probability, labels, ("a", "b"), 1, thresholds)
    for column, name in enumerate("ab"):
        tried = [
            f1_score(labels[:, column], probability[:, 1 + column] > threshold)
            for threshold in np.linspace(0, 1, 400)
        ]
        assert found["f1"][name] == pytest.approx(max(tried), abs=1e-6)
    assert found["rare_f1"] == found["f1"]["b"]
    none = scores.best_thresholds(probability, np.zeros_like(labels))
    assert none.tolist() == [0.5, 0.5]
