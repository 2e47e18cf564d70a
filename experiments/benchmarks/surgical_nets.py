"""Training step and inference of Pix2Pix, CycleGAN, StarGAN and StarGANv2, against PyTorch.

    python -m experiments.benchmarks.surgical_nets --torch-python PATH

PATH is the interpreter of an environment with PyTorch. Published widths, 128 pixels, batches of 4.
Each side of each row is a process of its own; both have the same weights, images, draws, threads
and memory settings, work in turn, and must compute the same. Ours is started twice: to compile, and
with what that left in the cache. Writes results/benchmarks/surgical_nets.json and surgical_nets.md:
medians over the rounds, and the median of the ratio within a round.
"""

from common import xla

xla.configure()  # before JAX is imported, here and in the processes started from here

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from experiments.benchmarks.latent_diffusion_sides import difference  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.surgical_nets_rows import (  # noqa: E402
    BATCH,
    ROWS,
    config_of,
    inputs_of,
)
from experiments.benchmarks.torch_process import in_turn, process, torch_process  # noqa: E402

ACTIONS = {"infer": "inference", "step": "training step"}  # the smaller peak first
ROUNDS = {"pix2pix": 9, "cyclegan": 3, "stargan": 3, "starganv2": 2}
GIB = 2**30
Ask = Callable[[str], list[float]]


def measure(row: str, options: argparse.Namespace) -> dict:
    """Return times, memory and difference of both sides, of a row's step and inference."""
    config, rounds = config_of(options.tiny), options.rounds or ROUNDS[row]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setting = {"size": config.data.size, "tiny": options.tiny}
        setting["options"] = asdict(getattr(config, row))
        (folder / "setting.json").write_text(json.dumps(setting))
        inputs: dict[str, Any] = inputs_of(row, config)
        np.savez(folder / "inputs.npz", **inputs)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compilation")
        ours = [sys.executable, "-m", "experiments.benchmarks.surgical_nets_jax", name, row]
        side = torch_process(options.torch_python, "surgical_nets_torch.py", name, row)
        with side as (version, ask_theirs):
            ask_theirs("load")
            with process(ours, "our side") as (_, ask):
                ask("load")
                cold, _, compiling = ask("compile")
            with process(ours, "our side") as (_, ask):
                ask("load")
                cached = ask("compile")[0]
                sides = {"jax": ask, "torch": ask_theirs}
                actions = {action: compare(action, sides, folder, rounds) for action in ACTIONS}
    return {
        "torch": version,
        "compile_seconds": {"cold": cold, "cached": cached},
        "compile_peak_bytes": int(compiling),
        "actions": actions,
    }


def compare(action: str, sides: Mapping[str, Ask], folder: Path, rounds: int) -> dict:
    """Return seconds in turn, peaks, and how what both computed first and last differs.

    A step's last losses show that both have moved the weights alike.
    """
    ours, theirs = sides["jax"], sides["torch"]

    def differ() -> float:
        for ask in sides.values():
            ask(f"save {action}")
        return difference(folder, action)

    ours(action), theirs(action)
    first = differ()
    result = in_turn(lambda: ours(action), lambda: theirs(action)[0], rounds)
    print(action, f"{result['ratio']:.2f}", flush=True)
    return {
        **result,
        "relative_differences": {"first": first, "last": differ()},
        "peak_bytes": {side: int(ask(f"save {action}")[2]) for side, ask in sides.items()},
    }


def table(result: dict) -> str:
    about, rows = result["machine"], result["rows"]
    lines = [
        "# Generative networks of the surgery study: JAX against PyTorch",
        "",
        f"{about['cpu']}, {about['threads']} threads on either side; JAX {about['jax']}, "
        f"{next(iter(rows.values()))['torch']}, eager, float32. Batches of {BATCH} images of "
        f"{result['size']}x{result['size']} pixels. Same weights, images and draws, in turn; "
        "medians. A ratio below 1 means that JAX is faster.",
        "",
        "| model | what | JAX, s | PyTorch, s | ratio | rounds | JAX, peak GiB "
        "| PyTorch, peak GiB | first values differ by | last by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row, measured in rows.items():
        for action, found in measured["actions"].items():
            ours, theirs = (np.median(found["seconds"][side]) for side in ("jax", "torch"))
            peaks, differences = found["peak_bytes"], found["relative_differences"]
            lines.append(
                f"| {ROWS[row]} | {ACTIONS[action]} | {ours:.3g} | {theirs:.3g} "
                f"| {found['ratio']:.2f} | {len(found['seconds']['jax'])} "
                f"| {peaks['jax'] / GIB:.2f} | {peaks['torch'] / GIB:.2f} "
                f"| {differences['first']:.0e} | {differences['last']:.0e} |"
            )
    compiling = {ROWS[row]: measured["compile_seconds"] for row, measured in rows.items()}
    times = (f"{name} {s['cold']:.0f} s ({s['cached']:.1f} s)" for name, s in compiling.items())
    lines += [
        "",
        "A step is one update of every network: of the discriminators (StarGAN's with its gradient "
        "penalty, StarGANv2's twice, with R1) and of the generators (StarGANv2's twice, with its "
        "moving averages). Neither side augments or drops. PyTorch's side makes once what a step "
        "uses twice, and gradients of the trained weights alone; it normalizes Pix2Pix by image, "
        "as ours does. XLA also makes once what two calls of StarGANv2's generator have in common, "
        "which is its encoder. Losses differ by rounding, and by what Adam makes of it where the "
        "weights have moved: in all steps but the first, and in half of StarGANv2's first. Peaks "
        "are the largest resident memory of a process, which holds the whole training; ours has "
        "read its programs from the cache. To compile both takes "
        f"{', '.join(times)}, in brackets from the cache.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with PyTorch")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument(
        "--rounds", type=int, help="of every row; default: as many as take a minute"
    )
    parser.add_argument("--tiny", action="store_true", help="small networks, to try this out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    rows = {}
    for row in options.rows:
        print(row, flush=True)
        rows[row] = measure(row, options)
    size = config_of(options.tiny).data.size
    result = {"machine": machine(), "load_before": load, "size": size, "rows": rows}
    write(options.out, "surgical_nets", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
