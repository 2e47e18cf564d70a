"""Ellipses: what a sonographer draws around a fetal head, and what a mask of it is measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, in pixels or in mm: all its lengths are in the unit of its centre.

    `angle` is that of the major axis in radians, from the columns towards the rows.
    """

    row: float
    column: float
    major: float  # semi-axis
    minor: float
    angle: float

    @property
    def perimeter(self) -> float:
        """Circumference, by Ramanujan's second formula (exact to 1e-6 for heads)."""
        h = ((self.major - self.minor) / (self.major + self.minor)) ** 2
        whole = np.pi * (self.major + self.minor)
        return float(whole * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))))

    def axes(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> tuple[Float[np.ndarray, "*points"], Float[np.ndarray, "*points"]]:
        """Return where points lie along the major and along the minor axis, from the centre."""
        down, right = rows - self.row, columns - self.column
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        return right * cos + down * sin, down * cos - right * sin

    def level(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> Float[np.ndarray, "*points"]:
        """Return how far out points lie: 0 in the centre, 1 on the ellipse."""
        along, across = self.axes(rows, columns)
        return np.hypot(along / self.major, across / self.minor)

    def distance(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> Float[np.ndarray, "*points"]:
        """Return how far outside points lie, below 0 inside: to first order, exact at the edge."""
        along, across = self.axes(rows, columns)
        level = np.hypot(along / self.major, across / self.minor)
        slope = np.hypot(along / self.major**2, across / self.minor**2)
        return (level - 1) * level / np.maximum(slope, 0.2 / self.major)

    def outward(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> tuple[Float[np.ndarray, "*points"], Float[np.ndarray, "*points"]]:
        """Return the direction (down, right), of any length, in which `level` grows fastest."""
        along, across = self.axes(rows, columns)
        along, across = along / self.major**2, across / self.minor**2
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        return along * sin + across * cos, along * cos - across * sin

    def mask(self, height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
        """Return which pixels of a picture have their centre inside."""
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        return self.level(rows, columns) <= 1


def fit(points: Num[np.ndarray, "points 2"]) -> Ellipse:
    """Return the ellipse of least algebraic distance to points (row, column).

    The direct fit of Halíř and Flusser (1998): of all conics it finds the best ellipse, without a
    start value. Raises `ValueError` where the points make none.
    """
    centre, scale = points.mean(0), points.std() or 1.0
    y, x = ((points - centre) / scale).T
    square, linear = np.stack([x * x, x * y, y * y], 1), np.stack([x, y, np.ones_like(x)], 1)
    try:
        lower = -np.linalg.solve(linear.T @ linear, linear.T @ square)
        scatter = square.T @ square + square.T @ linear @ lower
        _, vectors = np.linalg.eig(np.stack([scatter[2] / 2, -scatter[1], scatter[0] / 2]))
    except np.linalg.LinAlgError:
        raise ValueError("the points lie on a line") from None
    vectors = vectors.real
    best = vectors[:, np.argmax(4 * vectors[0] * vectors[2] - vectors[1] ** 2)]
    return _from_conic(np.concatenate([best, lower @ best]), centre, float(scale))


def of_mask(
    mask: Bool[np.ndarray, "height width"],
    mm: tuple[float, float] | Float[np.ndarray, " row_column"],
) -> Ellipse:
    """Return the ellipse in mm that has a mask's centre and second moments.

    `mm` is the height and the width of a pixel. Raises `ValueError` where less than three pixels
    are set, or all of them lie on a line.
    """
    points = np.argwhere(mask) * np.array(mm)
    if len(points) < 3:
        raise ValueError(f"{len(points)} pixels make no ellipse")
    spread = np.cov(points.T, bias=True)
    values, vectors = np.linalg.eigh(spread)
    if values[0] <= 0:
        raise ValueError("the pixels lie on a line")
    minor, major = 2 * np.sqrt(values)  # a full ellipse's variance is a quarter of its axis squared
    row, column = points.mean(0)
    along = vectors[:, 1]
    return Ellipse(float(row), float(column), float(major), float(minor), _turn(along[0], along[1]))


def _from_conic(
    conic: Float[np.ndarray, " terms"], centre: Float[np.ndarray, " row_column"], scale: float
) -> Ellipse:
    """Return the ellipse A x² + B xy + C y² + D x + E y + F = 0 of points moved and scaled."""
    a, b, c, d, e, f = conic
    form = np.array([[a, b / 2], [b / 2, c]])
    if np.linalg.det(form) <= 0:
        raise ValueError("the points make no ellipse")
    middle = -np.linalg.solve(2 * form, [d, e])
    rest = f + (d * middle[0] + e * middle[1]) / 2
    values, vectors = np.linalg.eigh(form / -rest)
    if values[0] <= 0:
        raise ValueError("the points make no ellipse")
    major, minor = scale / np.sqrt(values)
    along = vectors[:, 0]
    return Ellipse(
        row=float(middle[1] * scale + centre[0]),
        column=float(middle[0] * scale + centre[1]),
        major=float(major),
        minor=float(minor),
        angle=_turn(along[1], along[0]),
    )


def _turn(down: float, right: float) -> float:
    """Return the angle of a direction in (-pi/2, pi/2], which is that of its opposite too."""
    return float(np.pi / 2 - (np.pi / 2 - np.arctan2(down, right)) % np.pi)
