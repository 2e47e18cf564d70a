"""Diffusers' side of `experiments.benchmarks.latent_diffusion`.

pip install torch==2.13.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0 \
    accelerate

Started by it with the interpreter of such an environment, a folder and a row. Answers as
`answering` says: "start" does nothing, "load" makes the weights, then "run".
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from answering import answer
from latent_diffusion_sides import (
    ALPHA,
    DECAY,
    DRAWN,
    RANK,
    RATE,
    lora_weights,
    recorded,
    weight,
)
from peft import LoraConfig

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
Run = Callable[[], np.ndarray]


def filled(kind: Any, fields: dict, device: str = "cpu", dtype: Any = None) -> torch.nn.Module:
    """Return a network of these sizes with the formula's weights, never held twice."""
    with torch.device("meta"):
        network = kind.from_config(fields)
    tensors = {
        name: torch.from_numpy(weight(name, tuple(tensor.shape))).to(device, dtype)
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def maps(array: np.ndarray) -> torch.Tensor:
    """Return maps or images of ours in PyTorch's layout."""
    return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())


def evaluation(setting: dict, inputs: Any, controlled: bool) -> Run:
    """Return one evaluation, that of the ControlNet with what the hint becomes."""
    unet = filled(diffusers.UNet2DConditionModel, setting["unet"])
    controlnet = filled(diffusers.ControlNetModel, setting["controlnet"]) if controlled else None
    x, t, context = maps(inputs["x"]), torch.from_numpy(inputs["t"]), inputs["context"]
    context = torch.from_numpy(context)
    hint = maps(inputs["hint"]) if controlled else None

    @torch.no_grad()
    def run() -> np.ndarray:
        more: dict[str, Any] = {}
        if controlnet is not None:
            down, middle = controlnet(x, t, context, hint, return_dict=False)
            more["down_block_additional_residuals"] = down
            more["mid_block_additional_residual"] = middle
        return unet(x, t, context, **more).sample.permute(0, 2, 3, 1).numpy()

    return run


def decoding(setting: dict, inputs: Any) -> Run:
    """Return the decoding of latents."""
    vae, latents = filled(diffusers.AutoencoderKL, setting["vae"]), maps(inputs["x"])

    @torch.no_grad()
    def run() -> np.ndarray:
        return vae.decode(latents / vae.config.scaling_factor).sample.permute(0, 2, 3, 1).numpy()

    return run


def training(setting: dict, inputs: Any, drawn: Any) -> Run:
    """Return AdamW's steps on the adaptation of all attention, which keep their state."""
    unet = filled(diffusers.UNet2DConditionModel, setting["unet"])
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS))
    for name, module in unet.named_modules():
        if hasattr(module, "lora_A"):
            matrices = lora_weights(name, module.in_features, module.out_features)
            for layer, matrix in zip((module.lora_A, module.lora_B), matrices, strict=True):
                layer["default"].weight.data = torch.from_numpy(matrix)
    trained = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, RATE, weight_decay=DECAY)
    x, noise = maps(drawn["x"]), maps(drawn["noise"])
    t, context = torch.from_numpy(drawn["t"]), torch.from_numpy(inputs["context"])

    def run() -> np.ndarray:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.mean((unet(x, t, context).sample - noise) ** 2)
        loss.backward()
        optimizer.step()
        return loss.detach().numpy()

    return run


def drawing(inputs: Any, folder: Path) -> Run:
    """Return the whole pipeline that our side has left in the folder."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    scheduler = diffusers.UniPCMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.scheduler = scheduler
    pipeline.set_progress_bar_config(disable=True)
    latents = maps(inputs["x"])

    def run() -> np.ndarray:
        return pipeline(
            prompt=[DRAWN["prompt"]] * len(latents),
            negative_prompt=[DRAWN["negative"]] * len(latents),
            num_inference_steps=DRAWN["steps"],
            guidance_scale=DRAWN["scale"],
            latents=latents,
            output_type="np",
        ).images

    return run


def row(name: str, folder: Path) -> Run:
    """Return one row of the benchmark, ready to run."""
    setting = json.loads((folder / "setting.json").read_text())
    inputs = np.load(folder / "inputs.npz")
    if name in ("unet", "control"):
        return evaluation(setting, inputs, name == "control")
    if name == "draw":
        return drawing(inputs, folder / "pipeline")
    if name == "train":
        return training(setting, inputs, np.load(folder / "drawn.npz"))
    return decoding(setting, inputs)


def main() -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    folder, name = Path(sys.argv[1]), sys.argv[2]
    loaded: list[Run] = []

    def load() -> float:
        loaded.append(row(name, folder))
        return 0.0

    runs = recorded({"run": lambda: loaded[0]()}, folder / "torch")
    versions = f"diffusers {diffusers.__version__}, PyTorch {torch.__version__}"
    answer(versions, {"start": lambda: 0.0, "load": load, **runs})


if __name__ == "__main__":
    main()
