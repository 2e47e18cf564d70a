"""Features of the Inception network of FID, against pytorch-fid's.

    python -m experiments.benchmarks.inception --torch-python PATH

PATH is the interpreter of an environment with PyTorch (see `metrics_torch.py`). Both sides have the
same random weights and images, run in turn, and must give the same features. Writes
results/benchmarks/inception.json and inception.md: medians over the rounds, and the median of the
ratio of times within a round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402

from common.pretrained.inception import inception_features, inception_parameters  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import gemm_rate, in_turn, torch_process  # noqa: E402

WIDTHS = (768, 2048)  # of the study, and of FID elsewhere


def measure(options: argparse.Namespace, folder: Path) -> dict:
    shape = (max(options.batches), options.height, options.width, 1)
    images = np.random.default_rng(0).random(shape, np.float32)
    np.save(folder / "images.npy", images)
    (folder / "inception").touch()
    with torch_process(options.torch_python, "metrics_torch.py", folder) as (version, ask):
        parameters = inception_parameters(dict(np.load(folder / "weights.npz")))
        compiled = jax.jit(inception_features, static_argnums=2)
        found = [
            alternate(
                lambda w=width, b=batch: compiled(parameters, images[:b], w).block_until_ready(),
                lambda w=width, b=batch: ask(f"inception {w} {b}"),
                options.rounds,
            )
            | {"width": width, "batch": batch, "operations": operations(parameters, images, width)}
            for width in WIDTHS
            for batch in options.batches
        ]
    return {
        "shape": [options.height, options.width],
        "features": found,
        "rounds": options.rounds,
        "gemm_operations_per_second": gemm_rate(),
        "torch": version,
        "machine": machine(),
    }


def operations(parameters, images: np.ndarray, width: int) -> float:
    """Return the floating-point operations of one image."""
    lowered = jax.jit(inception_features, static_argnums=2).lower(parameters, images[:1], width)
    return float(lowered.cost_analysis()["flops"])


def alternate(ours: Callable, theirs: Callable, rounds: int) -> dict:
    """Return times of both sides in turn, their ratio, and how far the features' means differ."""
    start = time.perf_counter()
    mean = float(ours().mean())
    first, expected = time.perf_counter() - start, theirs()[1]
    return {
        **in_turn(ours, lambda: theirs()[0], rounds),
        "first_call_seconds": first,
        "relative_difference": abs(mean - expected) / abs(expected),
    }


def table(result: dict) -> str:
    about = result["machine"]
    lines = [
        "# Inception features: JAX against PyTorch",
        "",
        f"Gray images of {result['shape'][0]}x{result['shape'][1]}, resized to 299x299 by the "
        f"network; {about['cpu']}, {about['threads']} threads on either side; JAX {about['jax']}, "
        f"PyTorch {result['torch']} with pytorch-fid, eager. Same weights, in turn, medians of "
        f"{result['rounds']} rounds. A ratio below 1 means that JAX is faster. The last column is "
        "the share of the rate at which JAX multiplies large matrices here "
        f"({result['gemm_operations_per_second'] / 1e9:.0f} GFLOP/s).",
        "",
        "| features | batch | JAX, images/s | PyTorch, images/s | ratio of times "
        "| features differ by | share of the machine |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["features"]:
        ours, theirs = (row["batch"] / np.median(row["seconds"][s]) for s in ("jax", "torch"))
        share = ours * row["operations"] / result["gemm_operations_per_second"]
        lines.append(
            f"| {row['width']} | {row['batch']} | {ours:.3g} | {theirs:.3g} | {row['ratio']:.2f} "
            f"| {row['relative_difference']:.0e} | {share:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with pytorch-fid")
    parser.add_argument("--batches", type=int, nargs="*", default=(8, 16, 32))
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    write(options.out, "inception", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
