"""A fetal head and the mother's tissue around it, in a plane through the head.

All lengths are in mm of the image's window (down and right from its corner). In the head's own
frame u runs along the midline, forward where `forward` is 1, and v across it, downwards: the half
of the brain with v > 0 lies away from the array and is the one that is seen well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from common.metrics.ellipse import Ellipse

SMALLEST, USUAL, LARGEST = 80.0, 175.0, 320.0  # head circumference, mm: weeks 13 to 38
CEPHALIC = (0.78, 0.035)  # width by length of a head: mean and standard deviation

Values = Float32[np.ndarray, "*points"]


@dataclass(frozen=True)
class Head:
    """One head: its outline (mm), and its structures, in shares of its half length and half width.

    `csp` and `ventricle` are None where the plane does not cut them.
    """

    outline: Ellipse  # of the skull's outer side: its circumference is the head's
    forward: int  # 1: the face is on the right, -1: on the left
    bone: float  # thickness of the skull, mm
    plane: str
    csp: Ellipse | None
    ventricle: Ellipse | None
    plexus: Ellipse | None  # in the ventricle
    thalami: tuple[Ellipse, ...]
    cerebellum: tuple[Ellipse, ...]

    def frame(self, down: Values, right: Values) -> tuple[Values, Values]:
        """Return u and v, in shares of half the head's length and width."""
        along, across = self.outline.axes(down, right)
        u = along * np.float32(self.forward / self.outline.major)
        return u, across * np.float32(1 / self.outline.minor)

    def placed(self, part: Ellipse) -> Ellipse:
        """Return a part as an ellipse of the window, in mm: it follows the head's turn."""
        along = part.column * self.forward * self.outline.major
        across = part.row * self.outline.minor
        cos, sin = float(np.cos(self.outline.angle)), float(np.sin(self.outline.angle))
        return Ellipse(
            row=self.outline.row + along * sin + across * cos,
            column=self.outline.column + along * cos - across * sin,
            major=part.major * self.outline.major,
            minor=part.minor * self.outline.minor,
            angle=self.outline.angle + part.angle * self.forward,
        )

    def labels(self, down: Values, right: Values) -> UInt8[np.ndarray, "*points"]:
        """Return the label of every point: 0 outside, 1 brain, 2 CSP, 3 ventricle."""
        labels = (self.outline.level(down, right) <= 1).astype(np.uint8)
        for label, part in ((2, self.csp), (3, self.ventricle)):
            if part is not None:
                labels[self.placed(part).level(down, right) <= 1] = label
        return labels


def draw(rng: np.random.Generator) -> Head:
    """Draw a head; its outline's center is at 0 and 0 until it is put into an image."""
    circumference = rng.triangular(SMALLEST, USUAL, LARGEST)
    ratio = np.clip(rng.normal(*CEPHALIC), 0.68, 0.88)
    unit = Ellipse(0.0, 0.0, 1.0, float(ratio), 0.0)
    length = circumference / unit.circumference
    forward = int(rng.choice([-1, 1]))
    plane = str(rng.choice(["thalamic", "ventricular", "cerebellum"], p=[0.5, 0.3, 0.2]))
    csp = ventricle = plexus = None
    if rng.random() < 0.75:
        csp = Ellipse(
            row=float(rng.normal(0, 0.012)),
            column=float(rng.uniform(0.34, 0.46)),
            major=float(rng.uniform(0.12, 0.18)),
            minor=float(rng.uniform(0.05, 0.085)),
            angle=float(rng.normal(0, 0.03)),
        )
    if rng.random() < {"thalamic": 0.35, "ventricular": 1.0, "cerebellum": 0.1}[plane]:
        ventricle = Ellipse(
            row=float(rng.uniform(0.4, 0.48)),
            column=float(rng.uniform(-0.44, -0.3)),
            major=float(rng.uniform(0.26, 0.36)),
            minor=float(rng.uniform(0.11, 0.18)),
            angle=float(rng.uniform(0.02, 0.3)),
        )
        plexus = Ellipse(
            row=ventricle.row + ventricle.minor * float(rng.uniform(0.05, 0.3)),
            column=ventricle.column + ventricle.major * float(rng.uniform(-0.1, 0.4)),
            major=ventricle.major * float(rng.uniform(0.4, 0.6)),
            minor=ventricle.minor * float(rng.uniform(0.55, 0.75)),
            angle=ventricle.angle + float(rng.normal(0, 0.12)),
        )
    thalami = tuple(Ellipse(side * 0.2, -0.04, 0.2, 0.17, side * 0.35) for side in (-1.0, 1.0))
    lobes = tuple(Ellipse(side * 0.26, -0.62, 0.19, 0.25, 0.0) for side in (-1.0, 1.0))
    return Head(
        outline=Ellipse(0.0, 0.0, length, length * float(ratio), _tilt(rng)),
        forward=forward,
        bone=0.7 + 0.0085 * circumference * float(rng.uniform(0.8, 1.2)),
        plane=plane,
        csp=csp,
        ventricle=ventricle,
        plexus=plexus,
        thalami=thalami if plane != "cerebellum" else (),
        cerebellum=lobes if plane == "cerebellum" else (),
    )


def smooth(
    rng: np.random.Generator, down: Values, right: Values, height: float, width: float
) -> Values:
    """Return smooth noise of mean 0 and standard deviation about 1 at points.

    Its bumps are about `height` mm high and `width` mm wide: cubic splines over a lattice of
    normal numbers with these spacings.
    """
    y, x = down / np.float32(height), right / np.float32(width)
    low = [int(np.floor(axis.min())) - 2 for axis in (y, x)]
    sizes = [int(np.ceil(axis.max())) + 3 - start for axis, start in zip((y, x), low, strict=True)]
    lattice = rng.standard_normal(sizes, np.float32) / np.float32(0.48)
    where = np.stack([y - low[0], x - low[1]])
    return ndimage.map_coordinates(lattice, where, order=3, prefilter=False)


def curve(rng: np.random.Generator, at: Values, spacing: float) -> Values:
    """Return smooth noise along a line, of mean 0 and standard deviation about 1, at `at`."""
    low, high = float(at.min()), float(at.max()) + spacing
    knots = np.arange(low, high + spacing / 8, spacing / 8)
    noise = ndimage.gaussian_filter1d(rng.standard_normal(len(knots)), 4, mode="wrap")
    return np.interp(at, knots, noise * 3.76).astype(np.float32)  # sqrt(2 sqrt(pi) 4)


def _tilt(rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
