"""A face before and after an operation, both photographic, and as far as one wishes between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy.ndimage import gaussian_filter

from papers.surgical_vision.photos.face import DETAIL, LIPS, Face, coarse, regions
from papers.surgical_vision.photos.warp import DOMAINS, Velocity, flow, velocity, warped

AMOUNTS = (0.6, 1.4)  # least and most of an operation
# What differs between two visits, standard deviations:
LIGHT = 0.12  # of the gain at the image's edges, across it in a random direction
GAIN = 0.06  # of the whole image's brightness, of its logarithm
TONE = 0.03  # of each color's gain, of its logarithm
MAKE_UP = 0.08  # of the lips' gain in each color, of its logarithm


@dataclass(frozen=True)
class Pair:
    """A face before and after, 0 to 255, and what was done to it.

    `amounts` are of DOMAINS in their order, 0 of those that were not operated. `flow` is where what
    is seen at a pixel of `before` lies in `after`, minus where it is, (x, y) in pixels. `regions`
    are of `before`: 0 unknown, 1 skin, 2 lips, 4 other.
    """

    name: str
    before: UInt8[np.ndarray, "size size 3"]
    after: UInt8[np.ndarray, "size size 3"]
    domains: tuple[str, ...]
    amounts: Float32[np.ndarray, " domains"]
    flow: Float32[np.ndarray, "size size 2"]
    regions: UInt8[np.ndarray, "size size"]


def pair(face: Face, seed: int, index: int, *, visits: bool = True) -> Pair:
    """Return a face with one or two domains operated by drawn amounts.

    What is drawn depends on the seed and the index alone. With `visits` light, tone and make-up
    differ too, as between two visits; what moves is the same with and without.
    """
    operation, visit = np.random.default_rng([seed, index]).spawn(2)
    count = int(operation.integers(1, 3))
    chosen = sorted(operation.choice(len(DOMAINS), count, replace=False).tolist())
    amounts = np.zeros(len(DOMAINS), np.float32)
    amounts[chosen] = operation.uniform(*AMOUNTS, count)
    fine = face.fine.astype(np.float32)
    changed = _next_visit(fine, face, visit) if visits else fine
    motion = _motion(face, amounts)
    return Pair(
        name=face.name,
        before=face.image,
        after=coarse(warped(changed, motion)),
        domains=tuple(DOMAINS[i] for i in chosen),
        amounts=amounts,
        flow=flow(motion, DETAIL),
        regions=regions(face.landmarks, face.size),
    )


def ladder(
    face: Face, amounts: Float32[np.ndarray, " domains"], shares: Sequence[float | int]
) -> UInt8[np.ndarray, "shares size size 3"]:
    """Return the face with a share of an operation each, at the visit before it.

    Share 0 is the face before, bit for bit; share 1 the whole operation.
    """
    fine = face.fine.astype(np.float32)
    motion = _motion(face, amounts)
    return np.stack([coarse(warped(fine, motion, s) if s else fine) for s in shares])


def _motion(face: Face, amounts: Float32[np.ndarray, " domains"]) -> Velocity:
    """Return the velocity that operates on the face's finer image."""
    named = dict(zip(DOMAINS, amounts.tolist(), strict=True))
    return velocity(DETAIL * face.landmarks, named, DETAIL * face.size)


def _next_visit(
    fine: Float32[np.ndarray, "fine fine 3"], face: Face, random: np.random.Generator
) -> Float32[np.ndarray, "fine fine 3"]:
    """Return the image in other light and tone, with other make-up of the lips."""
    place = np.linspace(-1, 1, len(fine), dtype=np.float32)
    angle = random.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * place[None, :] + np.sin(angle) * place[:, None]
    light = 1 + random.normal(0, LIGHT) * slope[..., None]
    tone = np.exp(random.normal(0, GAIN) + random.normal(0, TONE, 3))
    lips = regions(DETAIL * face.landmarks, len(fine)) == LIPS
    soft = gaussian_filter(lips.astype(np.float32), len(fine) / 128)[..., None]
    make_up = np.exp(random.normal(0, MAKE_UP, 3) * soft)
    return (fine * light * tone * make_up).astype(np.float32)
