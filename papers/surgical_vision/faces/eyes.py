"""Eyeballs: white, iris, pupil, the lid's shade and the lamp's reflection."""

from __future__ import annotations

import numpy as np

from papers.surgical_vision.faces import noise
from papers.surgical_vision.faces.camera import Camera
from papers.surgical_vision.faces.curves import smoothstep
from papers.surgical_vision.faces.light import Color, Colors, Light
from papers.surgical_vision.faces.mesh import Head, Vertices, unit
from papers.surgical_vision.faces.raster import Fragments

IRIS, PUPIL = 0.54, 0.2  # radii, in those of the eyeball
WHITE = np.array([0.66, 0.62, 0.58], np.float32)
RED = np.array([0.5, 0.26, 0.22], np.float32)
GAZE = 0.85  # how far the eyes turn to the camera when the head does not


def shaded(
    base: Head, points: Vertices, found: Fragments, camera: Camera, iris: Color, light: Light
) -> Colors:
    """Return the light that the eyeballs send back."""
    place = found.blend(points)
    ball, radius = np.zeros_like(place), np.ones(len(place), np.float32)
    own = np.unique(base.eyes.triangles)
    for side in (-1, 1):
        eye = points[own[np.sign(base.vertices[own, 0]) == side]]
        on = np.sign(place[:, 0]) == side
        ball[on] = place[on] - eye.mean(0)
        radius[on] = np.ptp(eye, axis=0).max() / 2
    ball = unit(ball)
    ahead = np.array([0, 0, 1], np.float32)
    gaze = unit(GAZE * camera.rotation[2] + (1 - GAZE) * ahead)
    away = np.sqrt(np.clip(1 - np.einsum("nc,c->n", ball, gaze) ** 2, 0, 1))
    white = WHITE + (RED - WHITE) * (0.55 * smoothstep(0.55, 1.0, np.abs(ball[:, 0])))[:, None]
    turn = np.degrees(np.arctan2(ball[:, 1], ball[:, 0] - gaze[0]))
    rays = noise.read(away * 10, turn * 0.7, 4, 1)
    colored = (1.25 + 0.25 * rays) * (1 - 0.75 * smoothstep(0.42, IRIS, away))
    colored = colored * smoothstep(PUPIL - 0.04, PUPIL + 0.05, away)
    inside = 1 - smoothstep(IRIS - 0.04, IRIS + 0.05, away)
    albedo = white * (1 - inside)[:, None] + iris * (inside * colored)[:, None]
    shade = 1 - 0.6 * smoothstep(0.02, 0.34, ball[:, 1])  # below the upper lid
    shade = shade * (1 - 0.3 * smoothstep(0.5, 1.0, np.abs(ball[:, 0])))
    normal = camera.turned(ball)
    facing = np.clip(np.einsum("nc,c->n", normal, light.direction) * 0.6 + 0.4, 0, 1)
    lit = albedo * (facing[:, None] * light.lamp * 0.85 + light.sky) * shade[:, None]
    glint = np.clip(np.einsum("nc,c->n", normal, light.halfway()), 0, 1) ** np.float32(180)
    return lit + (0.85 * glint)[:, None] * light.lamp
