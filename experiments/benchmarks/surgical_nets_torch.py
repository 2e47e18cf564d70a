"""PyTorch's side of `experiments.benchmarks.surgical_nets`, in eager mode.

Started by it with the interpreter of a PyTorch environment (`pip install torch==2.13.0 numpy`), a
folder and a row. Answers as `answering` says: "load" makes the networks and leaves their weights in
the folder; then "infer" and "step".
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answering import answer
from latent_diffusion_sides import recorded
from surgical_nets_torch_models import MODELS


def main() -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    folder, row = Path(sys.argv[1]), sys.argv[2]
    setting = json.loads((folder / "setting.json").read_text())
    inputs = {key: torch.from_numpy(a) for key, a in np.load(folder / "inputs.npz").items()}
    models: list[Any] = []

    def load() -> float:
        torch.manual_seed(0)
        models.append(MODELS[row](setting["size"], setting["options"]))
        for name, network in models[0].networks.items():
            weights = {key: value.numpy() for key, value in network.state_dict().items()}
            np.savez(folder / f"{name}.npz", **weights)
        return 0.0

    def step() -> np.ndarray:
        losses = models[0].step(inputs)
        return np.array([losses[name].item() for name in sorted(losses)])

    def infer() -> np.ndarray:
        with torch.inference_mode():
            return models[0].infer(inputs).permute(0, 2, 3, 1).numpy()

    runs = recorded({"infer": infer, "step": step}, folder / "torch")
    answer(f"PyTorch {torch.__version__}", {"load": load, **runs})


if __name__ == "__main__":
    main()
