"""A patient's face as an image: what is in front, its light, regions and displacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from papers.surgical_vision.faces import eyes, hair, skin
from papers.surgical_vision.faces.camera import Camera
from papers.surgical_vision.faces.hair import Hair
from papers.surgical_vision.faces.identity import Identity
from papers.surgical_vision.faces.light import Colors, Light, diffuse, encoded, gloss
from papers.surgical_vision.faces.mesh import Vertices, head, unit
from papers.surgical_vision.faces.raster import Fragments, fragments
from papers.surgical_vision.faces.visit import Visit

SAMPLES = 2  # a pixel has 2 x 2
BACKGROUND, SKIN, LIPS, HAIR, OTHER = range(5)  # regions

Image = UInt8[np.ndarray, "size size 3"]


@dataclass(frozen=True)
class Shape:
    """A face before or after: vertices of the head, and its hair."""

    vertices: Vertices
    hair: Hair


@dataclass
class Canvas:
    """Samples of an image, filled part by part: what is nearer stays."""

    color: Colors
    depth: Float32[np.ndarray, " samples"]
    region: UInt8[np.ndarray, " samples"]
    motion: Float32[np.ndarray, "samples 2"]

    def put(
        self, found: Fragments, color: Colors, region: np.ndarray | int, motion: np.ndarray
    ) -> None:
        """Draw fragments, one a sample, over what is farther away."""
        at = found.pixel
        self.color[at], self.depth[at] = color, found.depth
        self.region[at], self.motion[at] = region, motion


def render(
    identity: Identity, visit: Visit, camera: Camera, shape: Shape, size: int, other: Shape
) -> tuple[Image, UInt8[np.ndarray, "size size"], Float32[np.ndarray, "size size 2"]]:
    """Return the image of a face, its regions, and how far (pixels) `other` moves what it shows.

    Regions: 0 background, 1 skin, 2 lips, 3 hair, 4 other (eyes, brows, lashes, clothes).
    """
    side = size * SAMPLES
    canvas = _background(visit, side)
    base = head()
    points = camera.project(shape.vertices, side)
    motion = (camera.project(other.vertices, side) - points)[:, :2]
    _skin(canvas, identity, visit, camera, shape, points, motion)
    found = _front(canvas, fragments(points, base.eyes.triangles, side))
    lit = eyes.shaded(base, shape.vertices, found, camera, identity.iris, visit.light)
    canvas.put(found, lit, OTHER, found.blend(motion))
    _lashes(canvas, identity, points, side)
    if identity.style.thick > 0:
        moved = camera.project(other.hair.points, side) - camera.project(shape.hair.points, side)
        _hair(canvas, identity, visit, camera, shape.hair, moved[:, :2], side)
    image = canvas.color.reshape(size, SAMPLES, size, SAMPLES, 3).mean((1, 3))
    return encoded(image), _regions(canvas, size), _flow(canvas, size)


def _background(visit: Visit, side: int) -> Canvas:
    """Return a canvas with a wall that is brightest above the middle."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    away = np.minimum(line[None] ** 2 + (line[:, None] + 0.15) ** 2, 0.5)[..., None] * 2
    wall = visit.wall * (1 - away) + visit.wall_edge * away
    count = side * side
    return Canvas(
        color=wall.reshape(count, 3).astype(np.float32),
        depth=np.full(count, np.inf, np.float32),
        region=np.zeros(count, np.uint8),
        motion=np.zeros((count, 2), np.float32),
    )


def _front(canvas: Canvas, found: Fragments) -> Fragments:
    """Return what lies in front of the canvas, one fragment a sample."""
    found = found.where(found.depth < canvas.depth[found.pixel])
    return found.where(found.nearest())


def _skin(
    canvas: Canvas,
    identity: Identity,
    visit: Visit,
    camera: Camera,
    shape: Shape,
    points: Vertices,
    motion: np.ndarray,
) -> None:
    base = head()
    side = int(np.sqrt(len(canvas.depth)))
    found = fragments(points, base.skin.triangles, side)
    if identity.style.hides_ears:
        found = found.where(found.blend(base.ears) < 0.15)
    found = _front(canvas, found)
    normal = unit(found.blend(camera.turned(base.skin.normals(shape.vertices))))
    paint = skin.painted(identity, visit, found)
    sky, seen = _reached(visit.light, camera, found)
    shade = skin.hair_shade(identity, found.blend(base.vertices))
    lit = diffuse(normal, visit.light, sky * shade, seen * shade)
    rough = 1 - np.maximum(paint.scalp, paint.clothes)
    oily = 0.09 * gloss(normal, visit.light, 18) * (1 - paint.lips) * rough
    wet = visit.moist * gloss(normal, visit.light, 45) * paint.lips
    shine = (oily + wet) * sky * seen
    region = np.full(len(found), SKIN, np.uint8)
    region[paint.other > 0.5] = OTHER
    region[paint.lips > 0.5] = LIPS
    region[paint.scalp > 0.5] = HAIR
    canvas.put(
        found, paint.albedo * lit + shine[:, None] * visit.light.lamp, region, found.blend(motion)
    )


def _reached(light: Light, camera: Camera, found: Fragments) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of sky and lamp that reach the skin past the rest of the head."""
    base = head()
    direction = np.einsum("rc,r->c", camera.rotation, light.direction)  # as the head has it
    seen = base.seen[:, 0] + np.einsum("nc,c->n", base.seen[:, 1:], direction)
    shares = np.stack([base.sky, np.clip(seen, 0, 1)], 1)
    sky, lamp = found.blend(shares).T
    return sky, 0.25 + 0.75 * lamp


def _lashes(canvas: Canvas, identity: Identity, points: Vertices, side: int) -> None:
    """Darken what lies behind the lashes; they are finer than a pixel."""
    base = head()
    found = fragments(points, base.lashes.triangles, side, both_sides=True)
    found = found.where(found.depth < canvas.depth[found.pixel] + np.float32(0.03))
    found = found.where(found.nearest())
    upper = found.blend(base.vertices)[:, 1] > 0
    share = np.where(upper, 0.45, 0.12) * (1 if identity.male < 0.5 else 0.6)
    at = found.pixel
    canvas.color[at] *= (1 - share)[:, None].astype(np.float32)


def _hair(
    canvas: Canvas,
    identity: Identity,
    visit: Visit,
    camera: Camera,
    grown: Hair,
    motion: np.ndarray,
    side: int,
) -> None:
    points = camera.project(grown.points, side)
    found = fragments(points, grown.surface.triangles, side, both_sides=True)
    found = found.where(found.depth < canvas.depth[found.pixel])
    angles, height = found.blend(grown.azimuth), found.blend(grown.height)
    fine, locks = hair.strands(grown, angles, height, identity.grain)
    cover = hair.covers(grown.style, angles, height, fine, locks)
    normals = camera.turned(grown.surface.normals(grown.points))
    light, color = visit.light, visit.hair
    whole = cover > 0.9
    near = found.where(whole)
    near = near.where(near.nearest())
    lit = hair.shaded(grown, near, normals, camera, color, light, identity.grain)
    canvas.put(near, lit, HAIR, near.blend(motion))
    # The ragged edge in front lets shine through what is now drawn.
    edge = (cover > 0.05) & ~whole
    found, cover = found.where(edge), cover[edge]
    ahead = found.depth < canvas.depth[found.pixel]
    found, cover = found.where(ahead), cover[ahead]
    nearest = found.nearest()
    found, cover = found.where(nearest), cover[nearest]
    lit = hair.shaded(grown, found, normals, camera, color, light, identity.grain)
    canvas.color[found.pixel] += (lit - canvas.color[found.pixel]) * cover[:, None]
    most = found.where(cover > 0.5)
    canvas.put(most, canvas.color[most.pixel], HAIR, most.blend(motion))


def _regions(canvas: Canvas, size: int) -> UInt8[np.ndarray, "size size"]:
    """Return the region that most samples of a pixel show; the first one where two are even."""
    samples = canvas.region.reshape(size, SAMPLES, size, SAMPLES)
    counts = [(samples == region).sum((1, 3)) for region in range(OTHER + 1)]
    return np.argmax(counts, axis=0).astype(np.uint8)


def _flow(canvas: Canvas, size: int) -> Float32[np.ndarray, "size size 2"]:
    """Return the mean motion of the samples that show the head, in pixels; 0 without any."""
    there = np.isfinite(canvas.depth).astype(np.float32)
    shape = (size, SAMPLES, size, SAMPLES)
    total = (canvas.motion * there[:, None]).reshape(*shape, 2).sum((1, 3))
    count = there.reshape(shape).sum((1, 3))[..., None]
    return (total / np.maximum(count, 1) / SAMPLES).astype(np.float32)
