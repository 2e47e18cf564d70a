"""Fréchet distance of two sets' statistics, against the square root of a matrix by scipy.

    python -m experiments.benchmarks.frechet

The other side is pytorch-fid's formula: the trace of `scipy.linalg.sqrtm` of the product of both
covariances. Both run in turn on the same statistics in float64 and must give one value. Writes
results/benchmarks/frechet.json and frechet.md: medians over the rounds, and the median of the ratio
of times within a round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import scipy.linalg  # noqa: E402

from common.metrics.frechet import Statistics, gaussian_frechet_distance  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402


def pooled_features(images: int, features: int, shift: float) -> np.ndarray:
    """Return features as pooled ReLUs have them: not negative, correlated, of a long spectrum."""
    random = np.random.default_rng(0)
    mixing = np.linalg.qr(random.standard_normal((features, features)))[0]
    spread = np.exp(-7 * np.arange(features) / features)  # a thousandth at the end
    draws = np.random.default_rng(int(1000 * shift)).standard_normal((images, features))
    return np.maximum(0.3 + shift + (draws * spread) @ mixing, 0)


def by_square_root(mean_a, covariance_a, mean_b, covariance_b) -> float:
    """Return the distance as pytorch-fid 0.3.0 does for covariances of full rank."""
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b).real
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return float(((mean_a - mean_b) ** 2).sum() + traces - 2 * np.trace(root))


def seconds_of(action: Callable) -> tuple[float, float]:
    start = time.perf_counter()
    value = float(action())
    return time.perf_counter() - start, value


def measure(options: argparse.Namespace) -> dict:
    sets = [pooled_features(options.images, options.features, shift) for shift in (0.0, 0.02)]
    moments = [m for s in map(Statistics.of, sets) for m in (s.mean, s.covariance)]
    seconds: dict[str, list[float]] = {"ours": [], "sqrtm": [], "product": []}
    for _ in range(options.rounds):
        ours, found = seconds_of(lambda: gaussian_frechet_distance(*moments))
        theirs, expected = seconds_of(lambda: by_square_root(*moments))
        product, _ = seconds_of(lambda: (moments[1] @ moments[3])[0, 0])
        for side, value in (("ours", ours), ("sqrtm", theirs), ("product", product)):
            seconds[side].append(value)
    return {
        "features": options.features,
        "images": options.images,
        "value": found,
        "relative_difference": abs(found - expected) / expected,
        "seconds": seconds,
        "times_as_fast": float(np.median(np.divide(seconds["sqrtm"], seconds["ours"]))),
        # two Cholesky factors 2/3 n³, their product 2 n³, its bidiagonal form 8/3 n³
        "share_of_gemm_rate": float(np.median(np.divide(seconds["product"], seconds["ours"])))
        * (2 / 3 + 2 + 8 / 3)
        / 2,
        "machine": machine(),
    }


def table(result: dict) -> str:
    about, seconds = result["machine"], result["seconds"]
    return (
        "# Fréchet distance of two sets' statistics\n\n"
        f"{result['features']} features, statistics of {result['images']} images each, float64; "
        f"{about['cpu']}, {about['threads']} threads. In turn, medians of {len(seconds['ours'])} "
        "rounds.\n\n"
        "| form | seconds |\n|---|---|\n"
        f"| `gaussian_frechet_distance` | {np.median(seconds['ours']):.3g} |\n"
        f"| `scipy.linalg.sqrtm`, as pytorch-fid | {np.median(seconds['sqrtm']):.3g} |\n"
        f"\n{result['times_as_fast']:.1f} times as fast (median over rounds); the values differ by "
        f"{result['relative_difference']:.0e} of theirs. It runs at "
        f"{result['share_of_gemm_rate']:.0%} of the rate at which this machine multiplies such "
        "matrices: half of its operations reduce a matrix to two diagonals, and half of these are "
        "products of a matrix and a vector, bound by memory.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--images", type=int, default=5000, help="more than features")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    result = measure(options)
    write(options.out, "frechet", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
