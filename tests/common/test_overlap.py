"""Overlap scores equal MONAI's and scikit-learn's, keep their laws, and refuse unusable input."""

from functools import reduce
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.metrics.checks import check_labels
from common.metrics.overlap import Overlap, PatientOverlap, overlap, soft_dice, soft_iou

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "segmentation.npz"))
PREDICTED, TARGET = GOLDEN["predicted"], GOLDEN["target"]
CLASSES = 4
SCORES = ("dice", "iou", "precision", "recall")
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None, derandomize=True)


def labels(seed, n=3, classes=CLASSES):
    return np.random.default_rng(seed).integers(0, classes, (n, 5, 4))


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", SCORES)
def test_scores_match_the_references(name):
    found = getattr(overlap(PREDICTED, TARGET, CLASSES), name)()
    expected = GOLDEN[name].copy()
    empty = [3, 3]  # image and class that are in neither: 1 here, the documented value
    assert expected[*empty] == (1 if name in ("dice", "iou") else 0)
    expected[*empty] = 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.ptp(expected[:3]) > 0.05


def test_empty_masks_have_the_documented_values():
    none, some = np.zeros((1, 3, 3), bool), np.ones((1, 3, 3), bool)
    for name in SCORES:
        for p, t in ((none, some), (some, none)):
            assert getattr(overlap(p, t, 2), name)()[0, 1] == 0
        assert getattr(overlap(none, none, 2), name)()[0, 1] == 1
        assert np.isnan(getattr(overlap(none, none, 2), name)(empty=np.nan)[0, 1])


def test_overlap_in_jit_and_vmap_and_in_three_dimensions():
    counts = overlap(PREDICTED, TARGET, CLASSES)
    dice = jax.jit(lambda p, t: overlap(p, t, CLASSES).dice())
    np.testing.assert_allclose(dice(PREDICTED, TARGET), counts.dice(), rtol=1e-6)
    stacks = (PREDICTED.reshape(2, 3, 40, 52), TARGET.reshape(2, 3, 40, 52))
    mapped = jax.vmap(lambda p, t: overlap(p, t, CLASSES))(*stacks)
    assert equal((n.reshape(6, CLASSES) for n in mapped), counts)
    volumes = overlap(*stacks, CLASSES)  # [2 depth height width]
    assert equal(volumes, (np.asarray(n).sum(1) for n in mapped))


@few
@given(seeds)
def test_scores_are_one_for_equal_labels_bounded_and_symmetric(seed):
    p, t = labels(seed), labels(seed + 1)
    forth, back = overlap(p, t, CLASSES), overlap(t, p, CLASSES)
    for name in SCORES:
        assert np.all(getattr(overlap(p, p, CLASSES), name)() == 1)
        values = getattr(forth, name)()
        assert np.all((values >= 0) & (values <= 1))
    np.testing.assert_array_equal(forth.dice(), back.dice())
    np.testing.assert_array_equal(forth.iou(), back.iou())
    np.testing.assert_array_equal(forth.precision(), back.recall())
    np.testing.assert_allclose(forth.iou(), forth.dice() / (2 - forth.dice()), rtol=1e-5)


@few
@given(seeds, st.permutations(range(CLASSES)))
def test_renamed_classes_keep_their_scores(seed, names):
    p, t, names = labels(seed), labels(seed + 1), np.array(names)
    renamed = overlap(names[p], names[t], CLASSES)
    np.testing.assert_array_equal(renamed.dice()[:, names], overlap(p, t, CLASSES).dice())


@few
@given(seeds, st.lists(st.integers(0, 8), min_size=0, max_size=3))
def test_patient_counts_merge_in_any_cut_and_order(seed, cuts):
    random = np.random.default_rng(seed)
    p, t = labels(seed, 9), labels(seed + 1, 9)
    patients = random.choice(["b", "a", "c"], 9)
    order = random.permutation(9)
    whole = PatientOverlap.of(overlap(p, t, CLASSES), patients.tolist())
    pieces = [part for part in np.split(order, sorted(cuts)) if len(part)]
    parts = [PatientOverlap.of(overlap(p[i], t[i], CLASSES), patients[i].tolist()) for i in pieces]
    merged = reduce(PatientOverlap.merge, parts)
    assert merged.patients == whole.patients == tuple(sorted(set(patients.tolist())))
    assert equal(merged.counts, whole.counts)
    for row, name in enumerate(whole.patients):
        volume = patients == name
        by_hand = overlap(p[volume].reshape(1, -1), t[volume].reshape(1, -1), CLASSES)
        np.testing.assert_allclose(whole.counts.dice()[row], by_hand.dice()[0], rtol=1e-6)


def test_counts_add_up_beyond_32_bits():
    full = overlap(np.ones((1, 64, 64), bool), np.ones((1, 64, 64), bool), 2)
    many = reduce(Overlap.merge, [full] * 3)
    assert [n.tolist() for n in many.total()] == [[0, 3 * 64**2]] * 3
    large = Overlap(*(jnp.full((2, 1), 2**31 - 1, jnp.int32) for _ in range(3)))
    assert large.total().both.tolist() == [2**32 - 2]
    assert large.merge(large).both.tolist() == [[2**32 - 2]] * 2
    assert large.dice().tolist() == large.iou().tolist() == [[1], [1]]


@pytest.mark.parametrize(("metric", "name"), [(soft_dice, "soft_dice"), (soft_iou, "soft_iou")])
def test_soft_scores_match_monai(metric, name):
    p, mask = GOLDEN["probabilities"], GOLDEN["mask"]
    np.testing.assert_allclose(metric(p, mask), GOLDEN[name][0], rtol=1e-5)
    np.testing.assert_allclose(metric(p, mask, axis=(1, 2)), GOLDEN[name + "_images"], rtol=1e-5)
    by_image = jax.jit(jax.vmap(metric))(p, mask)
    np.testing.assert_allclose(by_image, GOLDEN[name + "_images"], rtol=1e-5)


@few
@given(seeds, st.floats(0.01, 10))
def test_soft_scores_laws(seed, smooth):
    random = np.random.default_rng(seed)
    p, mask = random.random((2, 6, 5), dtype=np.float32), random.random((2, 6, 5)) < 0.4
    none = np.zeros_like(p)
    for metric in (soft_dice, soft_iou):
        assert 0 < metric(p, mask, smooth=smooth) <= 1
        np.testing.assert_allclose(metric(none, none, smooth=smooth), 1)
        np.testing.assert_allclose(metric(mask.astype(np.float32), mask, smooth=smooth), 1)
        closer = np.asarray(jax.grad(lambda q, f=metric: f(q, mask, smooth=smooth))(p))
        assert np.all(closer[mask] > 0)
        assert np.all(closer[~mask] < 0)
    counted = overlap((p > 0.5), mask, 2).total()
    hard = (p > 0.5).astype(np.float32)
    np.testing.assert_allclose(soft_dice(hard, mask, smooth=1e-6), counted.dice()[1], rtol=1e-4)
    np.testing.assert_allclose(soft_iou(hard, mask, smooth=1e-6), counted.iou()[1], rtol=1e-4)


def test_labels_that_are_refused():
    p = labels(0)
    with pytest.raises(InputError, match="expected one shape"):
        overlap(p, p[:2], CLASSES)
    with pytest.raises(InputError, match="target: labels 0 to 4, expected 0 to 3"):
        overlap(p, np.full_like(p, 4) * (p > 0), CLASSES)
    with pytest.raises(InputError, match="predicted: labels -1 to"):
        overlap(p - 1, p, CLASSES)
    with pytest.raises(InputError, match="labels 0 to 255, expected 0 to 1; mask > 0"):
        overlap((255 * (p > 1)).astype(np.uint8), p > 1, 2)
    with pytest.raises(InputError, match="at least one value"):
        overlap(p[:0], p[:0], CLASSES)
    with pytest.raises(InputError, match="type float32, expected integer labels"):
        check_labels(np.zeros(3, np.float32), "labels", 2)


def test_counts_and_patients_that_are_refused():
    counts = overlap(labels(0), labels(1), CLASSES)
    with pytest.raises(InputError, match="2 patient names for 3 slices"):
        PatientOverlap.of(counts, ["a", "b"])
    with pytest.raises(InputError, match="expected one shape"):
        counts.merge(overlap(labels(0), labels(1), CLASSES + 1))
    volume = PatientOverlap.of(counts, ["a"] * 3)
    more = PatientOverlap.of(overlap(labels(0), labels(1), CLASSES + 1), ["a"] * 3)
    with pytest.raises(InputError, match="expected one shape"):
        volume.merge(more)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, t: (p * 9 - 4, t), "probabilities: values -.*sigmoid"),
        (lambda p, t: (p, t * 255), "target: values 0 to 255.*mask / 255"),
        (lambda p, t: (p * np.float32(np.nan), t), "probabilities: NaN"),
        (lambda p, t: (p, t[:1]), "expected one shape"),
        (lambda p, t: (p[:0], t[:0]), "at least one value"),
    ],
)
def test_probabilities_that_are_refused(spoil, message):
    p, t = GOLDEN["probabilities"], GOLDEN["mask"].astype(np.float32)
    for metric in (soft_dice, soft_iou):
        with pytest.raises(InputError, match=message):
            metric(*spoil(p, t))
    with pytest.raises(InputError, match="smooth 0: expected above 0"):
        soft_dice(p, t, smooth=0.0)
