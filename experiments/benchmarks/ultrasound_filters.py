"""Classical filters of speckle: run time beside quality, and ours against findpeaks's.

    python -m experiments.benchmarks.ultrasound_filters --findpeaks-python PATH

PATH is the interpreter of an environment with findpeaks (see `ultrasound_filters_findpeaks.py`).
The images are the study's simulated heads with the speckle of the simulation, and their clean
images under the reference paper's; quality is measured against the clean images. Every filter
gets one image at a time. Lee's, Kuan's and Frost's run in turn with findpeaks's on one image
and must give the same values; the others are SciPy's and scikit-image's own. Di-Conv-AE-Net of the
published size has random weights, hence a run time and no quality. Writes
results/benchmarks/ultrasound_filters.json and ultrasound_filters.md: medians over the rounds, and
the median over the rounds of the ratio within a round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from functools import partial  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402

from common.metrics.psnr import psnr  # noqa: E402
from common.metrics.speckle import edge_preservation, speckle_index  # noqa: E402
from common.metrics.ssim import ssim  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import in_turn, process  # noqa: E402
from papers.ultrasound_diconvae import filters  # noqa: E402
from papers.ultrasound_diconvae.config import DenoiserConfig  # noqa: E402
from papers.ultrasound_diconvae.models.denoiser import DiConvAE  # noqa: E402
from papers.ultrasound_diconvae.simulate import cohort  # noqa: E402
from papers.ultrasound_diconvae.speckle import RAYLEIGH_MEAN, speckled  # noqa: E402

SIGMAS = (0.25, 0.50)
NETWORK = "Di-Conv-AE-Net"
DIGITS = {"psnr": 1, "ssim": 3, "speckle_index": 3, "edge_preservation": 3}
SIZE = 7  # of findpeaks's windows, which are ours of one pixel less
PACKAGES = {
    **dict.fromkeys(("lee", "kuan", "frost", NETWORK), "JAX"),
    **dict.fromkeys(("mean", "median"), "SciPy"),
    **dict.fromkeys(("bilateral", "total_variation", "non_local_means"), "scikit-image"),
    "bm3d": "bm3d",
}


def draw_images(count: int, side: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return images [count side side 1] of every kind of speckle, and clean ones, in [0, 1]."""
    heads = list(cohort(count, 0, height=side, width=side))
    images, clean = (
        np.stack([getattr(head, name) for head in heads]) / np.float32(255)
        for name in ("image", "clean")
    )
    kinds = {"Speckle of the simulation": images}
    for place, sigma in enumerate(SIGMAS):
        noisy = speckled(jax.random.key(place), jnp.asarray(clean), sigma)
        kinds[f"Rayleigh speckle, sigma {sigma:g}"] = np.asarray(noisy)
    return kinds, clean


def diconvae() -> filters.Filter:
    """Return the published network's forward pass, of random weights."""
    graph, state = nnx.split(DiConvAE(DenoiserConfig(), rngs=nnx.Rngs(0)))
    return partial(jax.jit(lambda state, images: nnx.merge(graph, state)(images)), state)


def timed(run: filters.Filter, images: np.ndarray, rounds: int) -> tuple[np.ndarray, list[float]]:
    """Return the filtered images and each round's seconds an image, compilation left out."""
    found = np.concatenate([run(images[i : i + 1]) for i in range(len(images))])
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for i in range(len(images)):
            jax.block_until_ready(run(images[i : i + 1]))
        seconds.append((time.perf_counter() - start) / len(images))
    return found, seconds


def quality(images: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """Return means over the images."""
    images = np.clip(images, 0, 1)
    scores = {
        "psnr": psnr(images, clean),
        "ssim": ssim(images, clean),
        "speckle_index": speckle_index(images),
        "edge_preservation": edge_preservation(clean, images),
    }
    return {name: float(np.mean(score)) for name, score in scores.items()}


def against_findpeaks(image: np.ndarray, python: str, rounds: int) -> dict:
    """Return times of both sides and the largest difference on one image [1 side side 1].

    Frost's differs by design within half a window of the edges, where it is not compared.
    """
    window, inner = SIZE - 1, (slice(SIZE // 2, -(SIZE // 2)),) * 2
    ours = {
        "lee": partial(filters.lee, window=window),
        "kuan": partial(filters.kuan, window=window),
        "frost": partial(filters.frost, window=window, form="findpeaks"),
    }
    setting = {"size": SIZE, "speckle": filters.SPECKLE, "damping": filters.DAMPING}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "image.npy", image[0, ..., 0])
        (folder / "setting.json").write_text(json.dumps(setting))
        script = Path(__file__).with_name("ultrasound_filters_findpeaks.py")
        with process([python, script, folder], "findpeaks's side") as (release, ask):
            found, rows = {}, {}
            for action, run in ours.items():
                found[action] = np.asarray(run(image))[0, ..., 0]
                rows[action] = in_turn(
                    lambda run=run: run(image).block_until_ready(),
                    lambda action=action: ask(action)[0],
                    rounds,
                    "findpeaks",
                )
                print(action, f"{rows[action]['ratio']:.2g}", flush=True)
            ask("save")
        theirs = np.load(folder / "found.npz")
        for action, row in rows.items():
            apart = np.abs(found[action] - theirs[action])
            row["largest_difference"] = float((apart[inner] if action == "frost" else apart).max())
    return {"version": release, **setting, "filters": rows}


def measure(options: argparse.Namespace) -> dict:
    kinds, clean = draw_images(options.images, options.side)
    found: dict[str, dict] = {}
    for kind, images in kinds.items():
        found[kind] = {"none": quality(images, clean)}
        for name, run in filters.available().items():
            filtered, seconds = timed(run, images, options.rounds)
            found[kind][name] = {"seconds": seconds, **quality(filtered, clean)}
            print(kind, name, f"{np.median(seconds):.3g} s", flush=True)
    kind, images = next(iter(kinds.items()))
    found[kind][NETWORK] = {"seconds": timed(diconvae(), images, options.rounds)[1]}
    return {
        "side": options.side,
        "images": options.images,
        "rounds": options.rounds,
        "filters": found,
        "skipped": filters.skipped(),
        "findpeaks": against_findpeaks(images[:1], options.findpeaks_python, options.rounds),
        "packages": {name: version(name) for name in ("scipy", "scikit-image")},
        "machine": machine(),
    }


def table(result: dict) -> str:
    about, packages = result["machine"], result["packages"]
    brighter = " and ".join(f"{RAYLEIGH_MEAN * sigma:.0%}" for sigma in SIGMAS)
    lines = [
        "# Filters of speckle: run time beside quality",
        "",
        f"{result['images']} simulated heads of {result['side']}x{result['side']}, one at a "
        f"time; {about['cpu']}, {about['threads']} threads; JAX {about['jax']}, SciPy "
        f"{packages['scipy']}, scikit-image {packages['scikit-image']}. Medians of "
        f"{result['rounds']} rounds; quality is the mean over the images, PSNR (dB), SSIM and "
        "edge preservation against the clean image; the network's weights are random. The "
        f"reference paper's Rayleigh speckle brightens too, by {brighter}, which no filter takes "
        "back.",
    ]
    for kind, rows in result["filters"].items():
        lines += [
            "",
            f"**{kind}**",
            "",
            "| filter | by | s an image | PSNR | SSIM | speckle index | edge preservation |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, row in rows.items():
            seconds = f"{np.median(row['seconds']):.2g}" if "seconds" in row else ""
            scores = [f"{row[s]:.{digits}f}" if s in row else "" for s, digits in DIGITS.items()]
            cells = (name.replace("_", " "), PACKAGES.get(name, ""), seconds, *scores)
            lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nLeft out: {name} ({reason})." for name, reason in result["skipped"].items()]
    return "\n".join([*lines, *findpeaks_table(result["findpeaks"])]) + "\n"


def findpeaks_table(found: dict) -> list[str]:
    lines = [
        "",
        f"**Against findpeaks {found['version']}**",
        "",
        f"One image, in turn; windows of {SIZE - 1} pixels, findpeaks's size {SIZE}. A ratio "
        "below 1 means that JAX is faster. Frost's filter in findpeaks's form, which weights by "
        "value and not by distance, compared but for half a window along the edges.",
        "",
        "| filter | JAX, s | findpeaks, s | ratio | largest difference of values in [0, 1] |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["filters"].items():
        ours, theirs = (np.median(row["seconds"][side]) for side in ("jax", "findpeaks"))
        lines.append(
            f"| {name} | {ours:.2g} | {theirs:.2g} | {row['ratio']:.1g} "
            f"| {row['largest_difference']:.0e} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--findpeaks-python", required=True, help="interpreter with findpeaks")
    parser.add_argument("--side", type=int, default=256, help="of an image, in pixels")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    result = measure(options)
    write(options.out, "ultrasound_filters", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
