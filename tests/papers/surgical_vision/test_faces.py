"""Rendered patients: the same bits again, exact ground truth, the same person twice, adults."""

import numpy as np
import pytest
from scipy import ndimage

from papers.surgical_vision.faces import identity, operation, patient
from papers.surgical_vision.faces.mesh import head
from papers.surgical_vision.faces.scene import BACKGROUND, HAIR, LIPS, OTHER, SKIN

SIZE, SEED, COUNT = 64, 5, 12
INNER = [  # landmarks that no hair hides and that lie inside the outline of the face
    *(f"{name}_{side}" for side in ("left", "right") for name in ("lid_upper", "lid_lower")),
    *("nose_tip", "nose_root", "lip_upper", "lip_lower", "mouth_corner_left"),
]


@pytest.fixture(scope="module")
def pairs():
    return [patient.patient(index, SEED, SIZE) for index in range(COUNT)]


@pytest.fixture(scope="module")
def plain():
    """The same patients, photographed twice in the same way."""
    return [patient.patient(index, SEED, SIZE, visits=False) for index in range(COUNT)]


def place(pair, name, when=0):
    return pair.landmarks[patient.LANDMARKS.index(name), when]


def test_a_pair_comes_with_all_that_is_known(pairs):
    for pair in pairs:
        assert pair.before.shape == pair.after.shape == (SIZE, SIZE, 3)
        assert pair.flow.shape == (SIZE, SIZE, 2)
        assert pair.regions.shape == (SIZE, SIZE)
        assert pair.landmarks.shape == (len(patient.LANDMARKS), 2, 2)
        assert 1 <= len(pair.domains) <= 2
        operated = pair.amounts > 0
        assert pair.domains == tuple(np.array(operation.DOMAINS)[operated])
        assert ((pair.amounts[operated] >= 0.6) & (pair.amounts[operated] <= 1.4)).all()
        assert all(isinstance(value, float) for value in pair.truth.values())
    assert {domain for pair in pairs for domain in pair.domains} == set(operation.DOMAINS)
    assert {len(pair.domains) for pair in pairs} == {1, 2}


def test_a_pair_depends_on_seed_and_index_alone(pairs):
    again = patient.patient(3, SEED, SIZE)
    for field in ("before", "after", "flow", "regions", "landmarks", "amounts"):
        np.testing.assert_array_equal(getattr(again, field), getattr(pairs[3], field))
    assert again.truth == pairs[3].truth
    other = patient.patient(3, SEED + 1, SIZE)
    assert (other.before != again.before).mean() > 0.5
    for left in range(COUNT):
        for right in range(left):
            assert (pairs[left].before != pairs[right].before).mean() > 0.5


def test_the_ladder_starts_at_before_and_ends_at_after(pairs, plain):
    rungs = patient.ladder(2, SEED, SIZE, [0, 0.5, 1])
    np.testing.assert_array_equal(rungs[0], pairs[2].before)
    np.testing.assert_array_equal(rungs[2], plain[2].after)  # in the light of the first visit
    steps = np.abs(rungs.astype(int) - rungs[0].astype(int)).mean((1, 2, 3))
    assert 0 < steps[1] < steps[2]


def test_visits_change_the_look_and_never_the_pose(pairs, plain):
    for pair, same in zip(pairs, plain, strict=True):
        np.testing.assert_array_equal(pair.before, same.before)
        np.testing.assert_array_equal(pair.landmarks, same.landmarks)
        np.testing.assert_array_equal(pair.flow, same.flow)
        still = np.abs(same.flow).max(-1) == 0
        wall = (same.regions == BACKGROUND) & ndimage.binary_erosion(still, iterations=2)
        change = np.abs(same.after.astype(int) - same.before.astype(int))[wall]
        assert np.median(change) == 0
        assert (pair.after != same.after).mean() > 0.5


def test_without_an_operation_and_a_second_visit_nothing_changes(monkeypatch):
    monkeypatch.setattr(operation, "draw", lambda rng: dict.fromkeys(operation.DOMAINS, 0.0))
    pair = patient.patient(0, SEED, SIZE, visits=False)
    np.testing.assert_array_equal(pair.after, pair.before)
    assert not pair.flow.any()
    assert pair.domains == ()
    np.testing.assert_array_equal(pair.landmarks[:, 0], pair.landmarks[:, 1])


def test_the_flow_is_the_landmarks_displacement(plain):
    errors, moves = [], []
    for pair in plain:
        for name in INNER:
            x, y = place(pair, name)
            moved = place(pair, name, 1) - place(pair, name)
            read = [
                ndimage.map_coordinates(pair.flow[..., c], [[y - 0.5], [x - 0.5]], order=1)[0]
                for c in range(2)
            ]
            errors.append(np.linalg.norm(read - moved))
            moves.append(np.linalg.norm(moved))
    assert max(moves) > 0.8
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.9) < 0.25  # at the edge of a lid skin and eyeball meet


def test_the_flow_brings_after_back_to_before(plain):
    ratios = []
    down, right = np.mgrid[:SIZE, :SIZE]
    for pair in plain:
        places = [down + pair.flow[..., 1], right + pair.flow[..., 0]]
        back = np.stack(
            [
                ndimage.map_coordinates(pair.after[..., c].astype(float), places, order=1)
                for c in range(3)
            ],
            -1,
        )
        speed = np.linalg.norm(pair.flow, axis=-1)
        moving = speed > 0.25 * speed.max()
        before = pair.before.astype(float)
        ratios.append(
            np.abs(back - before)[moving].mean() / np.abs(pair.after - before)[moving].mean()
        )
    assert np.mean(ratios) < 0.85
    assert max(ratios) < 1.1


@pytest.mark.parametrize("domain", operation.DOMAINS)
def test_an_operation_moves_its_own_region(domain, monkeypatch):
    amounts = {name: float(name == domain) for name in operation.DOMAINS}
    monkeypatch.setattr(operation, "draw", lambda rng: amounts)
    pair = patient.patient(1, SEED, SIZE)
    speed = np.linalg.norm(pair.flow, axis=-1)
    near = {
        "eyes": ("lid_upper_left", "lid_upper_right", "lid_lower_left", "lid_lower_right"),
        "nose": ("nose_tip", "nose_root", "nose_base"),
        "chin": ("chin", "jaw_left", "jaw_right", "chin_side_left", "chin_side_right"),
    }[domain]
    down, right = np.mgrid[:SIZE, :SIZE] + 0.5
    away = np.min(
        [np.hypot(right - x, down - y) for x, y in (place(pair, name) for name in near)], axis=0
    )
    reach = {"eyes": 10, "nose": 9, "chin": 20}[domain]
    assert speed.max() > 0.5
    assert speed[away < reach].sum() > 0.75 * speed.sum()
    assert away[speed == speed.max()].max() < reach


def test_regions_lie_where_a_face_has_them(pairs):
    for pair in pairs:
        shares = np.bincount(pair.regions.ravel(), minlength=5) / SIZE**2
        assert 0.2 < shares[SKIN] < 0.75
        assert 0.003 < shares[LIPS] < 0.05
        assert shares[BACKGROUND] > 0.03
        assert shares[OTHER] > 0.005
        center = np.argwhere(pair.regions == LIPS).mean(0)[::-1]
        mouth = (place(pair, "lip_upper") + place(pair, "lip_lower")) / 2
        assert np.linalg.norm(center - mouth) < 2
        for side in ("left", "right"):
            eye = (place(pair, f"lid_upper_{side}") + place(pair, f"lid_lower_{side}")) / 2
            assert pair.regions[int(eye[1]), int(eye[0])] == OTHER
        if (pair.regions == HAIR).any():
            assert np.argwhere(pair.regions == HAIR)[:, 0].min() < 0.15 * SIZE
    assert sum((pair.regions == HAIR).mean() > 0.05 for pair in pairs) > COUNT / 2


def test_the_crop_is_tight_and_holds_the_face(pairs):
    for pair in pairs:
        chin, brow = place(pair, "chin"), place(pair, "brow_left")
        assert 0.8 * SIZE < chin[1] < 0.95 * SIZE
        assert 0.2 * SIZE < brow[1] < 0.45 * SIZE
        jaw = place(pair, "jaw_angle_left")[0] - place(pair, "jaw_angle_right")[0]
        assert 0.4 * SIZE < jaw < 0.75 * SIZE
        assert 5 < place(pair, "nose_tip")[0] < SIZE - 5


def test_all_are_adults_and_no_two_alike():
    faces = [identity.draw(np.random.default_rng([SEED, index])) for index in range(40)]
    assert all(23 <= face.age <= 62 for face in faces)
    marks = head().landmarks
    for face in faces:
        shape = head().shaped(face.weights)
        assert identity.adult(shape)
        assert not any("child" in name or "baby" in name for name in face.weights)
        opening = shape[marks["lid_upper_left"]] - shape[marks["lid_lower_left"]]
        assert 0.05 < opening[1] < 0.16
    for trait in ("male", "age", "melanin", "freckles"):
        assert len({round(getattr(face, trait), 3) for face in faces}) > 8
    assert len({face.style.name for face in faces}) >= 6
    assert 0.25 < np.mean([face.male > 0.5 for face in faces]) < 0.75
    main = {max(face.ancestry, key=lambda name: face.ancestry[name]) for face in faces}
    assert main == {"african", "asian", "caucasian"}


def test_a_childs_proportions_are_refused():
    shape = head().vertices.copy()
    assert identity.adult(shape)
    lower = shape[:, 1] < 0
    shape[lower, 1] *= 0.85  # a shorter lower face
    assert not identity.adult(shape)
