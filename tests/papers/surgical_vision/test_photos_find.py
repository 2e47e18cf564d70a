"""Faces found in photos: by planted networks, and by the published ones where they are."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.raw import BadFile
from common.errors import InputError
from papers.surgical_vision.image import read_photo
from papers.surgical_vision.photos import find, reading
from papers.surgical_vision.photos.face import OVAL
from papers.surgical_vision.photos.square import Square, around, shown
from tests.papers.surgical_vision.face_template import landmarks

WIDTH = 256
ANGLE = np.radians(20)


def map_photo():
    """Return a photo whose red and green say x and y of a pixel, and blue that it is one."""
    place = np.arange(WIDTH, dtype=np.uint8)
    x, y = np.meshgrid(place, place)
    return np.stack([x, y, np.full_like(x, 255)], -1)


def planted(side=120.0, center=(130.0, 120.0), logits=(4.0,), sure=5.0):
    """Return networks that find a turned face of a side, and as many boxes as there are logits.

    They tell by the map's colors what part of the photo they are shown.
    """
    turned = Square(*center, side, ANGLE)
    points = turned.outward(landmarks(1).astype(float), 1)

    def places(image):
        """Return the affine map of photo to image, in shares of it, from the colors."""
        size = image.shape[1]
        at = np.stack(np.meshgrid(*[np.arange(size) + 0.5] * 2), -1) / size
        inside = image[0, ..., 2] > 254.5
        colors = np.concatenate([image[0, inside, :2] + 0.5, np.ones((inside.sum(), 1))], 1)
        return np.linalg.lstsq(colors, at[inside], rcond=None)[0]

    def seen(image, points):
        return np.concatenate([points, np.ones((len(points), 1))], 1) @ places(image)

    def detector(image):
        image = (image + 1) * 127.5
        regressed = np.zeros((1, find.CELLS**2, 8, 2))
        scores = np.full((1, find.CELLS**2, 1), -9.0)
        for i, logit in enumerate(logits):
            moved = points + np.array([60.0, 0.0]) * i
            box = seen(image, moved[list(OVAL)])
            eyes = seen(image, moved[[33, 263]])
            center, extent = (box.min(0) + box.max(0)) / 2, np.ptp(box, axis=0)
            cell = (np.array([7, 9 + 20 * i]) + 0.5) / find.CELLS
            index = (9 + 20 * i) * find.CELLS + 7
            values = [center - cell, extent, *(eyes - cell)]
            regressed[0, index, :4] = 192 * np.array(values)
            scores[0, index] = logit
        return regressed.reshape(1, -1, 16), scores

    def mesh(image):
        places = 192 * seen(image * 255, points)
        depth = np.concatenate([places, np.zeros((len(places), 1))], 1)
        return depth.reshape(1, 1, 1, -1), np.full((1, 1, 1, 1), sure)

    return find.Finder(detector, mesh, 192, 192), points


def test_points_go_into_a_square_and_back():
    square = Square(40.0, 30.0, 20.0, ANGLE)
    points = np.random.default_rng(0).uniform(0, 64, (9, 2))
    np.testing.assert_allclose(square.inward(square.outward(points, 64), 64), points)
    np.testing.assert_allclose(square.outward(np.array([[32.0, 32.0]]), 64), [[40, 30]])
    # the right edge's middle lies half a side along the turned x axis, which points down a little
    right = square.outward(np.array([[64.0, 32.0]]), 64)[0]
    np.testing.assert_allclose(right, [40 + 10 * np.cos(ANGLE), 30 + 10 * np.sin(ANGLE)])


def test_a_square_around_points_holds_them_with_its_margin():
    points = Square(50.0, 60.0, 30.0, ANGLE).outward(np.array([[0, 0], [1, 0.5], [0.3, 0.9]]), 1)
    square = around(points, float(ANGLE), 1.5)
    assert square.side == pytest.approx(45)
    inside = square.inward(points, 1)
    np.testing.assert_allclose(inside.min(0) + inside.max(0), 1)


@pytest.mark.parametrize("side", [30.0, 100.0, 230.0])
def test_what_a_square_shows_are_the_photos_pixels(side):
    square = Square(128.0, 120.0, side / 1.5, ANGLE)
    image = shown(map_photo(), square, 32, extend=False)
    centers = np.stack(np.meshgrid(*[np.arange(32) + 0.5] * 2), -1).reshape(-1, 2)
    expected = square.outward(centers, 32) - 0.5
    np.testing.assert_allclose(image[..., :2].reshape(-1, 2), expected, atol=0.05)


def test_beyond_the_photo_is_black_or_its_edge():
    square = Square(0.0, 128.0, 64.0)
    black, edge = (shown(map_photo(), square, 64, extend=extend) for extend in (False, True))
    assert not black[:, :30].any()
    np.testing.assert_allclose(edge[:, :30], edge[:, :1].repeat(30, 1), atol=1e-3)
    np.testing.assert_allclose(edge[:, 34:], black[:, 34:])


def test_a_face_is_turned_upright_and_cut_to_its_share():
    networks, planted_points = planted()
    face = find.face(networks, map_photo(), 64, "map")
    right, left = face.landmarks[[33, 263]]
    assert abs(left[1] - right[1]) < 0.05
    oval = face.landmarks[list(OVAL)]
    assert np.ptp(oval[:, 0]) / 64 == pytest.approx(find.SHARE, abs=0.005)
    np.testing.assert_allclose((oval.min(0) + oval.max(0)) / 2, 32, atol=0.1)
    assert face.score > 0.99
    # what is seen at a landmark is what is seen there in the photo
    for i in (33, 263, 4, 61, 291):
        x, y = (2 * face.landmarks[i]).astype(int)
        np.testing.assert_allclose(face.fine[y, x, :2], planted_points[i], atol=1.6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"logits": ()}, "shows no face; give"),
        ({"logits": (4.0, 3.0)}, "shows 2 faces of about the same size"),
        ({"sure": -3.0}, "no face that can be measured"),
        ({"side": 45.0}, r"face 29 pixels wide; expected at least 40"),
        ({"center": (230.0, 120.0)}, "edge cuts off"),
    ],
)
def test_what_cannot_be_used_is_said(options, reason):
    with pytest.raises(BadFile, match=reason):
        find.face(planted(**options)[0], map_photo(), 32)


def test_a_face_from_the_side_is_refused():
    points = landmarks(200).astype(float)
    points[234, 0] = points[4, 0] - 10
    with pytest.raises(BadFile, match="turned to the side"):
        find._check(points, np.zeros((200, 200, 3), np.uint8))


def test_boxes_of_one_face_are_one():
    regressed = np.zeros((find.CELLS**2, 16))
    regressed[:, 2:4] = 40.0
    logits = np.full(find.CELLS**2, -8.0)
    logits[[100, 101, 149, 100 + 24]] = 2.0, 3.0, 1.0, 0.5  # three neighbors, and one far away
    found = find._decoded(regressed, logits, 192)
    assert [round(score, 2) for score, _ in found] == [0.95, 0.62]
    center = found[0][1][:2].mean(0)
    np.testing.assert_allclose(center, (np.array([101 % 48, 101 // 48]) + 0.5) / 48)


def test_photos_stand_as_their_exif_says(tmp_path):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:4, :8] = 255  # the upper left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    upright = read_photo(tmp_path / "turned.png")
    assert upright.shape == (16, 8, 3)
    assert upright[:8, 4:].all()
    assert not upright[8:].any()


def test_a_folder_is_read_in_numeric_order_and_its_bad_files_named(tmp_path, monkeypatch):
    monkeypatch.setattr(find, "finder", lambda: planted()[0])
    (tmp_path / "b").mkdir()
    for shade, name in enumerate(("10.png", "b/2.PNG", "9.png", ".hidden.png")):
        photo = map_photo()
        photo[0, 0, 0] = shade  # no two photos are the same
        Image.fromarray(photo).save(tmp_path / name, format="png")
    shutil.copy(tmp_path / "9.png", tmp_path / "b" / "copy.png")
    (tmp_path / "11.jpg").write_bytes(b"no photo")
    (tmp_path / "notes.txt").write_text("")
    content = io.BytesIO()
    Image.fromarray(map_photo()[:40]).save(content, format="png")
    (tmp_path / "12.png").write_bytes(content.getvalue())
    found = reading.read(tmp_path, 32)
    assert [face.name for face in found.items] == ["9.png", "10.png", "b/2.PNG"]
    assert [line.split(":")[0] for line in found.bad] == ["11.jpg", "12.png"]
    assert "is text" in found.bad[0]
    assert "cuts off" in found.bad[1]
    assert sorted(found.ignored) == [
        ".hidden.png: hidden",
        "b/copy.png, as 9.png: copied",
        "notes.txt: of another kind",
    ]
    assert len(reading.read(tmp_path, 32, limit=1).items) == 1
    with pytest.raises(InputError, match="no such folder"):
        reading.read(tmp_path / "none", 32)


def test_portraits_of_nobody(monkeypatch):
    """Faces of 200 generated portraits, by the published networks."""
    raw = Path(os.environ.get("STUDY_DATA", ""), "faces_ai")
    if "STUDY_DATA" not in os.environ or not raw.is_dir():
        pytest.skip("STUDY_DATA does not name a folder with faces_ai")
    try:
        networks = find.finder(download=False)
    except InputError as reason:
        pytest.skip(str(reason))
    monkeypatch.setattr(find, "finder", lambda: networks)
    found = reading.read(raw, 64, limit=20)
    assert len(found.items) >= 17
    for face in found.items:
        oval = face.landmarks[list(OVAL)]
        assert 0.6 < np.ptp(oval[:, 0]) / 64 < 0.7
        assert face.score > 0.9
        # a second look at what was cut out finds the same points
        again = find.face(networks, face.fine, 64)
        assert np.abs(again.landmarks - face.landmarks).mean() < 1.0
