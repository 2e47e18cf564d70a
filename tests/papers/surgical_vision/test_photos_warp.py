"""Faces operated by warps whose displacement is known, and what differs between two visits."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from papers.surgical_vision.photos import pairs
from papers.surgical_vision.photos.face import DETAIL, LIPS, OTHER, SKIN, regions
from papers.surgical_vision.photos.warp import DOMAINS, controls, flow, velocity, warped
from tests.papers.surgical_vision.face_template import drawn_face, landmarks

SIZE = 128
CENTERS = {"eyes": (0.36, 0.42), "nose": (0.5, 0.57), "chin": (0.5, 0.9)}


def amounts(**given):
    return {name: given.get(name, 0.0) for name in DOMAINS}


def moved(size=SIZE, **given):
    return flow(velocity(landmarks(size), amounts(**given), size), 1)


def jacobian(flow):
    (xx, xy), (yx, yy) = (np.gradient(flow[..., i].astype(float), axis=(1, 0)) for i in (0, 1))
    return (1 + xx) * (1 + yy) - xy * yx


def at(flow, point):
    x, y = np.asarray(point) - 0.5
    return np.array([map_coordinates(flow[..., i], [[y], [x]], order=1)[0] for i in (0, 1)])


@pytest.mark.parametrize("domain", DOMAINS)
def test_landmarks_move_as_the_domain_says(domain):
    pulled = controls(landmarks(SIZE).astype(float), amounts(**{domain: 1.0}))
    field = moved(**{domain: 1.0})
    far = np.linalg.norm(pulled.pulled, axis=1) > 0.5
    found = np.array([at(field, point) for point in pulled.points[far]])
    # the speed changes along the way
    share = (found * pulled.pulled[far]).sum(1) / (pulled.pulled[far] ** 2).sum(1)
    assert 0.9 < share.mean() < 1.12
    assert share.min() > 0.75


def test_directions_are_those_of_the_operations():
    points = landmarks(SIZE)
    eyes, nose, chin = (moved(**{name: 1.0}) for name in DOMAINS)
    # the upper lid up, by 1.5 times 0.45 of its height over the middle of the eye
    assert at(eyes, points[159])[1] == pytest.approx(-1.5 * 0.45 * 0.022 * SIZE, rel=0.15)
    assert at(eyes, points[145])[1] > 0.2  # the lower down
    assert at(eyes, points[33])[0] < -0.2 < 0.2 < at(eyes, points[263])[0]  # corners outwards
    assert at(nose, points[129])[0] > 0.5 > -0.5 > at(nose, points[358])[0]  # wings inwards
    assert at(nose, points[4])[1] < -0.5  # the tip up
    assert at(chin, points[136])[0] > 1.0 > -1.0 > at(chin, points[365])[0]  # the jaw inwards


@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_folds_and_only_the_operated_part_moves(domain):
    field = moved(**{domain: 1.4})
    assert jacobian(field).min() > 0.4
    assert jacobian(moved(**{domain: 2.8})).min() > 0.1
    far = np.linalg.norm(field, axis=-1)
    largest = np.array(np.unravel_index(far.argmax(), far.shape))[::-1] / SIZE
    mirrored = [1 - largest[0], largest[1]]
    reach = 0.4 if domain == "chin" else 0.12
    assert (
        min(np.linalg.norm(np.subtract(one, CENTERS[domain])) for one in (largest, mirrored))
        < reach
    )
    assert far[: SIZE // 8].max() < 0.05  # the hair stays
    others = [CENTERS[name] for name in DOMAINS if name != domain]
    assert all(np.linalg.norm(at(field, np.multiply(one, SIZE))) < 0.4 for one in others)


def test_displacement_is_in_proportion_to_the_image_size():
    small, large = moved(64, nose=1.0), moved(128, nose=1.0)
    means = large.reshape(64, 2, 64, 2, 2).mean((1, 3)) / 2
    np.testing.assert_allclose(small, means, atol=0.02)


def test_drifting_back_is_the_inverse_and_half_twice_is_the_whole():
    image = drawn_face(SIZE).image.astype(np.float32)
    motion = velocity(landmarks(SIZE), amounts(nose=1.4, chin=1.0), SIZE)
    whole = warped(image, motion)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(whole - image)[inner].max() > 5
    np.testing.assert_allclose(warped(whole, motion, -1.0)[inner], image[inner], atol=1.0)
    np.testing.assert_allclose(
        warped(warped(image, motion, 0.5), motion, 0.5)[inner], whole[inner], atol=1.0
    )


def test_flow_says_where_what_is_seen_before_lies_afterwards():
    """An image whose colors say where they were, operated, has them where the flow says."""
    place = np.arange(SIZE, dtype=np.float32)
    image = np.stack(np.meshgrid(place, place), -1)
    motion = velocity(landmarks(SIZE), amounts(eyes=1.0, chin=1.4), SIZE)
    after, field = warped(image, motion), flow(motion, 1)
    x, y = image[..., 0] + field[..., 0], image[..., 1] + field[..., 1]
    found = [map_coordinates(after[..., i], (y, x), order=1) for i in (0, 1)]
    inner = np.s_[4:-4, 4:-4]
    for i in (0, 1):
        np.testing.assert_allclose(found[i][inner], image[..., i][inner], atol=0.08)


def test_no_amount_moves_nothing():
    assert not moved().any()
    image = drawn_face(SIZE).image.astype(np.float32)
    same = warped(image, velocity(landmarks(SIZE), amounts(), SIZE))
    np.testing.assert_allclose(same, image, atol=1e-3)


def test_regions_lie_where_their_landmarks_are():
    found = regions(landmarks(SIZE), SIZE)
    labels = {name: found[int(y * SIZE), int(x * SIZE)] for name, (x, y) in {
        "background": (0.05, 0.05), "cheek": (0.3, 0.6), "lip": (0.5, 0.76), "eye": (0.36, 0.42),
        "brow": (0.64, 0.357), "mouth": (0.5, 0.73),
    }.items()}  # fmt: skip
    assert labels == {
        "background": 0, "cheek": SKIN, "lip": LIPS, "eye": OTHER, "brow": OTHER, "mouth": OTHER,
    }  # fmt: skip
    oval = np.pi * 0.325 * 0.42
    assert abs((found > 0).mean() / oval - 1) < 0.03


def test_pair_is_its_seed_and_index_and_says_what_was_done():
    face = drawn_face()
    one, again, other = (pairs.pair(face, *drawn) for drawn in ((0, 3), (0, 3), (1, 3)))
    np.testing.assert_array_equal(one.after, again.after)
    assert not np.array_equal(one.amounts, other.amounts)
    np.testing.assert_array_equal(one.before, face.image)
    named = tuple(name for name, amount in zip(DOMAINS, one.amounts, strict=True) if amount)
    assert one.domains == named
    assert one.after.shape == one.before.shape == (64, 64, 3)
    assert one.flow.shape == (64, 64, 2)
    assert one.regions.shape == (64, 64)


def test_amounts_are_of_one_or_two_domains_and_all_occur():
    face = drawn_face(16)
    drawn = np.stack([pairs.pair(face, 0, i).amounts for i in range(60)])
    counts = (drawn > 0).sum(1)
    assert set(counts) == {1, 2}
    assert ((drawn > 0).sum(0) > 15).all()
    used = drawn[drawn > 0]
    assert 0.6 <= used.min() < 0.7
    assert 1.3 < used.max() <= 1.4


def test_visits_change_light_and_color_but_not_what_moves():
    face = drawn_face()
    with_visit, without = (pairs.pair(face, 0, 1, visits=visits) for visits in (True, False))
    np.testing.assert_array_equal(with_visit.flow, without.flow)
    np.testing.assert_array_equal(with_visit.amounts, without.amounts)
    corner = np.s_[:6, :6]  # which no operation reaches
    np.testing.assert_array_equal(without.after[corner], without.before[corner])
    assert np.abs(with_visit.after[corner] - with_visit.before[corner].astype(float)).mean() > 1


def test_make_up_changes_the_lips_and_nothing_else(monkeypatch):
    face = drawn_face()
    made_up = pairs.pair(face, 0, 4)
    monkeypatch.setattr(pairs, "MAKE_UP", 0.0)
    change = np.abs(made_up.after - pairs.pair(face, 0, 4).after.astype(float)).max(-1)
    where = made_up.regions
    assert change[where == LIPS].mean() > 2
    rows = np.any(where == LIPS, axis=1)
    assert not change[~np.convolve(rows, np.ones(17), "same").astype(bool)].any()


def test_ladder_begins_with_the_face_itself_and_passes_the_operation():
    face = drawn_face()
    pair = pairs.pair(face, 0, 2, visits=False)
    rungs = pairs.ladder(face, pair.amounts, (0, 0.5, 1, 2))
    assert rungs.shape == (4, 64, 64, 3)
    assert rungs.dtype == np.uint8
    np.testing.assert_array_equal(rungs[0], pair.before)
    np.testing.assert_array_equal(rungs[2], pair.after)
    change = [np.abs(rung.astype(float) - pair.before).mean() for rung in rungs]
    assert 0 == change[0] < change[1] < change[2] < change[3]
    assert face.fine.shape[0] == DETAIL * 64
