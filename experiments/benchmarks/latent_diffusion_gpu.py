"""Stable Diffusion 1.5 with ControlNet on one GPU in bfloat16, against diffusers.

    python -m experiments.benchmarks.latent_diffusion_gpu --out FOLDER

Each side is a process of its own; both have the same weights from a formula and the same
conditions, and work in turn on one device. Reads and fetches nothing. Without diffusers (see
`latent_diffusion_torch.py`) in the interpreter that --torch-python names, this one by default,
ours is measured alone. Writes latent_diffusion_gpu.json and latent_diffusion_gpu.md after each row:
medians over the rounds, and the median of the ratio within a round.
"""

from common import xla

xla.configure()  # before JAX is imported, here and in the processes started from here

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from experiments.benchmarks.latent_diffusion_models import MODELS, setting  # noqa: E402
from experiments.benchmarks.latent_diffusion_sides import difference  # noqa: E402
from experiments.benchmarks.report import RESULTS, write  # noqa: E402
from experiments.benchmarks.torch_process import process  # noqa: E402

# those that matter most first: a time limit loses the last
ROWS = [(what, batch) for what in ("draw", "evaluate", "decode") for batch in (1, 8)]
WORDS = {
    "draw": "pipeline, {steps} UniPC steps with guidance",
    "evaluate": "U-Net and ControlNet, one evaluation",
    "decode": "decoding",
}
SCALE, TIME = 7.5, 681
GIB = 2**30
Ask = Callable[[str], list[float]]


def prepare(folder: Path, tiny: bool) -> dict[str, Any]:
    """Leave what both sides need in the folder, and return its numbers."""
    model = "tiny" if tiny else "sd15"
    config, random = MODELS[model], np.random.default_rng(0)
    batches = sorted({batch for _, batch in ROWS})
    numbers = {
        "model": model,
        "side": config.side,
        "batches": batches,
        "steps": 2 if tiny else 50,
        "evaluations": 2 if tiny else 10,
        "scale": SCALE,
        "time": TIME,
    }
    (folder / "setting.json").write_text(json.dumps({**setting(config), **numbers}))
    side, largest = config.side // config.vae.factor, batches[-1]
    latents = (largest, side, side, config.vae.latent_channels)
    contexts = (1 + largest, config.text.positions, config.text.features)
    np.savez(
        folder / "inputs.npz",
        x=random.standard_normal(latents, np.float32),
        contexts=random.standard_normal(contexts, np.float32),
        hint=random.random((config.side, config.side, 3), np.float32),
    )
    return numbers


def started(stack: ExitStack, name: str, command: list) -> tuple[str, Ask | None]:
    """Return the version of a side and what asks it, its weights loaded; None where it fails."""
    try:
        version, ask = stack.enter_context(process(command, name))
        ask("load")
    except SystemExit as error:
        print(error, flush=True)
        return f"{name} did not start", None
    return version, ask


def has_diffusers(python: str) -> bool:
    """Return whether the interpreter finds diffusers."""
    search = "import importlib.util, sys; sys.exit(importlib.util.find_spec('diffusers') is None)"
    return subprocess.run([python, "-c", search], check=False).returncode == 0


def measure(row: str, asks: dict[str, Ask], rounds: int, repeated: int) -> dict:
    """Return the seconds of the sides in turn, of one out of those `repeated` in a call."""
    first = {side: ask(row)[0] for side, ask in asks.items()}
    seconds: dict[str, list[float]] = {side: [] for side in asks}
    for _ in range(rounds):
        for side, ask in asks.items():
            seconds[side].append(ask(row)[0] / repeated)
    for ask in asks.values():
        ask(f"save {row}")
    steady = float(np.median(seconds["jax"])) * repeated
    result = {
        "seconds": seconds,
        "compile_seconds": first["jax"] - steady,
        "peak_bytes": {side: int(ask("memory")[1]) for side, ask in asks.items()},
    }
    if "torch" in asks:
        result["ratio"] = float(np.median(np.divide(seconds["jax"], seconds["torch"])))
    return result


def measured(options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
    """Measure all rows, and write after each what there is."""
    numbers, begin = prepare(folder, options.tiny), time.perf_counter()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compilation")
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the device is shared
    module = "experiments.benchmarks.latent_diffusion_gpu_jax"
    version, ours = started(stack, "our side", [sys.executable, "-m", module, folder])
    if ours is None:
        raise SystemExit("our side did not start: its last words are above")
    asks, other = {"jax": ours}, "diffusers is not installed"
    if has_diffusers(options.torch_python):
        script = Path(__file__).with_name("latent_diffusion_gpu_torch.py")
        command = [options.torch_python, script, folder]
        other, theirs = started(stack, "diffusers' side", command)
        asks |= {"torch": theirs} if theirs else {}
    result: dict[str, Any] = {
        **numbers,
        "jax": version,
        "torch": other,
        "xla_flags": os.environ["XLA_FLAGS"],
        "rounds": options.rounds,
        "rows": {},
    }
    for what, batch in ROWS:
        row = f"{what} {batch}"
        repeated = numbers["evaluations"] if what == "evaluate" else 1
        try:
            found = measure(row, asks, options.rounds, repeated)
        except SystemExit as error:  # ours goes on alone where the other has ended
            print(error, flush=True)
            if asks.pop("torch", None) is None:
                raise
            result["torch"] += f", which ended at {row!r}"
            found = measure(row, asks, options.rounds, repeated)
        if "torch" in asks:
            found["relative_difference"] = difference(folder, row)
        result["rows"][row] = found
        result["total_seconds"] = time.perf_counter() - begin
        write(options.out, "latent_diffusion_gpu", result, table(result))


def table(result: dict) -> str:
    lines = [
        "# Latent diffusion on a GPU: JAX against diffusers",
        "",
        f"{result['jax']}; {result['torch']}, eager. {result['side']}x{result['side']} pixels, "
        "bfloat16, ControlNet, same weights (from a formula) and conditions, in turn on one "
        f"device; medians of {result['rounds']} rounds. A ratio below 1 means that JAX is faster. "
        "Compilation is the first call, with an empty cache, minus the median. What both sides "
        "computed last differs by the norm of the difference, as a share.",
        "",
        "| what | batch | JAX, s | diffusers, s | ratio | JAX, images/s | diffusers, images/s "
        "| compiling, s | differs by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, found in result["rows"].items():
        what, batch = row.split()
        medians = [float(np.median(found["seconds"].get(s, np.nan))) for s in ("jax", "torch")]
        images = int(batch) if what != "evaluate" else np.nan
        figures = [
            *medians,
            found.get("ratio", np.nan),
            *(images / seconds for seconds in medians),
            found["compile_seconds"] if what != "decode" else np.nan,  # compiled as it drew
            found.get("relative_difference", np.nan),
        ]
        cells = ["" if np.isnan(figure) else f"{figure:.3g}" for figure in figures]
        lines.append(f"| {WORDS[what].format(**result)} | {batch} | {' | '.join(cells)} |")
    lines += ["", "| after | batch | JAX, peak GiB | diffusers, peak GiB |", "|---|---|---|---|"]
    for row, found in result["rows"].items():
        peaks = {side: f"{peak / GIB:.2f}" for side, peak in found["peak_bytes"].items()}
        what, batch = row.split()
        if what == "draw":
            lines.append(f"| {what} | {batch} | {peaks['jax']} | {peaks.get('torch', '')} |")
    lines += [
        "",
        "The hint is encoded once an image by our pipeline, outside of the one evaluation, and at "
        "every step by diffusers'. Peaks are of the device's memory in use, weights included.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with diffusers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a small model, to try this out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        measured(options, Path(folder), stack)


if __name__ == "__main__":
    main()
