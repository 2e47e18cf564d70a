"""From the CT to line integrals: what parallel rays from back to front lose in every structure.

Made once and kept; films are sums of these maps, each moved and scaled. Rows of a map run down,
columns to the patient's left, as on a film that one looks at: the patient's left is on the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from common import files, paths, provenance
from common.pretrained.published_weights import CHEST_CT, CHEST_CT_LABELS
from common.pretrained.weights import weights_path
from common.results.cache import cached
from common.study import config as configs
from papers.rare_disease_controlnet.simulation import ct

SIDES = ("left", "right")  # the patient's
LUNGS = {"left": (10, 11), "right": (12, 13, 14)}
RIBS = {"left": range(92, 104), "right": range(104, 116)}  # from the first down
CUT = range(3, 9)  # of the ribs, those that break most often and lie over lung: fourth to ninth
BACK, FRONT = (0,), (1,)  # halves of the body

# Structures that move together: their labels, and in which halves of the body.
GROUPS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "lung_left": (LUNGS["left"], BACK + FRONT),
    "lung_right": (LUNGS["right"], BACK + FRONT),
    "heart": ((*range(51, 64),), BACK + FRONT),  # with the great vessels
    "belly": ((*range(1, 10), *range(18, 25), 64), BACK + FRONT),
    "spine": ((*range(25, 51), 79), BACK + FRONT),
    "sternum": ((116,), BACK + FRONT),
    "ribs_back": ((*RIBS["left"], *RIBS["right"]), BACK),
    "ribs_front": ((*RIBS["left"], *RIBS["right"], 118), FRONT),  # with their cartilage
    "clavicles": ((73, 74), BACK + FRONT),
    "shoulders": ((*range(69, 73),), BACK + FRONT),  # scapulae and arms
}
SOFT = "soft"  # all the rest: muscle, fat, skin
NAMES = (*GROUPS, SOFT)

Map = Float32[np.ndarray, "rows columns"]


def maps() -> dict[str, np.ndarray]:
    """Return what `project` makes of the published CT, from the cache where it is there.

    Raises InputError where the CT can neither be found nor fetched.
    """
    scan = [weights_path(one) for one in (CHEST_CT, CHEST_CT_LABELS)]
    key = configs.digest([files.sha256(path) for path in scan], provenance.digest(_projected))
    return cached(paths.home() / "projections", "chest", key, lambda: _projected(*scan))


def _projected(scan: Path, labels: Path) -> dict[str, np.ndarray]:
    return project(ct.read(scan, labels))


def project(scan: ct.Scan) -> dict[str, np.ndarray]:
    """Return the maps of a scan by name.

    Line integrals of every group (no unit); `thickness_left` and `thickness_right`, mm of lung
    along the ray; `rib_left_4` and so on, the half of a rib in the back alone; `depths`, of the
    groups in the order of `NAMES`, how far in front of the lungs' middle they lie (mm); and
    `pixel`, height and width of a pixel (mm).
    """
    left, front, up = scan.labels.shape
    across, along, height = scan.voxel
    lungs = np.isin(scan.labels, [label for side in SIDES for label in LUNGS[side]])
    place = np.arange(front) - np.average(np.arange(front), weights=lungs.sum((0, 2)))
    half = (place > 0) * ct.LABELS
    integrals = np.zeros((2 * ct.LABELS, up, left), np.float32)
    mass, moment = np.zeros((2, 2 * ct.LABELS))
    for k in range(up):  # slice by slice, from below
        structure, lost = half + scan.labels[..., k], scan.attenuation[..., k] * np.float32(along)
        mass += np.bincount(structure.ravel(), lost.ravel(), 2 * ct.LABELS)
        moment += np.bincount(structure.ravel(), (lost * place).ravel(), 2 * ct.LABELS)
        cell = structure * left + np.arange(left)[:, None]
        row = np.bincount(cell.ravel(), lost.ravel(), 2 * ct.LABELS * left)
        integrals[:, up - 1 - k] = row.reshape(-1, left)
    members = {name: _members(*group) for name, group in GROUPS.items()}
    named = {one for group in members.values() for one in group}
    members[SOFT] = [one for one in range(2 * ct.LABELS) if one not in named]
    made = {name: integrals[members[name]].sum(0) for name in NAMES}
    for side in SIDES:
        chord = np.isin(scan.labels, LUNGS[side]).sum(1, dtype=np.float32) * np.float32(along)
        made[f"thickness_{side}"] = np.ascontiguousarray(chord.T[::-1])
        for number in CUT:
            made[rib(side, number)] = integrals[RIBS[side][number]]
    middles = [moment[one].sum() / max(mass[one].sum(), 1e-6) for one in members.values()]
    made["depths"] = np.array(middles) * along
    made["pixel"] = np.array([height, across])
    return made


def rib(side: str, number: int) -> str:
    """Return the name of a rib's map; the first rib has the number 0."""
    return f"rib_{side}_{number + 1}"


def _members(labels: Iterable[int], halves: Iterable[int]) -> list[int]:
    return [half * ct.LABELS + label for half in halves for label in labels]
