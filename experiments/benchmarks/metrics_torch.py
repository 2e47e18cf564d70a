"""The PyTorch side of `experiments.benchmarks.ssim` and `experiments.benchmarks.inception`.

Started by them with the interpreter of a PyTorch environment (`pip install torch torchvision
pytorch-fid pytorch-msssim`) and a folder. A line "ssim N" is answered with the seconds that the
source's loop takes over the first N pairs of images.npy and their mean; a line "inception WIDTH
COUNT" with the seconds of the network's features of that many images and their mean.
"""

import os
import sys
import time
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import torch


def ssim_loop(images: torch.Tensor, pairs: int) -> float:
    from pytorch_msssim import ssim

    chosen = islice(combinations(range(len(images)), 2), pairs)
    values = [ssim(images[i : i + 1], images[j : j + 1], data_range=1).item() for i, j in chosen]
    return float(np.mean(values))


def networks(folder: Path) -> dict[int, torch.nn.Module]:
    """Return pytorch-fid's networks by width, random weights, which are left in the folder."""
    from pytorch_fid import inception

    torch.manual_seed(0)
    plain = torch.nn.Module.load_state_dict
    torch.nn.Module.load_state_dict = lambda self, state: None  # nothing is downloaded
    inception.load_state_dict_from_url = lambda *_, **__: None
    whole = inception.fid_inception_v3()
    torch.nn.Module.load_state_dict = plain
    state = {name: value for name, value in whole.state_dict().items() if value.ndim}
    np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in state.items()})
    inception.fid_inception_v3 = lambda: whole
    blocks = inception.InceptionV3.BLOCK_INDEX_BY_DIM
    return {width: inception.InceptionV3([block]).eval() for width, block in blocks.items()}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(os.cpu_count())
    folder = Path(sys.argv[1])
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2).contiguous()
    network = networks(folder) if (folder / "inception").exists() else {}
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        action, *numbers = line.split()
        start = time.perf_counter()
        if action == "ssim":
            value = ssim_loop(images, int(numbers[0]))
        else:
            width, count = map(int, numbers)
            # pytorch-fid reads every file as RGB
            value = network[width](images[:count].expand(-1, 3, -1, -1))[0].mean().item()
        print(time.perf_counter() - start, value, flush=True)


if __name__ == "__main__":
    main()
