"""What a head and its surroundings send back, mirror and swallow, at the points of the beams.

Echo levels are in dB above the mother's soft tissue, losses in dB a mm there and back, as far as
the gain over depth does not make up for them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.metrics.ellipse import Ellipse
from papers.ultrasound_diconvae.simulation.anatomy import Head, curve, smooth
from papers.ultrasound_diconvae.simulation.echo import DECIBEL, Tissue
from papers.ultrasound_diconvae.simulation.view import Points, View

BRAIN, THALAMUS, PLEXUS, LOBE, BONE, SCALP = -12.0, -16.0, -1.0, -7.0, 0.0, -6.0
FLUID, CAVITY = -34.0, -28.0  # around the head, and in it
FLUID_GAIN, BRAIN_GAIN = 0.16, 0.06  # dB a mm that sound loses less there than in soft tissue
EDGE = 0.35  # mm: half the width of a border


class Layers:
    """Tissue being painted: later layers cover earlier ones, with soft borders."""

    def __init__(self, view: View):
        self.view = view
        self.down, self.right = view.places()
        self.level = np.zeros_like(self.down)  # dB
        self.mirror = np.zeros_like(self.down)  # amplitude
        self.loss = np.zeros_like(self.down)

    def fill(self, share: Points, level: Points | float, loss: float | None = None) -> None:
        """Paint an echo level where `share` is 1, and nothing where it is 0."""
        self.level += share * (level - self.level)
        self.mirror *= 1 - share
        if loss is not None:
            self.loss += share * (np.float32(loss) - self.loss)

    def line(
        self,
        away: Points,
        normal: tuple[Points, Points],
        level: float,
        power: int,
        strength: Points | float = 1.0,
        half: float = EDGE,
    ) -> None:
        """Draw a smooth surface, brightest where it faces the array.

        `away` is the distance in mm, `normal` a direction (down, right) of any length, `level` in
        dB, `power` that of the cosine between normal and beam, `half` half the thickness in mm.
        """
        down, right = normal
        facing = down * np.cos(self.view.angles) + right * np.sin(self.view.angles)
        cosine = np.abs(facing) / (np.hypot(down, right) + np.float32(1e-6))
        profile = np.exp(-0.5 * (away / np.float32(half)) ** 2) * strength
        self.mirror += profile * cosine**power * np.float32(10 ** (level / 20))

    def part(self, part: Ellipse, level: Points | float, loss: float | None = None) -> None:
        """Fill an ellipse."""
        self.fill(share(part.distance(self.down, self.right)), level, loss)

    def walls(self, part: Ellipse, level: float, power: int) -> None:
        """Draw the surface of an ellipse."""
        away = part.distance(self.down, self.right)
        self.line(away, part.outward(self.down, self.right), level, power)


def tissue(rng: np.random.Generator, head: Head, view: View) -> Tissue:
    """Draw what surrounds a head and fills it."""
    layers = Layers(view)
    outside = head.outline.distance(layers.down, layers.right)
    _mother(rng, layers, outside)
    _skull(rng, layers, head, outside)
    _brain(rng, layers, head, outside)
    scatter = np.exp(layers.level / np.float32(DECIBEL)) + _haze(rng, view, outside)
    return Tissue(scatter=scatter, mirror=layers.mirror, loss=layers.loss)


def _mother(rng: np.random.Generator, layers: Layers, outside: Points) -> None:
    """Paint skin, fasciae and muscle near the array, the womb, and fluid around the head."""
    down, right, view = layers.down, layers.right, layers.view
    deep = view.depths[:, None] + 0 * down
    wall = float(rng.uniform(6, 22))
    layers.level += 3 * smooth(rng, down, right, 8.0, 11.0) + 2.5 * smooth(
        rng, deep, right, 1.6, 5.0
    )
    near = share(deep - wall - 2 * curve(rng, right, 20.0))
    streaks = 5 * smooth(rng, deep, right, 1.8, 25.0)
    layers.fill(near, layers.level + 2 + streaks)
    amount = rng.uniform(-2.4, -0.1)
    pool = smooth(rng, down, right, 15.0, 20.0) + amount + 1.3 * np.exp(-np.maximum(outside, 0) / 6)
    pool -= 4 * np.clip(1 - (deep - wall) / 6, 0, 1)
    arc = (view.radius + view.depths)[:, None] * (view.angles[1] - view.angles[0])
    slopes = np.gradient(pool, view.step, axis=0), np.gradient(pool, axis=1) / arc
    away = pool / (np.hypot(*slopes) + np.float32(0.02))
    layers.fill(share(-away, 1.0), FLUID, -FLUID_GAIN)
    # A direction along and across the beam, turned to the window's: the array looks along it.
    cos, sin = np.cos(view.angles), np.sin(view.angles)
    normal = slopes[0] * cos - slopes[1] * sin, slopes[0] * sin + slopes[1] * cos
    layers.line(away, normal, 6.0, 6)


def _skull(rng: np.random.Generator, layers: Layers, head: Head, outside: Points) -> None:
    """Paint scalp and bone; bone swallows, the more the longer the way through it."""
    u, v = head.frame(layers.down, layers.right)
    layers.fill(share(outside - 0.6 * head.bone), SCALP + smooth(rng, u, v, 0.1, 0.1), 0.0)
    layers.fill(share(outside), BONE, float(rng.uniform(1.5, 4.5)) / head.bone)
    angle = np.arctan2(v, u)
    strength = np.exp(0.3 * curve(rng, angle, 0.3))
    for place in rng.uniform(-np.pi, np.pi, 2):  # sutures, where bone stops for a few mm
        gap = np.abs(np.abs(angle - np.float32(place)) - np.pi) - np.pi
        strength = strength * (1 - 0.7 * np.exp(-((gap / 0.05) ** 2)))
    normal = head.outline.outward(layers.down, layers.right)
    bright = 23 + float(rng.normal(0, 2.5))
    layers.line(outside + head.bone / 2, normal, bright, 5, strength, head.bone / 2.6)


def _brain(rng: np.random.Generator, layers: Layers, head: Head, outside: Points) -> None:
    """Paint the brain and what lies in it."""
    u, v = head.frame(layers.down, layers.right)
    length, width = head.outline.major, head.outline.minor
    inside = share(outside + head.bone)
    grain = width / 30  # mm; structures grow with the head
    folds = smooth(rng, v * width, u * length, 3.5 * grain, 11 * grain)
    fine = smooth(rng, v * width, u * length, 1.4 * grain, 3 * grain)
    slow = smooth(rng, v * width, u * length, 9 * grain, 12 * grain)
    lines = 10 * np.exp(-((folds / 0.3) ** 2)) * np.clip(0.45 + 0.5 * slow, 0, 1)
    echoes = lines + 2.5 * fine + 2 * slow - 2
    bone = layers.mirror * (1 - share(outside + head.bone - 0.2))
    layers.fill(inside, BRAIN + float(rng.normal(0, 2.5)) + echoes, -BRAIN_GAIN)
    layers.mirror = np.maximum(layers.mirror, bone)  # the skull's echo is not cut off
    for part in head.thalami:
        layers.part(head.placed(part), THALAMUS)
    for part in head.cerebellum:
        layers.part(head.placed(part), LOBE + 2 * fine)
    if head.ventricle is not None and head.plexus is not None:
        layers.part(head.placed(head.ventricle), CAVITY, -FLUID_GAIN)
        layers.part(head.placed(head.plexus), PLEXUS + 2 * fine)
        layers.walls(head.placed(head.ventricle), 5.0, 8)
    _midline(rng, layers, head)
    if head.csp is not None:
        layers.part(head.placed(head.csp), CAVITY, -FLUID_GAIN)
        layers.walls(head.placed(head.csp), 12.0, 10)


def _midline(rng: np.random.Generator, layers: Layers, head: Head) -> None:
    """Draw the falx, in pieces, and the insula as an arc of the far half."""
    u, v = head.frame(layers.down, layers.right)
    width = head.outline.minor
    across = replace(head.outline, major=1e6, minor=1.0).outward(layers.down, layers.right)
    bend = np.float32(rng.normal(0, 0.01)) * np.cos(2.5 * u)
    pieces = np.clip(0.8 * curve(rng, u, 0.12) + 0.5, 0, 1) * (np.abs(u) < 0.93)
    if head.csp is not None:
        pieces = pieces * (np.abs(u - head.csp.column) > head.csp.major)
    layers.line((v - bend) * width, across, float(rng.uniform(4, 12)), 10, pieces)
    arc = (v - 0.62 + 0.25 * (u - 0.1) ** 2) * width
    pieces = np.clip(curve(rng, u, 0.1) + 0.3, 0, 1) * (np.abs(u - 0.1) < 0.3)
    layers.line(arc, across, float(rng.uniform(-4, 5)), 10, pieces)


def _haze(rng: np.random.Generator, view: View, outside: Points) -> Points:
    """Return intensity that belongs to no place: reverberation, and noise that gain brings up."""
    deep = view.depths[:, None]
    near = 10 ** (-1.8 + 0.4 * rng.standard_normal()) * np.exp(-deep / rng.uniform(6, 14))
    first = view.depths[np.argmax(outside < 0, axis=0)]  # where beams meet the skull
    behind = np.clip(deep - first, 0, None)
    meets = (outside < 0).any(0) & (deep > first)
    skull = 10 ** (-2.0 + 0.4 * rng.standard_normal()) * np.exp(-behind / rng.uniform(8, 22))
    noise = 10 ** ((-47 + 0.12 * deep + 3 * rng.standard_normal()) / 10)
    return (near + skull * meets + noise).astype(np.float32)


def share(away: Points, half: float = EDGE) -> Points:
    """Return how much of a point lies inside, by its distance outside in mm.

    `half` is half the width of the border in mm.
    """
    return np.clip(0.5 - away / np.float32(2 * half), 0, 1).astype(np.float32)
