"""SSIM over all pairs of a set, against the source's loop over pairs with pytorch_msssim.

    python -m experiments.benchmarks.ssim --torch-python PATH

PATH is the interpreter of an environment with PyTorch (see `metrics_torch.py`). Both sides run in
turn on the same images; the loop does a stated number of pairs, from which its time for all is
extrapolated. Writes results/benchmarks/ssim.json and ssim.md.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from itertools import combinations, islice  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402

from common.metrics.ssim import WINDOW, all_pairs_ssim, ssim  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import gemm_rate, torch_process  # noqa: E402


def smooth_images(count: int, height: int, width: int) -> np.ndarray:
    """Return images [count height width 1] in [0, 1] with structure at the scale of a window."""
    noise = np.random.default_rng(0).standard_normal((count, height, width, 1)).astype(np.float32)
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 4, 4, 0))
    return np.clip(0.5 + 0.2 * smooth / smooth.std(), 0, 1)


def measure(options: argparse.Namespace, folder: Path) -> dict:
    images = smooth_images(options.images, options.height, options.width)
    np.save(folder / "images.npy", images)
    pairs = options.images * (options.images - 1) // 2
    first = np.array(list(islice(combinations(range(options.images), 2), options.pairs)))
    with torch_process(options.torch_python, "metrics_torch.py", folder) as (version, ask):
        start = time.perf_counter()
        found = all_pairs_ssim(images)
        first_call = time.perf_counter() - start
        expected = ask(f"ssim {options.pairs}")[1]
        ours, theirs = [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            all_pairs_ssim(images)
            ours.append(time.perf_counter() - start)
            theirs.append(ask(f"ssim {options.pairs}")[0] * pairs / options.pairs)
    same = float(np.mean(ssim(images[first[:, 0]], images[first[:, 1]])))
    positions = (options.height - WINDOW + 1) * (options.width - WINDOW + 1)
    operations = 2 * WINDOW**2 * positions * options.images**2
    return {
        "images": options.images,
        "shape": [options.height, options.width],
        "pairs": pairs,
        "pairs_measured_of_the_loop": options.pairs,
        "mean": found.mean,
        "difference_on_measured_pairs": abs(same - expected),
        "seconds": {"jax": ours, "torch_extrapolated": theirs},
        "times_as_fast": float(np.median(np.divide(theirs, ours))),
        "first_call_seconds": first_call,
        "share_of_gemm_rate": operations / float(np.median(ours)) / gemm_rate(),
        "torch": version,
        "machine": machine(),
    }


def table(result: dict) -> str:
    about, seconds = result["machine"], result["seconds"]
    return (
        "# SSIM over all pairs of a set\n\n"
        f"{result['images']} images of {result['shape'][0]}x{result['shape'][1]}, "
        f"{result['pairs']:,} pairs; {about['cpu']}, {about['threads']} threads; JAX "
        f"{about['jax']}, PyTorch {result['torch']}. In turn, medians of {len(seconds['jax'])} "
        f"rounds. The loop was measured on {result['pairs_measured_of_the_loop']} pairs a round "
        "and extrapolated.\n\n"
        "| form | seconds |\n|---|---|\n"
        f"| `all_pairs_ssim` | {np.median(seconds['jax']):.3g} |\n"
        f"| the source's loop, pytorch_msssim | {np.median(seconds['torch_extrapolated']):.3g} |\n"
        f"\n{result['times_as_fast']:.0f} times as fast (median over rounds); the means over the "
        f"measured pairs differ by {result['difference_on_measured_pairs']:.0e}. The matrix "
        f"products alone run at {result['share_of_gemm_rate']:.0%} of the rate at which this "
        "machine multiplies large matrices; every pair is computed twice in them.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with pytorch-msssim")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=1000, help="measured of the loop a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    write(options.out, "ssim", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
