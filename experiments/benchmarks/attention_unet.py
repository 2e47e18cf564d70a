"""Training step and inference of the Attention U-Net, against PyTorch and against Keras.

    python -m experiments.benchmarks.attention_unet --torch-python PATH --keras-python PATH [--all]

Each PATH is the interpreter of an environment with that library (see `attention_unet_torch.py` and
`attention_unet_keras.py`); without Keras's, it is left out. Every side is a process of its own,
ours in float32 and in bfloat16 too; they have the same weights, inputs, threads and memory
settings, work in turn, and must compute the same values. A training step is forward pass,
gradients of cross-entropy minus Dice, and Adam's update. Writes
results/benchmarks/attention_unet.json and attention_unet.md: medians over the rounds, the median of
the ratio within a round, and the largest resident memory of each process.
"""

from common import xla

xla.configure()  # before JAX is imported, here and in the processes started from here

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import in_turn, process  # noqa: E402

RATE, SMOOTH = 1e-4, 0.1  # as published
JAX, HALF, TORCH, KERAS = "JAX", "JAX bf16", "PyTorch", "Keras"
ACTIONS = {"step": "training step", "forward": "inference"}


@dataclass(frozen=True)
class Size:
    """A network and its input, square images of three channels; `rounds` measured rounds."""

    filters: tuple[int, ...]
    side: int
    batch: int
    rounds: int


SIZES = (
    Size((16, 32, 64, 128, 256), 128, 8, rounds=9),
    Size((64, 128, 256, 512, 1024), 256, 1, rounds=5),  # the published network
)


def draw_inputs(size: Size) -> dict[str, np.ndarray]:
    """Return images in [0, 1] and masks of a disc in each."""
    random = np.random.default_rng(0)
    images = random.random((size.batch, size.side, size.side, 3), np.float32)
    centers = random.uniform(0.3, 0.7, (2, size.batch, 1, 1))
    y, x = np.mgrid[: size.side, : size.side][:, None] / size.side - centers
    masks = (x**2 + y**2 < 0.04).astype(np.float32)[..., None]
    return {"images": images * (0.5 + 0.5 * masks), "masks": masks}


def commands(options: argparse.Namespace, folder: Path) -> dict[str, list]:
    """Return what starts each side; PyTorch's comes first and writes the weights."""
    here = Path(__file__)
    ours = [sys.executable, "-m", "experiments.benchmarks.attention_unet_jax", folder]
    sides = {TORCH: [options.torch_python, here.with_name("attention_unet_torch.py"), folder]}
    if options.keras_python:
        sides[KERAS] = [options.keras_python, here.with_name("attention_unet_keras.py"), folder]
    return sides | {JAX: [*ours, "float32"], HALF: [*ours, "bfloat16"]}


def measure(size: Size, options: argparse.Namespace) -> dict:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setting = {"filters": size.filters, "rate": RATE, "smooth": SMOOTH}
        (folder / "setting.json").write_text(json.dumps(setting))
        np.savez(folder / "inputs.npz", **draw_inputs(size))
        versions, asks = {}, {}
        for name, command in commands(options, folder).items():
            versions[name], asks[name] = stack.enter_context(process(command, f"{name}'s side"))
        # inference first: on the weights that all begin with
        actions = {name: compare(size, name, asks) for name in ("forward", "step")}
        memory = {name: int(ask("forward")[2]) for name, ask in asks.items()}
    return {**asdict(size), "versions": versions, "actions": actions, "peak_bytes": memory}


def compare(size: Size, action: str, asks: dict[str, Callable]) -> dict:
    """Return the times of ours against each other side, and what the values differ by.

    The values are those of the second call: of a step, the loss after the first update.
    """
    first = {name: ask(action)[0] for name, ask in asks.items()}
    values = {name: ask(action)[1] for name, ask in asks.items()}
    pairs = {}
    for name, ask in asks.items():
        if name != JAX:
            times = in_turn(lambda: asks[JAX](action), lambda ask=ask: ask(action)[0], size.rounds)
            pairs[name] = {
                "seconds": times["seconds"]["jax"],
                "their_seconds": times["seconds"]["torch"],
                "ratio": times["ratio"],
                "relative_difference": abs(values[name] / values[JAX] - 1),
            }
            print(size.filters, action, name, f"{times['ratio']:.2f}", flush=True)
    return {"first_call_seconds": first, "against": pairs}


def table(result: dict) -> str:
    about, sizes = result["machine"], result["sizes"]
    versions = {k: v for k, v in sizes[0]["versions"].items() if k != HALF}
    lines = [
        "# Attention U-Net: JAX against PyTorch and Keras",
        "",
        f"{about['cpu']}, {about['threads']} threads on either side; {', '.join(versions.values())}"
        "; PyTorch eager, JAX and Keras compiled. Same weights and inputs, in turn; medians. A "
        "ratio below 1 means that JAX in float32 is faster. Compared are the second call's values.",
        "",
        "| filters | image | batch | what | against | JAX, s | theirs, s | ratio "
        "| values differ by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        shape = f"| {size['filters'][0]}–{size['filters'][-1]} | {size['side']}x{size['side']} "
        for action, words in ACTIONS.items():
            for name, found in size["actions"][action]["against"].items():
                ours, theirs = np.median(found["seconds"]), np.median(found["their_seconds"])
                lines.append(
                    f"{shape}| {size['batch']} | {words} | {name} | {ours:.3g} | {theirs:.3g} "
                    f"| {found['ratio']:.2f} | {found['relative_difference']:.0e} |"
                )
    lines += ["", "| filters | image | side | peak memory, MiB | first step, s |", "|---" * 5 + "|"]
    for size in sizes:
        shape = f"| {size['filters'][0]}–{size['filters'][-1]} | {size['side']}x{size['side']} "
        first = size["actions"]["step"]["first_call_seconds"]
        lines += [
            f"{shape}| {name} | {peak / 2**20:.0f} | {first[name]:.2g} |"
            for name, peak in size["peak_bytes"].items()
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with PyTorch")
    parser.add_argument("--keras-python", help="interpreter with Keras 3")
    parser.add_argument("--all", action="store_true", help="the published network too")
    parser.add_argument("--tiny", action="store_true", help="one tiny network, to try this out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    sizes = [Size((4, 8, 12), 16, 2, rounds=2)] if options.tiny else SIZES[: 1 + options.all]
    result = {"sizes": [measure(size, options) for size in sizes], "machine": machine()}
    write(options.out, "attention_unet", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
