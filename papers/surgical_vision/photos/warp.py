"""Operations on eyes, nose and chin as smooth displacements of a face that are known exactly.

A domain pulls landmarks p_i by d_i. Between them a point q has, with Gaussians
w_i(q) = exp(-|q - p_i|^2 / 2 s_i^2) and s(q) their sum, the velocity

    (1)  v(q) = sum_i w_i(q) e_i / s(q) (1 - exp(-1.2 s(q)))

where the e_i are such that v(p_i) = d_i. Every point of the face drifts with this velocity for a
time of 1: nothing can fold, whatever the amount, a drift back for as long is the exact inverse, and
a share of the time is that share of the operation. The d_i and s_i are ours, in shares of the
distance of the eyes' outer corners: chosen by eye, for changes like an operation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import map_coordinates

DOMAINS = ("eyes", "nose", "chin")
EYES = 1.5  # times the eyes' displacement: at 1 it is hardly seen
REST = 1.2  # how fast a velocity ends beyond its landmarks, equation (1)
SOLVING, RELAXATION = 12, 0.8  # rounds for the e_i
STEPS = 8  # of the drift, each by its midpoint: right to 0.01 pixels

# Points of MediaPipe's face mesh: (upper lid, lower lid, corners) of the right and the left eye
LIDS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155), (33, 133)),
    ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382), (263, 362)),
)
WINGS = (129, 358, 64, 294, 98, 327, 48, 278, 115, 344)
BRIDGE = (188, 412, 174, 399, 217, 437, 198, 420)
TIP = (1, 4, 2, 19, 94)
JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
NOSE_TIP, UNDER_NOSE, UPPER_LIP, CHIN = 4, 1, 13, 152

Points = Float[np.ndarray, "n 2"]
Velocity = Float32[np.ndarray, "height width 2"]


@dataclass(frozen=True)
class Controls:
    """Points, how far each is pulled, and how far around it that reaches; all in pixels."""

    points: Points
    pulled: Points
    reach: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Axes:
    """A face's own axes: unit vectors across (to its left) and down, and the eyes' distance."""

    across: Float[np.ndarray, " xy"]
    down: Float[np.ndarray, " xy"]
    unit: float

    @classmethod
    def of(cls, landmarks: Points) -> Axes:
        """Return the axes of a face by the outer corners of its eyes."""
        between = landmarks[263] - landmarks[33]
        unit = float(np.linalg.norm(between))
        across = between / unit
        return cls(across, np.array([-across[1], across[0]]), unit)


def velocity(
    landmarks: Float32[np.ndarray, "points 2"], amounts: Mapping[str, float], size: int
) -> Velocity:
    """Return equation (1) at all pixels, (x, y) in pixels, for an amount of each domain.

    Amount 1 is a usual operation; without any amount nothing moves.
    """
    if not any(amounts.values()):
        return np.zeros((size, size, 2), np.float32)
    solved = _solved(controls(landmarks.astype(np.float64), amounts))
    return _field(_centers(size).reshape(-1, 2), solved).reshape(size, size, 2).astype(np.float32)


def flow(velocity: Velocity, detail: int) -> Float32[np.ndarray, "size size 2"]:
    """Return how far each pixel of a face moves, (x, y) in its pixels.

    That is where what is seen at the pixel before lies afterwards, minus where it is. The velocity
    is in finer pixels, `detail` for one.
    """
    start = _centers(len(velocity) // detail) * detail
    return ((_drifted(velocity, start, 1.0) - start) / detail).astype(np.float32)


def warped(
    image: Float32[np.ndarray, "size size channels"], velocity: Velocity, share: float | int = 1.0
) -> Float32[np.ndarray, "size size channels"]:
    """Return the image after a share of the drift: each pixel shows what has come there.

    By cubic splines; what comes from beyond the edge is the edge's.
    """
    x, y = np.moveaxis(_drifted(velocity, _centers(len(image)), -share) - 0.5, -1, 0)
    channels = [
        map_coordinates(image[..., c], (y, x), order=3, mode="nearest")
        for c in range(image.shape[-1])
    ]
    return np.stack(channels, -1).astype(np.float32)


def _drifted(
    velocity: Velocity, points: Float[np.ndarray, "*n 2"], time: float | int
) -> Float[np.ndarray, "*n 2"]:
    """Return where points are after a time, negative for back."""
    step = time / STEPS
    for _ in range(STEPS):
        middle = points + step / 2 * _at(velocity, points)
        points = points + step * _at(velocity, middle)
    return points


def _at(velocity: Velocity, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    """Return the velocity at points, linear between pixels."""
    x, y = np.moveaxis(points - 0.5, -1, 0)
    parts = [map_coordinates(velocity[..., i], (y, x), order=1, mode="nearest") for i in (0, 1)]
    return np.stack(parts, -1)


def _centers(size: int) -> Float[np.ndarray, "{size} {size} 2"]:
    """Return the places of all pixels' centers."""
    place = np.arange(size) + 0.5
    return np.stack(np.meshgrid(place, place), -1)


def controls(landmarks: Points, amounts: Mapping[str, float]) -> Controls:
    """Return the landmarks that the domains with an amount other than 0 pull, and how."""
    makers = {"eyes": _eyes, "nose": _nose, "chin": _chin}
    axes = Axes.of(landmarks)
    made = [makers[name](landmarks, axes, amount) for name, amount in amounts.items() if amount]
    return Controls(
        np.concatenate([one.points for one in made]),
        np.concatenate([one.pulled for one in made]),
        np.concatenate([one.reach for one in made]),
    )


def _eyes(landmarks: Points, axes: Axes, amount: float) -> Controls:
    """Return wider eyes: lids away from the center, less towards the corners, these outwards."""
    points, pulled, reach = [], [], []
    for upper, lower, corners in LIDS:
        ends = landmarks[list(corners)]
        center, width = ends.mean(0), np.linalg.norm(ends[1] - ends[0])
        for lids, share in ((upper, 0.45), (lower, 0.2)):
            from_center = landmarks[list(lids)] - center
            x, y = from_center @ axes.across / (width / 2), from_center @ axes.down
            lifts = share * y * np.maximum(0, 1 - 0.6 * x**2)
            points.append(landmarks[list(lids)])
            pulled.append(lifts[:, None] * axes.down)
            reach.append(np.full(len(lids), 0.05))
        points.append(ends)
        pulled.append(0.1 * ((ends - center) @ axes.across)[:, None] * axes.across)
        reach.append(np.full(2, 0.055))
    together = [np.concatenate(part) for part in (points, pulled, reach)]
    return Controls(together[0], EYES * amount * together[1], axes.unit * together[2])


def _nose(landmarks: Points, axes: Axes, amount: float) -> Controls:
    """Return a narrower nose with its tip up: wings and bridge towards the middle."""
    sides = landmarks[[*WINGS, *BRIDGE]]
    shares = np.array([0.2] * len(WINGS) + [0.16] * len(BRIDGE))
    aside = (sides - landmarks[NOSE_TIP]) @ axes.across
    inwards = -(shares * aside)[:, None] * axes.across
    tip = landmarks[list(TIP)]
    upwards = np.tile(-0.022 * axes.unit * axes.down, (len(tip), 1))
    reach = np.array([0.085] * len(sides) + [0.08] * len(tip))
    pulled = np.concatenate([inwards, upwards])
    return Controls(np.concatenate([sides, tip]), amount * pulled, axes.unit * reach)


def _chin(landmarks: Points, axes: Axes, amount: float) -> Controls:
    """Return a slimmer jaw: its line towards the middle, the more the lower, and a little down."""
    jaw = landmarks[list(JAW)]
    aside = (jaw - landmarks[UNDER_NOSE]) @ axes.across
    below = (jaw - landmarks[UPPER_LIP]) @ axes.down
    height = below / ((landmarks[CHIN] - landmarks[UPPER_LIP]) @ axes.down)
    share = 0.085 + 0.09 * height.clip(0, 1)
    down = 0.012 * axes.unit * height.clip(0, 1.1)
    pulled = -(share * aside)[:, None] * axes.across + down[:, None] * axes.down
    return Controls(jaw, amount * pulled, np.full(len(jaw), 0.16 * axes.unit))


def _solved(controls: Controls) -> Controls:
    """Return the controls with those e_i of equation (1) that give each point its velocity."""
    pulled = controls.pulled
    for _ in range(SOLVING):
        now = Controls(controls.points, pulled, controls.reach)
        pulled = pulled + RELAXATION * (controls.pulled - _field(controls.points, now))
    return Controls(controls.points, pulled, controls.reach)


def _field(at: Points, controls: Controls) -> Points:
    """Return equation (1) at points, the controls' pulls being the e_i."""
    squares = sum((at[:, None, axis] - controls.points[None, :, axis]) ** 2 for axis in (0, 1))
    weights = np.exp(-squares / (2 * controls.reach**2))
    total = weights.sum(1, keepdims=True)
    return weights @ controls.pulled / np.maximum(total, 1e-12) * (1 - np.exp(-REST * total))
