"""The PyTorch side of `experiments.benchmarks.sampling`: MONAI's network and scheduler.

Started by it with the interpreter of a PyTorch environment (`pip install torch monai==1.4.0` and
`pip install --no-deps monai-generative==0.2.3`) and a folder. Writes the weights there, then draws
as many images as each line of standard input says, all in one batch, and answers with seconds.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from generative.networks.nets import DiffusionModelUNet
from generative.networks.schedulers import DDIMScheduler


def build(model: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    network = DiffusionModelUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        num_channels=model["channels"],
        attention_levels=model["attention"],
        num_head_channels=model["head_channels"],
        num_res_blocks=model["residual_blocks"],
        norm_num_groups=model["groups"],
        with_conditioning=True,
        cross_attention_dim=model["condition_features"],
    )
    for parameter in network.parameters():
        if not parameter.any():  # a branch of zeros would hide what it computes
            torch.nn.init.normal_(parameter, std=0.02)
    return network.eval()


@torch.no_grad()
def draw(network, scheduler, noise, conditions, unconditional, scale: float) -> torch.Tensor:
    x, both = noise, torch.cat([unconditional.expand_as(conditions), conditions])
    for t in scheduler.timesteps:
        times = torch.full((len(both),), int(t))
        eps = network(torch.cat([x, x]), timesteps=times, context=both)
        eps_u, eps_c = eps.chunk(2)
        x, _ = scheduler.step(eps_u + scale * (eps_c - eps_u), t, x)
    return x


def main() -> None:
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    network = build(setting["model"])
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in network.state_dict().items()})
    print(torch.__version__, flush=True)
    scheduler = DDIMScheduler(1000)
    scheduler.set_timesteps(setting["steps"])
    for line in sys.stdin:
        count = int(line)
        inputs = np.load(folder / "inputs.npz")
        noise = torch.from_numpy(inputs["noise"][:count]).permute(0, 3, 1, 2).contiguous()
        conditions = torch.from_numpy(inputs["conditions"][:count])[:, None]
        unconditional = torch.from_numpy(inputs["unconditional"])
        start = time.perf_counter()
        images = draw(network, scheduler, noise, conditions, unconditional, setting["scale"])
        seconds = time.perf_counter() - start
        np.save(folder / "images.npy", images.permute(0, 2, 3, 1).numpy())
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
