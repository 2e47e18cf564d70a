"""What each tissue looks like in the three channels, in units of white matter's signal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from papers.lgg_attention_unet.simulation.tissues import TISSUES

# Of every tissue: pre-contrast T1, FLAIR, post-contrast T1.
SIGNAL = {
    "white": (1.0, 1.0, 1.0),
    "gray": (0.78, 1.2, 0.8),
    "fluid": (0.32, 0.3, 0.34),
    "bone": (0.15, 0.15, 0.15),
    "marrow": (0.9, 0.6, 0.95),
    "fat": (2.0, 1.7, 2.1),
    "skin": (1.1, 1.0, 1.35),
    "muscle": (0.75, 0.6, 0.85),
    "eye": (0.3, 0.3, 0.32),
    "air": (0.01, 0.01, 0.01),
    "vessel": (0.35, 0.25, 1.9),
    "dura": (0.5, 0.45, 0.95),
    "spot": (0.88, 1.75, 0.9),
    "tumor": (0.0, 0.0, 0.0),  # of each patient
    "core": (0.4, 0.75, 0.42),
    "rim": (0.0, 0.0, 1.7),
}
SPREAD = {"gray": 0.05, "fluid": 0.2, "fat": 0.2, "spot": 0.12, "core": 0.25, "marrow": 0.25}


def signals(rng: np.random.Generator, contrast: float) -> Float32[np.ndarray, "channel tissue"]:
    """Draw every tissue's signal for one patient; a tumor is by `contrast` above white in FLAIR.

    The more it stands out in FLAIR, the darker it is in T1.
    """
    table = np.array([SIGNAL[name] for name in TISSUES]).T
    spread = np.array([SPREAD.get(name, 0.05 if name != "white" else 0.0) for name in TISSUES])
    table *= np.exp(spread * np.clip(rng.standard_normal(table.shape), -2, 2))
    dark = 1 - np.clip(0.12 + 0.35 * contrast + rng.normal(0, 0.05), 0.1, 0.55)
    lesion = (dark, 1 + contrast, dark + 0.02)
    table[:, TISSUES.index("tumor")] = lesion
    table[:2, TISSUES.index("rim")] = lesion[:2]
    return table.astype(np.float32)
