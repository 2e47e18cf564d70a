"""Faces of users' photos, framed as those are that a model was trained on."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.data.raw import BadFile
from common.errors import InputError
from papers.surgical_vision import framing
from papers.surgical_vision.config import Config
from papers.surgical_vision.faces import patient
from papers.surgical_vision.faces.camera import CHIN_LEVEL, EYE_LEVEL
from papers.surgical_vision.image import read_photo
from papers.surgical_vision.photos import find as finding
from papers.surgical_vision.photos.face import LEFT_EYE, OVAL, RIGHT_EYE
from papers.surgical_vision.photos.square import Square
from tests.papers.surgical_vision.face_template import landmarks


def turned_face(side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo whose red and green say x and y of a pixel, and points of a turned face."""
    place = np.arange(256, dtype=np.uint8)
    x, y = np.meshgrid(place, place)
    square = Square(130.0, 120.0, side, float(np.radians(20)))
    return np.stack([x, y, np.zeros_like(x)], -1), square.outward(landmarks(1).astype(float), 1)


def test_a_face_stands_as_the_rendered_heads_do(monkeypatch):
    image, points = turned_face(100.0)
    monkeypatch.setattr(finding, "finder", lambda: None)
    monkeypatch.setattr(finding, "points_of", lambda networks, photo: (points, 1.0))
    data = replace(Config().data, dataset="heads", size=64)
    face = framing.framer(data)(image)
    eyes = (points[list(RIGHT_EYE)].mean(0) + points[list(LEFT_EYE)].mean(0)) / 2
    x, y = 32, round(64 * EYE_LEVEL)
    np.testing.assert_allclose(face[y - 1 : y + 1, x - 1 : x + 1, :2].mean((0, 1)), eyes, atol=1.5)
    # upright: what lies to the right of the eyes' middle is what the other eye is turned towards
    across = face[y, 50, :2].astype(float) - face[y, 14, :2]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(20, abs=1)
    oval = points[list(OVAL)] @ Square(0.0, 0.0, 1.0, np.radians(20))._axes().T
    side = max(np.ptp(oval[:, 0]) / framing.OVAL_SHARE, 0)
    chin = (points[framing.CHIN] - eyes) @ [-np.sin(np.radians(20)), np.cos(np.radians(20))]
    side = max(side, chin / (CHIN_LEVEL - EYE_LEVEL))
    assert np.hypot(*across) / 36 * 64 == pytest.approx(side, rel=0.02)


def test_a_face_of_few_pixels_is_refused():
    image, points = turned_face(100.0)
    with pytest.raises(BadFile, match="shows a face 65 pixels wide, expected at least 76"):
        framing.as_rendered(points, image, 256)


def published_networks() -> finding.Finder:
    try:
        return finding.finder(download=False)
    except InputError as reason:
        pytest.skip(str(reason))


def test_a_rendered_head_is_framed_as_it_was_rendered():
    networks = published_networks()
    large, own = (patient.ladder(0, 0, size, (0,))[0] for size in (256, 64))
    around = np.pad(large, ((64, 64), (64, 64), (0, 0)), mode="edge")
    found = framing.as_rendered(finding.points_of(networks, around)[0], around, 64)
    off = np.abs(np.roll(own, 2, 1).astype(float) - own).mean()
    assert np.abs(found.astype(float) - own).mean() < off / 2


def test_a_portrait_of_nobody_is_found(monkeypatch):
    photo = Path(os.environ.get("STUDY_DATA", ""), "faces_ai", "male", "256", "3.jpg")
    if "STUDY_DATA" not in os.environ or not photo.is_file():
        pytest.skip("STUDY_DATA does not name a folder with faces_ai")
    networks = published_networks()
    monkeypatch.setattr(finding, "finder", lambda: networks)
    for dataset in ("heads", "photos"):
        data = replace(Config().data, dataset=dataset, size=64)
        face = framing.framer(data)(read_photo(photo))
        assert face.shape == (64, 64, 3)
        # what was cut out is framed alike when it is looked at again
        again = framing.framer(data)(face.repeat(4, 0).repeat(4, 1))
        off = np.abs(np.roll(face, 4, 1).astype(float) - face).mean()
        assert np.abs(again.astype(float) - face).mean() < off / 2
