"""Stable Diffusion 1.5 at its full size, its ControlNet, and training its LoRA, against diffusers.

    python -m experiments.benchmarks.latent_diffusion --torch-python PATH

PATH is the interpreter of an environment with diffusers (see `latent_diffusion_torch.py`). Each
side of each row is a process of its own; both have the same weights from a formula, inputs, threads
and memory settings, work in turn, and must compute the same. Ours is started twice: with an empty
compilation cache, and with what that left there. Writes results/benchmarks/latent_diffusion.json
and latent_diffusion.md: medians over the rounds, and the median of the ratio within a round.
"""

from common import xla

xla.configure()  # before JAX is imported, here and in the processes started from here

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from experiments.benchmarks.latent_diffusion_models import MODELS, setting  # noqa: E402
from experiments.benchmarks.latent_diffusion_sides import (  # noqa: E402
    ALPHA,
    DRAWN,
    RANK,
    difference,
)
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import in_turn, process  # noqa: E402

ROWS = {
    "unet": "U-Net, batch 2 (a guidance pair)",
    "control": "U-Net with ControlNet, batch 2",
    "decode": "decoding one image",
    "train": "LoRA training step, batch 1",
    "draw": f"pipeline, {DRAWN['steps']} UniPC steps with guidance, 4 images",
}
BATCH = {"unet": 2, "control": 2, "decode": 1, "train": 1, "draw": 4}
TINY = ("draw",)  # rows of the small model, whatever the others' is
GIB = 2**30
Ask = Callable[[str], list[float]]


def side_of(row: str, model: str) -> int:
    """Return the pixels of an image's side: a full-size training's is half the model's."""
    side = MODELS[model].side
    return side // 2 if (row, model) == ("train", "sd15") else side


def draw_inputs(row: str, model: str) -> dict[str, np.ndarray]:
    """Return latents, times, contexts and hints of a row."""
    config, random, batch = MODELS[model], np.random.default_rng(0), BATCH[row]
    side = side_of(row, model) // config.vae.factor
    tokens = (batch, config.text.positions, config.text.features)
    latents = (batch, side, side, config.vae.latent_channels)
    inputs = {
        "x": random.standard_normal(latents, np.float32),
        "t": np.full(batch, 681, np.int32),
        "context": random.standard_normal(tokens, np.float32),
    }
    if row == "control":
        inputs["hint"] = random.random((batch, config.side, config.side, 3), np.float32)
    return inputs


def measure(row: str, options: argparse.Namespace) -> dict:
    """Return times, memory and difference of both sides of a row."""
    model = "tiny" if options.tiny or row in TINY else "sd15"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "setting.json").write_text(json.dumps(setting(MODELS[model])))
        inputs: dict[str, Any] = draw_inputs(row, model)
        np.savez(folder / "inputs.npz", **inputs)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compilation")
        ours = [sys.executable, "-m", "experiments.benchmarks.latent_diffusion_jax"]
        ours += [name, model, row]
        script = Path(__file__).with_name("latent_diffusion_torch.py")
        theirs = [options.torch_python, script, folder, row]
        with process(ours, "our side") as (_, ask):
            cold = ready(ask)
        with process(ours, "our side") as (_, ask):
            cached = ready(ask)
            with process(theirs, "diffusers' side") as (version, ask_theirs):
                before = int(ask_theirs("start")[2])
                ask_theirs("load")
                result = compare(ask, ask_theirs, folder, options.rounds)
    print(row, f"{result['ratio']:.2f}", flush=True)
    once = np.median(result["seconds"]["jax"]) if row == "draw" else 0.0  # compiled as it draws
    result["peak_bytes"]["jax, compiling"] = cold["peak_bytes"]
    return {
        **result,
        "torch": version,
        "model": model,
        "side": side_of(row, model),
        "batch": BATCH[row],
        "compile_seconds": {
            "cold": cold["compile_seconds"] - once,
            "cached": cached["compile_seconds"] - once,
        },
        "weights_bytes": cached["weights_bytes"],
        "buffers_bytes": cached["buffers_bytes"],
        "start_bytes": {"jax": cached["start_bytes"], "torch": before},
    }


def ready(ask: Ask) -> dict:
    """Make our side ready to run and run it once; return what that took."""
    before, weights, (seconds, buffers, _) = ask("start")[2], ask("load")[1], ask("compile")
    return {
        "start_bytes": int(before),
        "weights_bytes": int(weights),
        "buffers_bytes": int(buffers),
        "compile_seconds": seconds,
        "peak_bytes": int(ask("run")[2]),
    }


def compare(ask: Ask, ask_theirs: Ask, folder: Path, rounds: int) -> dict:
    """Return the seconds of the rounds, peaks, and how what both computed last differs."""
    ask_theirs("run")  # as ours has
    result = in_turn(lambda: ask("run"), lambda: ask_theirs("run")[0], rounds)
    peaks = {"jax": int(ask("save run")[2]), "torch": int(ask_theirs("save run")[2])}
    return {**result, "peak_bytes": peaks, "relative_difference": difference(folder, "run")}


def table(result: dict) -> str:
    about, rows = result["machine"], result["rows"]
    first = next(iter(rows.values()))
    rounds = min(len(row["seconds"]["jax"]) for row in rows.values())
    lines = [
        "# Latent diffusion: JAX against diffusers",
        "",
        f"{about['cpu']}, {about['threads']} threads on either side; JAX {about['jax']}, "
        f"{first['torch']}, eager, float32. Same weights (from a formula) and inputs, in turn; "
        f"medians of at least {rounds} rounds. A ratio below 1 means that JAX is "
        "faster. Compilation, tracing included, is that of a new process with an empty cache and "
        "with a filled one. What both sides computed last differs by the norm of the difference, "
        "as a share.",
        "",
        "| what | side | JAX, s | diffusers, s | ratio | compiling, s | cached, s | differs by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        ours, theirs = (np.median(row["seconds"][side]) for side in ("jax", "torch"))
        compiling = row["compile_seconds"]
        lines.append(
            f"| {ROWS[name]} | {row['side']} | {ours:.3g} | {theirs:.3g} | {row['ratio']:.2f} "
            f"| {compiling['cold']:.3g} | {compiling['cached']:.2g} "
            f"| {row['relative_difference']:.0e} |"
        )
        if name == "draw":
            rates = f"{row['batch'] / ours:.3g} images/s, diffusers {row['batch'] / theirs:.3g}"
    lines += [
        "",
        "Inputs are 64x64 latents and 77 tokens of 768 where the side is 512 pixels. The "
        "ControlNet's hint is encoded once an image by our pipeline, and so before the time "
        "measured, and at every step by diffusers'. A training step is of rank "
        f"{RANK}, alpha {ALPHA:g} on all projections of all attention, AdamW, the U-Net fixed; "
        "diffusers has peft's layers.",
        *([f"The pipeline of the small model draws {rates}."] if "draw" in rows else []),
        "",
        "| what | weights, GiB | JAX, peak GiB | compiling too | diffusers, peak GiB "
        "| ours / theirs | ours / weights | ours / (weights + buffers) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        weights, peak = row["weights_bytes"], row["peak_bytes"]
        own = peak["jax"] - row["start_bytes"]["jax"]
        needed = weights + row["buffers_bytes"]
        share = f"{own / needed:.2f}" if row["buffers_bytes"] else ""
        lines.append(
            f"| {ROWS[name]} | {weights / GIB:.2f} | {peak['jax'] / GIB:.2f} "
            f"| {peak['jax, compiling'] / GIB:.2f} | {peak['torch'] / GIB:.2f} "
            f"| {peak['jax'] / peak['torch']:.2f} | {own / weights:.2f} | {share} |"
        )
    lines += [
        "",
        "Peaks are the largest resident memory of a process. The last two columns are without what "
        "it held before the weights; the buffers are what XLA plans for activations.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with diffusers")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="the small model, to try this out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    rows = {row: measure(row, options) for row in options.rows}
    result = {"machine": machine(), "load_before": load, "rows": rows}
    write(options.out, "latent_diffusion", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
