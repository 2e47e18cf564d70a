"""findpeaks's side of `experiments.benchmarks.ultrasound_filters`: its filters of speckle.

Started by it with the interpreter of an environment with findpeaks (`pip install findpeaks==2.7.5`)
and a folder that holds an image. Answers as `answering` says; "save" leaves there what each filter
gave last.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from answering import answer
from findpeaks.filters.frost import frost_filter
from findpeaks.filters.kuan import kuan_filter
from findpeaks.filters.lee import lee_filter

SCALE = 1e6  # Lee's and Kuan's filters round to whole numbers


def main() -> None:
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    image = np.load(folder / "image.npy").astype(np.float64) * SCALE
    size, speckle = setting["size"], setting["speckle"]
    filters = {
        "lee": partial(lee_filter, win_size=size, cu=speckle),
        "kuan": partial(kuan_filter, win_size=size, cu=speckle),
        "frost": partial(frost_filter, win_size=size, damping_factor=setting["damping"]),
    }
    found = {}

    def run(name: str, action: Callable) -> float:
        found[name] = action(image) / SCALE
        return found[name].mean()

    def save() -> float:
        np.savez(folder / "found.npz", **found)
        return len(found)

    actions = {name: partial(run, name, action) for name, action in filters.items()}
    np.seterr(divide="ignore", invalid="ignore")  # of black windows, which stay black
    answer(version("findpeaks"), {**actions, "save": save})


if __name__ == "__main__":
    main()
