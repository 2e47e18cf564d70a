"""Our side of `experiments.benchmarks.latent_diffusion_gpu`, started with a folder.

Answers as `answering` says: "load" makes the weights and returns their bytes, then the rows, and
"memory" returns the largest memory of the device in use so far.
"""

from common import xla

xla.configure()  # before JAX is imported

import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, cast  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from common.latent_diffusion.config import LatentDiffusionConfig  # noqa: E402
from common.latent_diffusion.denoiser import Denoiser  # noqa: E402
from common.latent_diffusion.pipeline import Pipeline  # noqa: E402
from experiments.benchmarks import latent_diffusion_models as models  # noqa: E402
from experiments.benchmarks.answering import answer  # noqa: E402
from experiments.benchmarks.latent_diffusion_sides import recorded  # noqa: E402

DTYPE = "bfloat16"


@dataclass
class Conditioned(Pipeline):
    """The pipeline with given conditions of its prompts, as diffusers' with `prompt_embeds`."""

    contexts: np.ndarray | None = None  # of the negative prompt, then of the others

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        """Return as many of the conditions as there are prompts."""
        assert self.contexts is not None
        return self.contexts[: len(prompts)]


def pipeline(config: LatentDiffusionConfig, contexts: np.ndarray) -> Conditioned:
    """Return the model with the formula's weights, without a tokenizer and a text encoder."""
    config = replace(
        config,
        unet=replace(config.unet, dtype=DTYPE),
        vae=replace(config.vae, dtype=DTYPE),
    )
    absent = cast("Any", None)
    return Conditioned(
        config,
        absent,
        absent,
        models.unet(config, DTYPE),
        models.vae(config, DTYPE),
        models.controlnet(config, DTYPE),
        contexts,
    )


@jax.jit
def evaluate(denoiser: Denoiser, x: jax.Array, t: jax.Array, condition: dict) -> jax.Array:
    """Return the noise that the U-Net with its ControlNet predicts."""
    return denoiser(x, t, condition, jnp.float32(1))


def draw(model: Conditioned, inputs: dict, setting: dict, batch: int) -> np.ndarray:
    """Return images as users draw them."""
    return model(
        [""] * batch,
        range(batch),
        steps=setting["steps"],
        sampler="unipc",
        guidance_scale=setting["scale"],
        hint=inputs["hint"],
        noise=inputs["x"][:batch],
        batch_size=batch,
    )


def evaluations(
    model: Conditioned, inputs: dict, setting: dict, batch: int
) -> Callable[[], np.ndarray]:
    """Return evaluations one after the other, of guidance pairs; the hint is encoded before."""
    assert model.contexts is not None
    x, size = inputs["x"][:batch], 2 * batch
    contexts = [model.contexts[:1]] * batch + [model.contexts[1 : batch + 1]]
    hint = model.encode_hint(inputs["hint"][None])
    condition = {
        "context": jnp.concatenate(contexts),
        "hint": jnp.broadcast_to(hint, (size, *hint.shape[1:])),
    }
    given = jnp.concatenate([x, x]), jnp.full(size, setting["time"], jnp.int32), condition
    denoiser = Denoiser(model.unet, model.controlnet, model.schedule, "epsilon")

    def run() -> np.ndarray:
        for _ in range(setting["evaluations"]):
            eps = evaluate(denoiser, *given)
        return np.asarray(eps)

    return run


def main() -> None:
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    inputs = dict(np.load(folder / "inputs.npz"))
    runs: dict[str, Callable[[], np.ndarray]] = {}

    def load() -> float:
        model = pipeline(models.MODELS[setting["model"]], inputs["contexts"])
        for batch in setting["batches"]:
            latents = inputs["x"][:batch]
            runs[f"draw {batch}"] = partial(draw, model, inputs, setting, batch)
            runs[f"evaluate {batch}"] = evaluations(model, inputs, setting, batch)
            runs[f"decode {batch}"] = partial(model.decode, latents, batch)
        return models.size((model.unet, model.controlnet, model.vae))

    def memory() -> float:
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)

    def run(row: str) -> np.ndarray:
        return runs[row]()

    rows = [f"{what} {n}" for n in setting["batches"] for what in ("draw", "evaluate", "decode")]
    actions = recorded({row: partial(run, row) for row in rows}, folder / "jax")
    version = f"JAX {jax.__version__} on {jax.devices()[0].device_kind}"
    answer(version, {"load": load, "memory": memory, **actions})


if __name__ == "__main__":
    main()
