"""Our side of `experiments.benchmarks.latent_diffusion`, started with a folder, a model and a row.

Answers as `answering` says: "start" does nothing, "load" makes the weights and returns their bytes,
"compile" returns the bytes that XLA plans beside arguments and results, then there is "run".
"""

from common import xla

xla.configure()  # before JAX is imported

import sys  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import nnx  # noqa: E402

from common.latent_diffusion import names  # noqa: E402
from common.latent_diffusion.checkpoint import save_folder  # noqa: E402
from common.latent_diffusion.clip_text import TextEncoder  # noqa: E402
from common.latent_diffusion.config import LatentDiffusionConfig  # noqa: E402
from common.latent_diffusion.denoiser import Denoiser  # noqa: E402
from common.latent_diffusion.lora import (  # noqa: E402
    ATTENTION,
    Adaptation,
    LoRAParam,
    linear_layers,
    plain,
    set_lora,
)
from common.latent_diffusion.pipeline import Pipeline  # noqa: E402
from common.latent_diffusion.tokenizer import Tokenizer  # noqa: E402
from common.latent_diffusion.training import (  # noqa: E402
    Fixed,
    Objective,
    draw_examples,
    make_step,
    unet_prediction,
)
from common.training.mesh import least_memory  # noqa: E402
from common.training.state import State  # noqa: E402
from experiments.benchmarks import latent_diffusion_models as models  # noqa: E402
from experiments.benchmarks.answering import answer  # noqa: E402
from experiments.benchmarks.latent_diffusion_sides import (  # noqa: E402
    ALPHA,
    DECAY,
    DRAWN,
    RATE,
    lora_weights,
    recorded,
)

Inputs = Mapping[str, np.ndarray]


class Loaded(NamedTuple):
    """A row with its weights, of so many bytes.

    `compile` returns what is then run, and the bytes that XLA plans beside arguments and results.
    """

    weights: int
    compile: Callable[[], tuple[Callable[[], np.ndarray], int]]


def executable(function: Callable, *arguments: Any, **options: Any) -> tuple[Callable, int]:
    """Return a compiled program for such arguments, and the bytes of its temporary buffers."""
    program = jax.jit(function, **options).lower(*arguments).compile()
    planned: Any = program.memory_analysis()
    return program, planned.temp_size_in_bytes


def pure(function: Callable, weights: Any, *inputs: Any) -> Loaded:
    """Return a row that is one program of weights and inputs, both of them arguments."""
    arguments = (weights, *map(jnp.asarray, inputs))

    def compiled() -> tuple[Callable[[], np.ndarray], int]:
        program, buffers = executable(function, *arguments)
        return lambda: np.asarray(program(*arguments)), buffers

    return Loaded(models.size(weights), compiled)


def denoiser(config: LatentDiffusionConfig, controlled: bool) -> Denoiser:
    """Return the pipeline's function from latents to noise."""
    controlnet = models.controlnet(config) if controlled else None
    return Denoiser(models.unet(config), controlnet, models.schedule(config), "epsilon")


def evaluation(config: LatentDiffusionConfig, inputs: Inputs, controlled: bool) -> Loaded:
    """Return one evaluation as the pipeline does it: what the hint becomes is computed before."""
    network, hint = denoiser(config, controlled), None
    if network.controlnet is not None:
        encode = jax.jit(lambda controlnet, hint: controlnet.encode_hint(hint))
        hint = encode(network.controlnet, inputs["hint"])

    def evaluate(network: Denoiser, x: jax.Array, t: jax.Array, context: jax.Array, *hint: Any):
        condition = {"context": context, **({"hint": hint[0]} if hint else {})}
        return network(x, t, condition, jnp.float32(1) if hint else None)

    given = [inputs["x"], inputs["t"], inputs["context"]]
    return pure(evaluate, network, *given, *([] if hint is None else [hint]))


def decoding(config: LatentDiffusionConfig, inputs: Inputs) -> Loaded:
    """Return the decoding of latents; the encoder is no part of it."""
    network = models.vae(config)
    return pure(lambda vae, latents: vae.decode(latents), network, inputs["x"])


def training(config: LatentDiffusionConfig, inputs: Inputs, folder: Path) -> Loaded:
    """Return AdamW's steps on the adaptation of all attention, which keep their state.

    Every step draws the same noise at the same time; both are left in the folder for diffusers.
    """
    network, adaptations = models.unet(config), {}
    for path, layer in linear_layers(network):
        if path[-1] in ATTENTION:
            name = names.diffusers_name("unet", path)
            base = plain(path, layer)
            down, up = lora_weights(name, base.in_features, base.out_features)
            adaptations[path] = Adaptation(down.T, up.T, ALPHA)
    set_lora(network, adaptations)
    split: Any = nnx.split(network, LoRAParam, ...)
    graph, trained, rest = split
    fixed, key, index = Fixed(rest, models.schedule(config)), jax.random.key(0), jnp.int32(0)
    batch = {"latents": jnp.asarray(inputs["x"]), "context": jnp.asarray(inputs["context"])}
    drawn = draw_examples(batch, jax.random.fold_in(key, index), fixed, 0.0)
    np.savez(folder / "drawn.npz", x=drawn.noisy(fixed.schedule), t=drawn.t, noise=drawn.noise)

    optimizer = optax.adamw(RATE, weight_decay=DECAY)
    step = make_step(unet_prediction(graph), Objective(), optimizer)
    state = [State(trained, optimizer.init(trained))]

    def compiled() -> tuple[Callable[[], np.ndarray], int]:
        given = (batch, index, key, fixed)
        program, buffers = executable(
            step, state[0], *given, donate_argnums=0, compiler_options=least_memory()
        )

        def run() -> np.ndarray:
            state[0], value = program(state[0], *given)
            return np.asarray(value)

        return run, buffers

    return Loaded(models.size((trained, rest)), compiled)


def drawing(config: LatentDiffusionConfig, inputs: Inputs, folder: Path) -> Loaded:
    """Return the whole pipeline, from prompts to images; leaves it in the folder for diffusers.

    Its programs are compiled as they are run, so compiling it is to run it once.
    """
    text = models.filled("text", lambda: TextEncoder(config.text, rngs=nnx.Rngs(0)))
    unet, vae = models.unet(config), models.vae(config)
    pipeline = Pipeline(config, Tokenizer(models.BYTES), text, unet, vae)
    if not (folder / "pipeline").exists():
        save_folder(pipeline, folder / "pipeline")

    def run() -> np.ndarray:
        return pipeline(
            DRAWN["prompt"],
            range(len(inputs["x"])),
            negative=DRAWN["negative"],
            steps=DRAWN["steps"],
            sampler="unipc",
            guidance_scale=DRAWN["scale"],
            noise=inputs["x"],
        )

    def compiled() -> tuple[Callable[[], np.ndarray], int]:
        run()
        return run, 0

    return Loaded(models.size((text, unet, vae)), compiled)


def row(name: str, model: str, folder: Path) -> Loaded:
    """Return one row of the benchmark."""
    config, inputs = models.MODELS[model], np.load(folder / "inputs.npz")
    if name in ("unet", "control"):
        return evaluation(config, inputs, name == "control")
    if name == "decode":
        return decoding(config, inputs)
    return {"train": training, "draw": drawing}[name](config, inputs, folder)


def main() -> None:
    folder, (model, name) = Path(sys.argv[1]), sys.argv[2:4]
    loaded: list[Loaded] = []
    ready: list[Callable[[], np.ndarray]] = []

    def load() -> float:
        loaded.append(row(name, model, folder))
        return loaded[0].weights

    def compiled() -> float:
        run, buffers = loaded[0].compile()
        ready.append(run)
        return buffers

    runs = recorded({"run": lambda: ready[0]()}, folder / "jax")
    others = {"start": lambda: 0.0, "load": load, "compile": compiled}
    answer(f"JAX {jax.__version__}", {**others, **runs})


if __name__ == "__main__":
    main()
