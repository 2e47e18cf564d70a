"""Training step, forward pass and DDIM sampling of the denoising network, against PyTorch.

    python -m experiments.benchmarks.unet_step --torch-python PATH

PATH is the interpreter of an environment with PyTorch and MONAI (see `sampling_torch.py`). Both
sides have the same weights, inputs, threads and memory settings, run in turn, and must compute the
same values. A training step is forward pass, gradients and Adam's update; sampling is 50 DDIM
steps with guidance, of the whole batch. Writes results/benchmarks/unet_step.json and unet_step.md:
medians over the rounds, and the median over the rounds of the ratio within a round.
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

from common.diffusion.guidance import guided_eps  # noqa: E402
from common.diffusion.samplers import ddim_step, ddim_times  # noqa: E402
from common.diffusion.schedule import Schedule  # noqa: E402
from experiments.benchmarks.report import RESULTS, machine, write  # noqa: E402
from experiments.benchmarks.torch_process import compared, torch_process  # noqa: E402
from papers.camcan_cfg.config import ModelConfig  # noqa: E402
from papers.camcan_cfg.models.convert import from_monai  # noqa: E402
from papers.camcan_cfg.models.unet import UNet  # noqa: E402

RATE, STEPS, SCALE = 2.5e-5, 50, 3.0
SCHEDULE = Schedule.linear()


@dataclass(frozen=True)
class Size:
    """A network and its input; `rounds` measured rounds, `actions` done in each."""

    channels: tuple[int, ...]
    groups: int
    shape: tuple[int, int]
    batch: int
    rounds: int = 9
    actions: tuple[str, ...] = ("forward", "step")

    @property
    def model(self) -> ModelConfig:
        """Return the network's configuration: attention at the lowest resolution, one head."""
        lower = len(self.channels) - 1
        return ModelConfig(
            channels=self.channels,
            attention=(False,) * lower + (True,),
            head_channels=(0,) * lower + self.channels[-1:],
            groups=self.groups,
        )


SIZES = (
    Size((16, 32, 64), 16, (48, 64), 16, actions=("forward", "sample", "step")),
    Size((16, 32, 64), 8, (32, 40), 8),  # the demo's images and batch
    Size((32, 64, 128), 32, (48, 64), 16),
    Size((16, 32, 64), 16, (96, 128), 16),
    Size((32, 64, 128), 32, (96, 128), 16, rounds=5),
    Size((256, 256, 512), 32, (96, 128), 2, rounds=3),  # the published network
)


def draw_inputs(size: Size) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    image = (size.batch, *size.shape, 1)
    return {
        "x": random.standard_normal(image, np.float32),
        "noise": random.standard_normal(image, np.float32),
        "t": random.integers(0, SCHEDULE.steps, size.batch, np.int32),
        "conditions": random.standard_normal((size.batch, 3), np.float32),
        "unconditional": np.full(3, -1, np.float32),
    }


def our_actions(size: Size, folder: Path) -> dict[str, Callable[[], float]]:
    """Return what PyTorch's side does too, each one compiled program; `step` keeps its state."""
    inputs = {name: jnp.asarray(a) for name, a in np.load(folder / "inputs.npz").items()}
    x, t, conditions = inputs["x"], inputs["t"], inputs["conditions"]
    network = nnx.eval_shape(lambda: UNet(size.model, rngs=nnx.Rngs(0)))
    nnx.update(network, from_monai(dict(np.load(folder / "weights.npz")), size.model))
    graph, params = nnx.split(network)
    optimizer = optax.adam(RATE)

    @jax.jit
    def forward(params):
        return jnp.abs(nnx.merge(graph, params)(x, t, conditions)).mean()

    def loss(params):
        return jnp.mean((nnx.merge(graph, params)(x, t, conditions) - inputs["noise"]) ** 2)

    def step(params, opt_state):
        value, gradients = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    @jax.jit
    def sample(params):
        network = nnx.merge(graph, params)

        def denoise(x, times):
            now = jnp.full(size.batch, times[0])
            eps = guided_eps(network, x, now, conditions, inputs["unconditional"], SCALE)
            return ddim_step(SCHEDULE, eps, *times, x), None

        times = jnp.stack(ddim_times(SCHEDULE.steps, STEPS), axis=1)
        return jnp.abs(jax.lax.scan(denoise, x, times)[0]).mean()

    state = [params, optimizer.init(params)]
    compiled = jax.jit(step, donate_argnums=(0, 1))

    def train() -> float:
        *state[:], value = compiled(*state)
        return float(value)

    return {
        "forward": lambda: float(forward(state[0])),
        "step": train,
        "sample": lambda: float(sample(state[0])),
    }


def measure(size: Size, python: str) -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = asdict(size.model)
        setting = {"model": model, "steps": STEPS, "guidance_scale": SCALE, "rate": RATE}
        (folder / "setting.json").write_text(json.dumps(setting))
        np.savez(folder / "inputs.npz", **draw_inputs(size))
        with torch_process(python, "unet_step_torch.py", folder) as (version, ask):
            result = alternate(size, our_actions(size, folder), ask)
    return {**asdict(size), "torch": version, "actions": result}


def alternate(size: Size, actions: dict, ask: Callable[[str], list[float]]) -> dict:
    """Return times of both sides and the first values' relative difference, for each action."""
    results = {}
    for action in size.actions:
        rounds = size.rounds if action != "sample" else 3
        timings = compared(actions[action], ask, action, rounds)
        medians = {side: float(np.median(s)) for side, s in timings["seconds"].items()}
        results[action] = {**timings, "median_seconds": medians}
        print(size.channels, size.shape, action, f"{results[action]['ratio']:.2f}", flush=True)
    return results


def table(result: dict) -> str:
    about = result["machine"]
    lines = [
        "# Denoising network: JAX against PyTorch",
        "",
        f"{about['cpu']}, {about['threads']} threads on either side; JAX {about['jax']}, PyTorch "
        f"{result['sizes'][0]['torch']} with MONAI's `DiffusionModelUNet`, eager. Same weights and "
        "inputs, in turn; medians. A ratio below 1 means that JAX is faster.",
        "",
        "| channels | image | batch | what | JAX, s | PyTorch, s | ratio | values differ by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = {"forward": "forward pass", "step": "training step", "sample": f"{STEPS} DDIM steps"}
    for size in result["sizes"]:
        height, width = size["shape"]
        for action, timings in size["actions"].items():
            seconds = timings["median_seconds"]
            lines.append(
                f"| {tuple(size['channels'])} | {height}x{width} | {size['batch']} "
                f"| {names[action]} | {seconds['jax']:.3g} | {seconds['torch']:.3g} "
                f"| {timings['ratio']:.2f} | {timings['relative_difference']:.0e} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch-python", required=True, help="interpreter with PyTorch and MONAI")
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)), metavar="N")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    sizes = [measure(SIZES[i], options.torch_python) for i in options.sizes]
    result = {"machine": machine(), "sizes": sizes}
    write(options.out, "unet_step", result, table(result))


if __name__ == "__main__":
    xla.restart_with_huge_pages()
    main()
