"""Diffusers' side of `experiments.benchmarks.latent_diffusion_gpu`, started with a folder.

Answers as `answering` says: "load" makes the weights, then the rows, and "memory" returns the
largest memory of the device in use so far. Needs what `latent_diffusion_torch.py` names but peft.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from answering import answer
from latent_diffusion_sides import recorded
from latent_diffusion_torch import filled, maps

DTYPE = torch.bfloat16
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def build(setting: dict) -> diffusers.StableDiffusionControlNetPipeline:
    """Return the pipeline with the formula's weights, without a tokenizer and a text encoder."""
    pipeline = diffusers.StableDiffusionControlNetPipeline(
        vae=filled(diffusers.AutoencoderKL, setting["vae"], DEVICE, DTYPE),
        text_encoder=None,
        tokenizer=None,
        unet=filled(diffusers.UNet2DConditionModel, setting["unet"], DEVICE, DTYPE),
        controlnet=filled(diffusers.ControlNetModel, setting["controlnet"], DEVICE, DTYPE),
        scheduler=diffusers.UniPCMultistepScheduler.from_config(setting["scheduler"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def placed(array: np.ndarray, dtype: Any = DTYPE) -> torch.Tensor:
    """Return an array of ours on the device, maps in PyTorch's layout."""
    tensor = maps(array) if array.ndim == 4 else torch.from_numpy(array)
    return tensor.to(DEVICE, dtype)


def draw(pipeline: Any, inputs: dict, setting: dict, batch: int) -> np.ndarray:
    """Return images as users draw them, with given conditions in place of prompts."""
    contexts = placed(inputs["contexts"])
    return pipeline(
        prompt_embeds=contexts[1 : batch + 1],
        negative_prompt_embeds=contexts[:1].expand(batch, -1, -1),
        image=placed(inputs["hint"][None], torch.float32),
        latents=placed(inputs["x"][:batch]),
        num_inference_steps=setting["steps"],
        guidance_scale=setting["scale"],
        output_type="np",
    ).images


def evaluations(pipeline: Any, inputs: dict, setting: dict, batch: int) -> Callable:
    """Return evaluations one after the other, of guidance pairs, the hint encoded in each."""
    contexts, x = placed(inputs["contexts"]), placed(inputs["x"][:batch]).repeat(2, 1, 1, 1)
    context = torch.cat([contexts[:1].expand(batch, -1, -1), contexts[1 : batch + 1]])
    hint = placed(inputs["hint"][None]).expand(2 * batch, -1, -1, -1)
    t = torch.tensor(setting["time"], device=DEVICE)

    @torch.no_grad()
    def run() -> np.ndarray:
        for _ in range(setting["evaluations"]):
            down, middle = pipeline.controlnet(x, t, context, hint, return_dict=False)
            eps = pipeline.unet(
                x,
                t,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
        return eps.permute(0, 2, 3, 1).float().cpu().numpy()

    return run


@torch.no_grad()
def decode(pipeline: Any, latents: np.ndarray) -> np.ndarray:
    """Return images in [0, 1] of scaled latents, as the pipeline does at its end."""
    unscaled = placed(latents) / pipeline.vae.config.scaling_factor
    images = pipeline.vae.decode(unscaled).sample
    return pipeline.image_processor.postprocess(images, output_type="np")


def main() -> None:
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    inputs = dict(np.load(folder / "inputs.npz"))
    runs: dict[str, Callable[[], np.ndarray]] = {}

    def load() -> float:
        pipeline = build(setting)
        for batch in setting["batches"]:
            runs[f"draw {batch}"] = partial(draw, pipeline, inputs, setting, batch)
            runs[f"evaluate {batch}"] = evaluations(pipeline, inputs, setting, batch)
            runs[f"decode {batch}"] = partial(decode, pipeline, inputs["x"][:batch])
        return 0.0

    def memory() -> float:
        return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0

    def run(row: str) -> np.ndarray:
        return runs[row]()

    rows = [f"{what} {n}" for n in setting["batches"] for what in ("draw", "evaluate", "decode")]
    actions = recorded({row: partial(run, row) for row in rows}, folder / "torch")
    versions = f"diffusers {diffusers.__version__}, PyTorch {torch.__version__}"
    answer(versions, {"load": load, "memory": memory, **actions})


if __name__ == "__main__":
    main()
