"""Ellipses: what a sonographer draws around a fetal head, and what the head is measured by.

With semi-axes a and b, and E the complete elliptic integral of the second kind:

    circumference = 4 a E(1 - b² / a²)                                                        (1)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num
from scipy.special import ellipe
from skimage.measure import EllipseModel


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, in pixels or in mm: all its lengths are in the unit of its center.

    `angle` is that of the major axis in radians, from the columns towards rows further down.
    """

    row: float
    column: float
    major: float  # semi-axis
    minor: float
    angle: float

    @property
    def circumference(self) -> float:
        """Equation (1)."""
        return 4 * self.major * float(ellipe(1 - (self.minor / self.major) ** 2))

    def axes(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> tuple[Float[np.ndarray, "*points"], Float[np.ndarray, "*points"]]:
        """Return where points lie along the major and along the minor axis, from the center."""
        down, right = rows - self.row, columns - self.column
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        return right * cos + down * sin, down * cos - right * sin

    def level(
        self, rows: Float[np.ndarray, "*points"], columns: Float[np.ndarray, "*points"]
    ) -> Float[np.ndarray, "*points"]:
        """Return how far out points lie: 0 in the center, 1 on the ellipse."""
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
        """Return which pixels of an image have their center inside."""
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        return self.level(rows, columns) <= 1


def fit(points: Num[np.ndarray, "points 2"]) -> Ellipse | None:
    """Return the ellipse of least algebraic distance to points (row, column); None: there is none.

    Direct least squares (Halíř & Flusser 1998) by scikit-image's `EllipseModel`. The angle is in
    [0, π).
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of a circle, whose angle is any
        fitted = EllipseModel.from_estimate(points[:, ::-1])
    if not fitted:
        return None
    (column, row), (major, minor), angle = fitted.center, fitted.axis_lengths, fitted.theta
    if not np.isfinite([row, column, major, minor]).all() or minor <= 0:
        return None
    return Ellipse(float(row), float(column), float(major), float(minor), float(angle))
