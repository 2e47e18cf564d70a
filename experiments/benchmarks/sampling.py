"""Images per second of sampling: all at once in one program, against one image at a time.

    python -m experiments.benchmarks.sampling --torch-python PATH

PATH is the interpreter of an environment with PyTorch and MONAI (see `sampling_torch.py`); without
it only the JAX forms are timed. All forms run in turn, round after round, on the same weights,
start noise and conditions, and must draw the same images. Writes results/benchmarks/sampling.json
and sampling.md: medians over the rounds, and ratios of the times of one round.
"""

from common import xla

xla.configure()  # before JAX is imported

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402

from common.diffusion.guidance import guided_eps  # noqa: E402
from common.diffusion.samplers import DDIM, ddim_step, ddim_times  # noqa: E402
from common.diffusion.sampling import sample  # noqa: E402
from common.diffusion.schedule import Schedule  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import torch_process  # noqa: E402
from papers.camcan_cfg.config import ModelConfig  # noqa: E402
from papers.camcan_cfg.models.convert import from_monai  # noqa: E402
from papers.camcan_cfg.models.unet import UNet  # noqa: E402

MODEL = ModelConfig(
    channels=(16, 32, 64), attention=(False, False, True), head_channels=(0, 0, 64), groups=16
)
SHAPE = (48, 64, 1)
SCALE = 3.0
UNCONDITIONAL = np.full(3, -1, np.float32)
SCHEDULE = Schedule.linear()

SCAN, LOOP = "JAX, one program, {n} images", "JAX, loop of steps, 1 image"
TORCH_BATCH, TORCH_LOOP = "PyTorch, loop of steps, {n} images", "PyTorch, loop of steps, 1 image"


def network() -> UNet:
    return jax.jit(lambda: UNet(MODEL, rngs=nnx.Rngs(0)))()


def draw_at_once(unet: UNet, conditions: np.ndarray, steps: int, every: int | None = None):
    return sample(
        unet,
        SCHEDULE,
        conditions,
        np.arange(len(conditions)),
        shape=SHAPE,
        guidance_scale=SCALE,
        unconditional=UNCONDITIONAL,
        sampler=DDIM(steps),
        batch_size=len(conditions),
        trajectory_every=every,
    )


@jax.jit
def one_step(unet, x, t, t_prev, condition):
    times = jnp.full(len(x), t)
    eps = guided_eps(unet, x, times, condition, jnp.asarray(UNCONDITIONAL), SCALE)
    return ddim_step(SCHEDULE, eps, t, t_prev, x)


def draw_in_a_loop(unet: UNet, noise: np.ndarray, conditions: np.ndarray, steps: int) -> np.ndarray:
    x = jnp.asarray(noise)
    for t, t_prev in zip(*ddim_times(SCHEDULE.steps, steps), strict=True):
        x = one_step(unet, x, t, t_prev, conditions)
    return np.asarray(x)


def timed(draw: Callable[[], object]) -> float:
    start = time.perf_counter()
    draw()
    return time.perf_counter() - start


def measure(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict:
    count, steps = options.images, options.steps
    setting = {"model": asdict(MODEL), "steps": steps, "scale": SCALE}
    (folder / "setting.json").write_text(json.dumps(setting))
    unet, version, ask = network(), None, None
    if options.torch_python:
        side = torch_process(options.torch_python, "sampling_torch.py", folder)
        version, ask = stack.enter_context(side)
        nnx.update(unet, from_monai(dict(np.load(folder / "weights.npz")), MODEL))

    ages = np.linspace(20, 88, count)
    conditions = np.stack([ages, 1 + np.arange(count) % 2, np.full(count, 45)], 1)
    conditions = conditions.astype(np.float32)
    start = time.perf_counter()
    images, trajectory = draw_at_once(unet, conditions, steps, steps)
    noise = trajectory[0]
    draw_at_once(unet, conditions, steps)
    compilation = time.perf_counter() - start
    single = draw_in_a_loop(unet, noise[:1], conditions[:1], steps)
    differences = {LOOP: np.abs(single - images[:1]).max()}
    if ask:
        np.savez(
            folder / "inputs.npz", noise=noise, conditions=conditions, unconditional=UNCONDITIONAL
        )
        for name, n in ((TORCH_BATCH, count), (TORCH_LOOP, 1)):
            ask(str(n))
            differences[name] = np.abs(np.load(folder / "images.npy") - images[:n]).max()

    seconds: dict[str, list[float]] = {name: [] for name in (SCAN, *differences)}
    for _ in range(options.rounds):
        seconds[SCAN].append(timed(lambda: draw_at_once(unet, conditions, steps)) / count)
        seconds[LOOP].append(timed(lambda: draw_in_a_loop(unet, noise[:1], conditions[:1], steps)))
        if ask:
            seconds[TORCH_BATCH].append(ask(str(count))[0] / count)
            seconds[TORCH_LOOP].append(ask("1")[0])
    return {
        **setting,
        "images": count,
        "rounds": options.rounds,
        "shape": SHAPE,
        "seconds_per_image": seconds,
        "largest_difference_of_an_image": {k: float(v) for k, v in differences.items()},
        "first_calls_seconds": compilation,
        "torch": version,
        "machine": machine(),
    }


def table(result: dict) -> str:
    seconds, about = result["seconds_per_image"], result["machine"]
    ours = np.array(seconds[SCAN])
    lines = [
        "# Sampling: images per second",
        "",
        f"{result['steps']} DDIM steps with guidance (two evaluations of the network a step), "
        f"{result['shape'][0]}x{result['shape'][1]} pixels, channels "
        f"{tuple(result['model']['channels'])}; {about['cpu']}, {about['threads']} threads; JAX "
        f"{about['jax']}, PyTorch {result['torch'] or 'not measured'}. "
        f"Medians of {result['rounds']} rounds in turn; the ratio is that of times within a round.",
        "",
        "| form | images/s | time, ours = 1 | largest difference from our images |",
        "|---|---|---|---|",
    ]
    for name, values in seconds.items():
        difference = result["largest_difference_of_an_image"].get(name)
        lines.append(
            f"| {name.format(n=result['images'])} | {1 / np.median(values):.3g} "
            f"| {np.median(np.array(values) / ours):.2f} "
            f"| {'' if difference is None else f'{difference:.1e}'} |"
        )
    lines += [
        "",
        "The weights are random, and such a network lets rounding grow with every step: of "
        "images of 5 steps the largest difference was 2e-5, of 10 steps 2e-3.",
    ]
    if result["torch"]:
        lines += ["", "The source draws one image at a time in a PyTorch loop: the last row."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", help="interpreter with PyTorch and MONAI")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        result = measure(options, Path(folder), stack)
    write(options.out, "sampling", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
