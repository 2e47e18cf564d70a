"""A patient of nobody's face: before and after an operation, with the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from papers.surgical_vision.faces import hair, identity, operation, scene, targets, visit
from papers.surgical_vision.faces.camera import Camera, camera, rotation
from papers.surgical_vision.faces.identity import Identity
from papers.surgical_vision.faces.mesh import head
from papers.surgical_vision.faces.operation import DOMAINS
from papers.surgical_vision.faces.scene import Shape
from papers.surgical_vision.faces.visit import Visit

WIDTH = (0.75, 0.8)  # of the image that the head takes, ears included
TURN = (5.0, 2.5, 1.5)  # degrees, standard deviations of yaw, pitch and roll
LANDMARKS = tuple(targets.LANDMARKS)  # names, in the order of FacePair.landmarks


@dataclass(frozen=True)
class FacePair:
    """A patient before and after an operation."""

    before: UInt8[np.ndarray, "size size 3"]
    after: UInt8[np.ndarray, "size size 3"]
    domains: tuple[str, ...]  # operated on, in the order of DOMAINS
    amounts: Float32[np.ndarray, "domains=3"]  # of eyes, nose, chin; 0 is not operated on
    # pixels (x, y) by which `after` moves the surface point that `before` shows; 0 off the head
    flow: Float32[np.ndarray, "size size 2"]
    regions: UInt8[np.ndarray, "size size"]  # of `before`: see scene.render
    landmarks: Float32[np.ndarray, "landmarks 2 2"]  # before and after, x and y, in pixels
    truth: dict[str, float]  # what else was drawn


@dataclass(frozen=True)
class _Case:
    """All that was drawn for a patient."""

    who: Identity
    amounts: dict[str, float]
    camera: Camera
    pose: tuple[float, float, float]
    first: Visit
    second: Visit

    def shape(self, share: float | int) -> Shape:
        weights = operation.operated(self.who.weights, self.amounts, share)
        vertices = head().shaped(weights)
        return Shape(vertices, hair.grown(self.who.style, vertices, self.who.grain))


def patient(index: int, seed: int, size: int, *, visits: bool = True) -> FacePair:
    """Return a patient before and after an operation, in images of `size` pixels.

    `visits` lets light, skin tone, make-up, hair color, clothes and background differ between the
    two; pose and expression never do. The same (seed, index) gives the same bits on a platform.
    """
    case = _drawn(index, seed, visits)
    before, after = case.shape(0), case.shape(1)
    first, regions, flow = scene.render(case.who, case.first, case.camera, before, size, after)
    second, _, _ = scene.render(case.who, case.second, case.camera, after, size, after)
    named = [head().landmarks[name] for name in LANDMARKS]
    places = [case.camera.project(shape.vertices[named], size)[:, :2] for shape in (before, after)]
    return FacePair(
        before=first,
        after=second,
        domains=tuple(domain for domain in DOMAINS if case.amounts[domain] > 0),
        amounts=np.array([case.amounts[domain] for domain in DOMAINS], np.float32),
        flow=flow,
        regions=regions,
        landmarks=np.stack(places, 1),
        truth=_truth(case),
    )


def ladder(
    index: int, seed: int, size: int, shares: Sequence[float | int], *, visits: bool = True
) -> UInt8[np.ndarray, "shares size size 3"]:
    """Return a patient at the first visit with shares of the operation: 0 none, 1 all of it.

    Share 0 is `before` of `patient`, bit for bit.
    """
    case = _drawn(index, seed, visits)
    shapes = [case.shape(share) for share in shares]
    return np.stack(
        [scene.render(case.who, case.first, case.camera, shape, size, shape)[0] for shape in shapes]
    )


def _drawn(index: int, seed: int, visits: bool) -> _Case:
    rng = np.random.default_rng([seed, index])
    who = identity.draw(rng)
    amounts = operation.draw(rng)
    yaw, pitch, roll = (float(np.clip(rng.normal(0, sd), -2 * sd, 2 * sd)) for sd in TURN)
    share = float(rng.uniform(*WIDTH))
    first = visit.draw(rng, who)
    second = visit.draw(rng, who) if visits else first
    view = camera(head(), head().shaped(who.weights), rotation(yaw, pitch, roll), share)
    return _Case(who, amounts, view, (yaw, pitch, roll), first, second)


def _truth(case: _Case) -> dict[str, float]:
    who = case.who
    return {
        "age": who.age,
        "male": who.male,
        **who.ancestry,
        "melanin": who.melanin,
        "yaw": case.pose[0],
        "pitch": case.pose[1],
        "roll": case.pose[2],
        "across": case.camera.across,
        **_seen("before", case.first),
        **_seen("after", case.second),
    }


def _seen(when: str, visit: Visit) -> dict[str, float]:
    """Return what was drawn for a visit."""
    return {
        f"tan_{when}": float(visit.tan[0]),
        f"lips_{when}": visit.lips,
        f"hair_{when}": float(visit.hair.mean()),
        f"light_x_{when}": float(visit.light.direction[0]),
        f"light_y_{when}": float(visit.light.direction[1]),
    }
