"""Forward pass and training step of Di-Conv-AE-Net and SegNet, against PyTorch.

    python -m experiments.benchmarks.ultrasound_nets --torch-python PATH

PATH is the interpreter of an environment with PyTorch. Both sides have the same weights, images,
threads and memory settings, run in turn, and must compute the same values. A training step is
forward pass, gradients and Adam's update: of the denoiser with L1 alone and no dropout, of the
segmenter with cross-entropy. Writes results/benchmarks/ultrasound_nets.json and
ultrasound_nets.md: medians over the rounds, and the median over the rounds of the ratio within a
round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402

from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import compared, torch_process  # noqa: E402
from papers.ultrasound_diconvae.config import DenoiserConfig, SegmenterConfig  # noqa: E402
from papers.ultrasound_diconvae.models.convert import from_torch  # noqa: E402
from papers.ultrasound_diconvae.models.denoiser import DiConvAE  # noqa: E402
from papers.ultrasound_diconvae.models.segnet import SegNet  # noqa: E402

RATE, CLASSES = 1e-3, 4
NAMES = {"denoiser": "Di-Conv-AE-Net", "segmenter": "SegNet"}


@dataclass(frozen=True)
class Size:
    """Networks and their input; `rounds` measured rounds."""

    denoiser: tuple[int, ...]
    segmenter: tuple[int, ...]
    side: int
    batch: int
    rounds: int


SIZES = (
    Size((8, 8), (4, 8), 16, 2, 1),  # to try the program
    Size((32, 32, 16, 16), (16, 32, 64, 64, 64), 64, 8, 9),
    Size((64, 64, 32, 32), (32, 64, 128, 128, 128), 128, 8, 5),
    Size((256, 128, 64, 64), (64, 128, 256, 512, 512), 256, 2, 3),  # the published networks
)


def configs(size: Size) -> tuple[DenoiserConfig, SegmenterConfig]:
    """Return the networks of a size: the published ones with other widths, without dropout."""
    convolutions = SegmenterConfig().convolutions[: len(size.segmenter)]
    return (
        DenoiserConfig(filters=size.denoiser, dilations=(2,) * len(size.denoiser), dropout=0.0),
        SegmenterConfig(filters=size.segmenter, convolutions=convolutions),
    )


def write_inputs(size: Size, folder: Path) -> None:
    """Leave what both sides need in the folder."""
    denoiser, segmenter = configs(size)
    setting = {
        "rate": RATE,
        "denoiser": {name: getattr(denoiser, name) for name in ("filters", "dilations", "pooled")},
        "segmenter": {
            "filters": segmenter.filters,
            "convolutions": segmenter.convolutions,
            "classes": CLASSES,
        },
    }
    (folder / "setting.json").write_text(json.dumps(setting))
    random, shape = np.random.default_rng(0), (size.batch, size.side, size.side)
    np.savez(
        folder / "inputs.npz",
        images=random.random((*shape, 1), np.float32),
        clean=random.random((*shape, 1), np.float32),
        labels=random.integers(0, CLASSES, shape).astype(np.int32),
    )


def our_actions(size: Size, folder: Path) -> dict[str, Callable[[], float]]:
    """Return what PyTorch's side does too, each one compiled program; steps keep their state."""
    inputs = {name: jnp.asarray(a) for name, a in np.load(folder / "inputs.npz").items()}
    denoiser, segmenter = configs(size)
    builds = {
        "denoiser": lambda: DiConvAE(denoiser, rngs=nnx.Rngs(0)),
        "segmenter": lambda: SegNet(segmenter, CLASSES, rngs=nnx.Rngs(0)),
    }
    losses = {
        "denoiser": lambda y: jnp.abs(y - inputs["clean"]).mean(),
        "segmenter": lambda y: optax.softmax_cross_entropy_with_integer_labels(
            y, inputs["labels"]
        ).mean(),
    }
    actions = {}
    for name, build in builds.items():
        network = nnx.eval_shape(build)
        state = from_torch(network, dict(np.load(folder / f"{name}.npz")))
        loaded = nnx.merge(nnx.graphdef(network), state)
        forward, step = compiled(loaded, losses[name], inputs["images"])
        actions |= {f"{name} forward": forward, f"{name} step": step}
    return actions


def compiled(
    network: nnx.Module, loss: Callable, images: jax.Array
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return a forward pass and a training step of a network, the step changing its state."""
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    optimizer = optax.adam(RATE)
    state = [params, stats, optimizer.init(params)]

    @jax.jit
    def forward(params, stats):
        return jnp.abs(nnx.merge(graph, params, stats)(images)).mean()

    def step(params, stats, moments):
        def objective(params):
            network = nnx.merge(graph, params, stats)
            return loss(network(images, train=True)), nnx.state(network, nnx.BatchStat)

        (value, moved), slopes = jax.value_and_grad(objective, has_aux=True)(params)
        updates, moments = optimizer.update(slopes, moments)
        return optax.apply_updates(params, updates), moved, moments, value

    program = jax.jit(step, donate_argnums=(0, 1, 2))

    def train() -> float:
        *state[:], value = program(*state)
        return float(value)

    return (lambda: float(forward(*state[:2]))), train


def measure(size: Size, python: str) -> dict:
    """Return times of both sides and the first values' relative difference, for each action."""
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(size, folder)
        with torch_process(python, "ultrasound_nets_torch.py", folder) as (version, ask):
            for action, ours in our_actions(size, folder).items():
                results[action] = compared(ours, ask, action, size.rounds)
                print(size, action, f"{results[action]['ratio']:.2f}", flush=True)
    return {**asdict(size), "torch": version, "actions": results}


def table(result: dict) -> str:
    about = result["machine"]
    lines = [
        "# Denoiser and segmenter of the ultrasound study: JAX against PyTorch",
        "",
        f"{about['cpu']}, {about['threads']} threads on either side; JAX {about['jax']}, PyTorch "
        f"{result['sizes'][0]['torch']}, eager. Same weights and inputs, in turn; medians. A ratio "
        "below 1 means that JAX is faster.",
        "",
        "| network | filters | images | what | JAX, s | PyTorch, s | ratio | values differ by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in result["sizes"]:
        for action, found in size["actions"].items():
            name, what = action.split()
            ours, theirs = (np.median(found["seconds"][side]) for side in ("jax", "torch"))
            lines.append(
                f"| {NAMES[name]} | {tuple(size[name])} | {size['batch']} of {size['side']}x"
                f"{size['side']} | {what} | {ours:.3g} | {theirs:.3g} | {found['ratio']:.2f} "
                f"| {found['relative_difference']:.0e} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with PyTorch")
    sizes = range(1, len(SIZES))
    parser.add_argument("--sizes", type=int, nargs="*", default=sizes, metavar="N")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = [measure(SIZES[i], options.torch_python) for i in options.sizes]
    result = {"machine": machine(), "sizes": found}
    write(options.out, "ultrasound_nets", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
