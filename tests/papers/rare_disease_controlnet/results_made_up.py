"""Metrics and arrays as an evaluation gives them, with made-up values: all arms are alike."""

from typing import Any, get_args

import numpy as np

from papers.rare_disease_controlnet.config import Arm, ArmsConfig

FINDINGS = ("effusion", "pneumothorax", "nodule")
CLASSES = ("normal", *FINDINGS)
RARE, MAIN, CASES, SIDE = "pneumothorax", 24, 2, 8
EDGES = ("finding", "normal", "uncontrolled", "strength_0", "of_others")
ARMS = ArmsConfig(rare=(12, MAIN), elsewhere=("real", "selected"), doses=(24, 96))


def scored(single: bool = True) -> dict[str, Any]:
    """Return what a classifier has; films with several findings have no F1 of normal ones."""
    named = CLASSES if single else FINDINGS
    found: dict[str, Any] = {
        "f1": dict.fromkeys(named, 0.5),
        "rare_f1": 0.5,
        "macro_f1": 0.6,
        "rare_auroc": 0.8,
        "rare_sensitivity": 0.4,
        "rare_calibration_error": 0.1,
        "rare_reliability": {
            "predicted": [0.05, None, 0.8],
            "observed": [0.1, None, 0.6],
            "count": [30, 0, 10],
        },
        "n_rare": 10,
        "n": 40,
        "auroc": dict.fromkeys(FINDINGS, 0.8),
    }
    if single:
        found["confusion"] = [[7, 1, 1, 1], [1, 7, 1, 1], [2, 1, 6, 1], [0, 0, 0, 0]]
    return found


def names() -> list[str]:
    """Return the classifiers by the name that they have in the metrics."""
    found = [f"{arm}_{MAIN}" for arm in get_args(Arm)] + [f"pretraining_{MAIN}"]
    found += [f"{arm}_12" for arm in ARMS.elsewhere]
    return found + [f"selected_{MAIN}_dose_{dose}" for dose in ARMS.doses]


def metrics(single: bool = True, known: bool = True) -> dict[str, Any]:
    """Return the metrics of a seed; `known`: where findings lie, and on which side."""
    audit: dict[str, Any] = {
        "edges": dict.fromkeys(
            ("finding", "normal", "uncontrolled", "strength_0", "of_others"), 0.5
        ),
        "change": {"inside": 10.0, "outside": 2.5, "ratio": 0.25} if known else {},
        "as_asked": {
            "finding": dict.fromkeys(CLASSES, 0.5),
            "rare": 0.5,
            "rare_unasked": 0.5,
            **({"side": 0.5} if known else {}),
        },
        "quality": {
            "fid768": 10.0,
            "kid": 0.1,
            "kid_std": 0.01,
            "n_features": 9,
            "frechet_classifier": 3.0,
            "single": {"real": 9.0, "synthetic": 9.0, "auroc": 0.5},
        },
        "memorization": {
            "generated_median": 30.0,
            "heldout_median": 30.0,
            "below_first_percentile": 0.01,
            "membership_auroc": 0.5,
        },
    }
    drawn = {"drawn": 100, "accepted": 96, "share": 0.96}
    curve = {"step": [1, 2, 4], "loss": [3.0, 2.0, 1.0]}
    trained = ("autoencoder", "denoiser", "controlnet", "reviewer", "adaptation_12",
               f"adaptation_{MAIN}", *(f"classifier_{name}" for name in names()))  # fmt: skip
    return {
        "main": MAIN,
        "classifiers": {name: scored(single) for name in names()},
        "gains": {
            arm: dict.fromkeys(("rare_f1", "macro_f1", "rare_auroc"), 0.0) for arm in get_args(Arm)
        },
        "engine": audit,
        "reviewer": {"acceptance": {"12": dict(drawn), f"{MAIN}": dict(drawn)}, "auroc": 0.9},
        "training": dict.fromkeys(trained, curve),
    }


def changed(found: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change measures in place: `{"section.measure": value}`; None is one that was not finite."""
    for path, value in changes.items():
        *sections, last = path.split(".")
        inner = found
        for section in sections:
            inner = inner[section]
        assert last in inner, f"{path} is no measure"
        inner[last] = value
    return found


def samples(known: bool = True) -> dict[str, np.ndarray]:
    """Return the arrays of the figures; `known`: sides and extents."""
    random = np.random.default_rng(0)

    def films(*shape: int) -> np.ndarray:
        return random.integers(0, 256, (*shape, SIDE, SIDE)).astype(np.uint8)

    found = {f"{kind}_{name}": films(CASES) for kind in ("real", "synthetic") for name in CLASSES}
    found["synthetic_normal"] = films(0)  # none of them were drawn
    found |= {name: films(CASES) for name in ("structures", "drawn_finding", "drawn_normal",
              "drawn_uncontrolled", "drawn_strength_0")}  # fmt: skip
    found["edges"] = (films(CASES) > 200).astype(np.uint8) * np.uint8(255)
    found["denoising"], found["grid"] = films(5), films(4, 4)
    found["grid_guidance"], found["grid_control"] = np.array([1, 3, 7.5, 15]), np.arange(4) / 2
    found |= {f"nearest_{name}": films(CASES)[..., None] for name in ("generated", "training")}
    found["nearest_distance"] = np.array([12.5, 20.0])
    if known:
        found["drawn_sides"] = np.array(["left", "right"])
        found["real_extents_pneumothorax"] = np.array([0.2, 0.9])
        found |= {"severity": films(2, 3), "severity_sides": np.array(["left", "right"]),
                  "severity_extents": np.array([0.15, 0.5, 0.85])}  # fmt: skip
    return found
