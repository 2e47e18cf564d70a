"""MS-SSIM and LPIPS as losses, value and gradient, against pytorch-msssim and lpips.

    python -m experiments.benchmarks.losses --torch-python PATH

PATH is the interpreter of an environment with PyTorch (see `losses_torch.py`). Both sides have the
same images and weights (random trunks, published heads), run in turn, and must give the same value
and the same gradient. The gradient is that of the first images; the second are the target. Writes
results/benchmarks/losses.json and losses.md: medians over the rounds, and the median of the ratio
of times within a round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from common.metrics.lpips import lpips  # noqa: E402
from common.metrics.ssim import ms_ssim  # noqa: E402
from common.pretrained.perceptual import LAYOUTS, perceptual_network  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.ssim import smooth_images  # noqa: E402
from experiments.benchmarks.torch_process import gemm_rate, in_turn, torch_process  # noqa: E402

NAMES = {
    "ms_ssim": "MS-SSIM, pytorch-msssim",
    "alex": "LPIPS of AlexNet, lpips",
    "vgg": "LPIPS of VGG16, lpips",
}


def draw_images(options: argparse.Namespace) -> np.ndarray:
    """Return pairs [2 batch height width channels]: smooth images and noisy copies of them."""
    count = options.batch * options.channels
    x = smooth_images(count, options.height, options.width)[..., 0]
    x = np.moveaxis(x.reshape(options.batch, options.channels, *x.shape[1:]), 1, -1)
    noise = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    return np.stack([np.clip(x + 0.1 * noise, 0, 1), x]).astype(np.float32)


def losses(folder: Path) -> dict:
    """Return value and gradient of each loss as a compiled function of two batches."""
    functions = {"ms_ssim": (lambda _, x, y: ms_ssim(x, y).mean(), None)}
    for net in LAYOUTS:
        network = perceptual_network(net, dict(np.load(folder / f"{net}.npz")))
        functions[net] = (lambda network, x, y: lpips(network, x, y).mean(), network)
    return {
        name: (jax.jit(jax.value_and_grad(loss, argnums=1)), weights)
        for name, (loss, weights) in functions.items()
    }


def measure(options: argparse.Namespace, folder: Path) -> dict:
    images = draw_images(options)
    np.save(folder / "images.npy", images)
    x, y = jnp.asarray(images)
    rows = []
    with torch_process(options.torch_python, "losses_torch.py", folder) as (version, ask):
        for name, (compiled, weights) in losses(folder).items():
            operations = compiled.lower(weights, x, y).cost_analysis()["flops"]
            start = time.perf_counter()
            value, slope = jax.block_until_ready(compiled(weights, x, y))
            first = time.perf_counter() - start
            _, expected, steepness = ask(name)
            times = in_turn(
                lambda f=compiled, w=weights: jax.block_until_ready(f(w, x, y)),
                lambda n=name: ask(n)[0],
                options.rounds,
            )
            rows.append(
                {
                    "loss": name,
                    **times,
                    "first_call_seconds": first,
                    "operations": float(operations),
                    "difference": abs(float(value) - expected),
                    "gradient_norms_differ_by": abs(float(jnp.linalg.norm(slope)) / steepness - 1),
                }
            )
    return {
        "shape": list(images.shape[1:]),
        "losses": rows,
        "rounds": options.rounds,
        "gemm_operations_per_second": gemm_rate(),
        "torch": version,
        "machine": machine(),
    }


def table(result: dict) -> str:
    about, (batch, *shape) = result["machine"], result["shape"]
    rate = result["gemm_operations_per_second"]
    lines = [
        "# Losses, value and gradient: JAX against PyTorch",
        "",
        f"{batch} pairs of {'x'.join(map(str, shape))}; {about['cpu']}, {about['threads']} threads "
        f"on either side; JAX {about['jax']}, PyTorch {result['torch']}, eager. Same images and "
        f"weights, in turn, medians of {result['rounds']} rounds. A ratio below 1 means that JAX "
        "is faster. The last column is the share of the rate at which JAX multiplies large "
        f"matrices here ({rate / 1e9:.0f} GFLOP/s).",
        "",
        "| loss | JAX, s | PyTorch, s | ratio of times | values differ by "
        "| gradients' norms differ by | share of the machine |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["losses"]:
        ours, theirs = (np.median(row["seconds"][side]) for side in ("jax", "torch"))
        lines.append(
            f"| {NAMES[row['loss']]} | {ours:.3g} | {theirs:.3g} | {row['ratio']:.2f} "
            f"| {row['difference']:.0e} | {row['gradient_norms_differ_by']:.0e} "
            f"| {row['operations'] / ours / rate:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with lpips")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    write(options.out, "losses", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
