"""The PyTorch side of `experiments.benchmarks.unet_step`: MONAI's network, trained and sampled.

Started by it with the interpreter of the PyTorch environment that `sampling_torch.py` describes
and a folder. Writes the weights there, then answers as `answering` says.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from answering import answer
from generative.networks.schedulers import DDIMScheduler
from sampling_torch import build, draw


def main() -> None:
    torch.set_num_threads(os.cpu_count())
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    network = build(setting["model"])
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in network.state_dict().items()})
    inputs = {name: torch.from_numpy(a) for name, a in np.load(folder / "inputs.npz").items()}
    x, noise = (inputs[name].permute(0, 3, 1, 2).contiguous() for name in ("x", "noise"))
    t, context = inputs["t"].long(), inputs["conditions"][:, None]
    optimizer = torch.optim.Adam(network.parameters(), setting["rate"])
    scheduler = DDIMScheduler(1000)
    scheduler.set_timesteps(setting["steps"])

    def forward() -> float:
        with torch.no_grad():
            return network(x, t, context).abs().mean().item()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.mean((network(x, t, context) - noise) ** 2)
        loss.backward()
        optimizer.step()
        return loss.item()

    def sample() -> float:
        images = draw(
            network, scheduler, x, context, inputs["unconditional"], setting["guidance_scale"]
        )
        return images.abs().mean().item()

    answer(torch.__version__, {"forward": forward, "step": step, "sample": sample})


if __name__ == "__main__":
    main()
