"""The head that all faces are made of: base mesh, targets, masks, and normals of surfaces.

Lengths are in dm. The origin is the middle between the eyes; x points to the patient's left, which
is the right of the image, y up, z out of the face.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Integer
from scipy import sparse

from common.errors import InputError

FILE = Path(__file__).with_name("heads.npz")
# In the code, which the key of prepared data follows: another file is other data.
SHA256 = "b7549898fe5bcb2aa4c96c3536070425ae95b8a10ceec29217637c7fece26771"

Vertices = Float32[np.ndarray, "vertices 3"]
PerVertex = Float32[np.ndarray, " vertices"]


@dataclass(frozen=True)
class Surface:
    """Triangles, and which of them meet at every vertex."""

    triangles: Int[np.ndarray, "triangles 3"]
    meeting: sparse.csr_array  # [vertices triangles], of zeros and ones

    def normals(self, points: Vertices) -> Vertices:
        """Return the unit normal at every vertex: the mean over its triangles, weighted by area."""
        first, second, third = (points[self.triangles[:, corner]] for corner in range(3))
        return unit(self.meeting @ np.cross(second - first, third - first))


@dataclass(frozen=True)
class Head:
    """The base mesh, its parts, and what is known at each of its vertices."""

    vertices: Vertices
    skin: Surface
    eyes: Surface
    lashes: Surface
    targets: Float32[np.ndarray, "targets vertices 3"]
    target_index: Mapping[str, int]
    lips: PerVertex  # shares, 0 to 1, as those below
    lids: PerVertex
    face: PerVertex
    ears: PerVertex
    sky: PerVertex  # of the light of an evenly bright sky that reaches the skin past the head
    seen: Float32[np.ndarray, "vertices 4"]  # light from direction d is seen: c + (x, y, z) · d
    landmarks: Mapping[str, int]  # vertices

    def shaped(self, weights: Mapping[str, float | int]) -> Vertices:
        """Return the vertices of a face: the base mesh plus targets times weights.

        The sum is taken in the order of the weights, one by one, so that its bits do not depend on
        the library that multiplies matrices.
        """
        points = self.vertices.copy()
        for name, weight in weights.items():
            if weight:
                points += np.float32(weight) * self.targets[self.target_index[name]]
        return points


@lru_cache(1)
def head() -> Head:
    """Return the head of heads.npz; raises InputError where it is not what make_heads.py wrote."""
    content = FILE.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise InputError(f"{FILE}: damaged, or made anew; restore it, or set SHA256 in mesh.py")
    with np.load(io.BytesIO(content)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    count = len(arrays["vertices"])
    masks = {
        name: arrays[f"mask_{name}"].astype(np.float32) / 255
        for name in ("lips", "eyelids", "face", "ears")
    }
    visibility = arrays["visibility"].astype(np.float32)
    return Head(
        vertices=arrays["vertices"],
        skin=surface(arrays["skin"], count),
        eyes=surface(arrays["eyes"], count),
        lashes=surface(arrays["lashes"], count),
        targets=arrays["targets"].astype(np.float32),
        target_index={str(name): index for index, name in enumerate(arrays["target_names"])},
        lips=masks["lips"],
        lids=masks["eyelids"],
        face=masks["face"],
        ears=masks["ears"],
        sky=visibility[:, 0],
        seen=visibility[:, 1:],
        landmarks={
            str(name): int(vertex)
            for name, vertex in zip(arrays["landmark_names"], arrays["landmarks"], strict=True)
        },
    )


def surface(triangles: Integer[np.ndarray, "triangles 3"], count: int) -> Surface:
    """Return triangles over `count` vertices as a surface."""
    triangles = triangles.astype(np.int64)
    rows = triangles.ravel()
    columns = np.repeat(np.arange(len(triangles)), 3)
    ones = np.ones(len(rows), np.float32)
    meeting = sparse.csr_array((ones, (rows, columns)), shape=(count, len(triangles)))
    return Surface(triangles, meeting)


def unit(vectors: Float32[np.ndarray, "*n 3"]) -> Float32[np.ndarray, "*n 3"]:
    """Return vectors scaled to length 1 (one of length 0 stays)."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    return vectors / np.maximum(length, np.float32(1e-12))
