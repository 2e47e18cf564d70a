"""PyTorch's side of `experiments.benchmarks.gpu`, which starts it; answers as `gpu_answering` says.

Needs PyTorch and NumPy; `generative` (see `sampling_torch.py`) for the U-Net and torchvision for
the classifier, whose rows fail without. Default layouts; cuDNN chooses its fastest kernels.
float32 is computed in float32, and bfloat16 by autocast on parameters of float32.
"""

import copy
import importlib
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_answering import serve
from torch import nn
from torch.nn import functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKEND = "inductor" if DEVICE == "cuda" else "eager"  # a CPU only tries the program
GANS = ("pix2pix", "cyclegan", "stargan", "starganv2")
Inputs = dict[str, torch.Tensor]


class Supervised:
    """A network that learns from one loss of its outputs."""

    def __init__(self, network: nn.Module, loss: Callable[[Any, Inputs], torch.Tensor], adam: Any):
        self.networks, self.loss, self.adam = {"network": network}, loss, adam

    def step(self, inputs: Inputs) -> dict[str, torch.Tensor]:
        """Take a step; return its loss."""
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.networks["network"], inputs)
        loss.backward()
        self.adam.step()
        return {"loss": loss.detach()}


def unet(setting: dict) -> Supervised:
    network = importlib.import_module("sampling_torch").build(setting["model"]).train().to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), setting["rate"])

    def loss(network: nn.Module, inputs: Inputs) -> torch.Tensor:
        eps = network(inputs["x"], inputs["t"].long(), inputs["conditions"][:, None])
        return (eps - inputs["noise"]).square().mean()

    return Supervised(network, loss, optimizer)


def attention_unet(setting: dict) -> Supervised:
    models = importlib.import_module("attention_unet_torch")
    network, smooth = models.AttentionUNet(setting["filters"]).to(DEVICE), setting["smooth"]
    optimizer = torch.optim.Adam(network.parameters(), setting["rate"], betas=(0.9, 0.99), eps=1e-7)

    def loss(network: nn.Module, inputs: Inputs) -> torch.Tensor:
        logits, masks = network(inputs["images"]).float(), inputs["masks"]
        p = torch.sigmoid(logits)
        dice = (2 * (p * masks).sum() + smooth) / (p.sum() + masks.sum() + smooth)
        return F.binary_cross_entropy_with_logits(logits, masks) - dice

    return Supervised(network, loss, optimizer)


def denoiser(setting: dict) -> Supervised:
    models = importlib.import_module("ultrasound_nets_torch")
    network = models.DiConvAE(**setting["denoiser"]).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), setting["rate"])
    return Supervised(network, lambda net, x: F.l1_loss(net(x["images"]), x["clean"]), optimizer)


def segmenter(setting: dict) -> Supervised:
    models = importlib.import_module("ultrasound_nets_torch")
    network = models.SegNet(**setting["segmenter"]).to(DEVICE)
    return Supervised(network, entropy, torch.optim.Adam(network.parameters(), setting["rate"]))


def classifier(setting: dict) -> Supervised:
    models = importlib.import_module("torchvision.models")
    network = models.resnet18(num_classes=setting["classes"])
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    network = network.to(DEVICE)
    rate, decay = setting["rate"], setting["decay"]
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    return Supervised(network, signed_entropy, optimizer)


def signed_entropy(network: nn.Module, inputs: Inputs) -> torch.Tensor:
    return F.cross_entropy(network(2 * inputs["images"] - 1), inputs["labels"].long())


def entropy(network: nn.Module, inputs: Inputs) -> torch.Tensor:
    return F.cross_entropy(network(inputs["images"]), inputs["labels"].long())


BUILDERS = (unet, attention_unet, denoiser, segmenter, classifier)


class Row:
    """What is trained now, in both modes; leaves its first weights in the folder."""

    def __init__(self, row: str, folder: Path, dtype: str):
        torch.manual_seed(0)
        setting = json.loads((folder / "setting.json").read_text())
        self.model, self.half = built(row, setting), dtype == "bfloat16"
        self.inputs = read_inputs(folder, as_they_are=row in GANS)
        self.modes = {"eager": self.model.networks}
        for name, network in self.model.networks.items():
            np.savez(folder / f"{name}.npz", **weights_of(row, network))

    def step(self, mode: str) -> dict[str, torch.Tensor]:
        """Take a step, of compiled networks where `mode` says so."""
        if mode not in self.modes:
            eager = self.modes["eager"]
            self.modes[mode] = {
                name: torch.compile(network, backend=BACKEND) for name, network in eager.items()
            }
        self.model.networks = self.modes[mode]
        with self._precision():
            return self.model.step(self.inputs)

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(DEVICE, torch.bfloat16) if self.half else nullcontext()


loaded: dict[str, Row] = {}


def built(row: str, setting: dict) -> Any:
    """Return a row's model on the device."""
    if row not in GANS:
        return {build.__name__: build for build in BUILDERS}[row](setting)
    models = importlib.import_module("surgical_nets_torch_models")
    model = models.MODELS[row](setting["size"], setting["options"])
    for network in [*model.networks.values(), *getattr(model, "average", {}).values()]:
        network.to(DEVICE)
    return model


def weights_of(row: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Return a network's weights, under the names that our side reads."""
    network = copy.deepcopy(network).cpu()
    if row == "attention_unet":
        return importlib.import_module("attention_unet_torch").keras_weights(network)
    found = {name: value.numpy() for name, value in network.state_dict().items()}
    if row == "classifier":  # torchvision's names, of two blocks a level
        block = lambda m: f"blocks.{2 * int(m[1]) - 2 + int(m[2])}."  # noqa: E731
        names = {n: re.sub(r"^layer(\d)\.(\d)\.", block, n) for n in found if found[n].ndim}
        stem = {"conv1": "conv", "bn1": "norm", "fc": "head"}
        pattern = re.compile(rf"^({'|'.join(stem)})(?=\.)")
        found = {pattern.sub(lambda m: stem[m[1]], names[n]): found[n] for n in names}
    return found


def read_inputs(folder: Path, as_they_are: bool) -> Inputs:
    """Return a row's inputs on the device, maps in PyTorch's layout unless `as_they_are`."""
    arrays = {name: torch.from_numpy(a) for name, a in np.load(folder / "inputs.npz").items()}
    if not as_they_are:
        maps = {name: a for name, a in arrays.items() if a.ndim == 4}
        arrays |= {name: a.permute(0, 3, 1, 2).contiguous() for name, a in maps.items()}
    return {name: array.to(DEVICE) for name, array in arrays.items()}


def about() -> dict[str, Any]:
    """Return what the figures depend on."""
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else DEVICE
    return {"version": f"PyTorch {torch.__version__}", "device": device}


def load(row: str, folder: str, dtype: str) -> dict[str, Any]:
    """Make a row's networks, and leave their weights in the folder."""
    drop()
    loaded["row"] = Row(row, Path(folder), dtype)
    return {}


def steps(mode: str, count: int) -> dict[str, Any]:
    """Take steps one after the other, waiting for the last."""
    for _ in range(count):
        losses = loaded["row"].step(mode)
    return {"loss": losses["loss"].item()}


def drop() -> dict[str, Any]:
    """Forget a row, its memory and its programs."""
    loaded.clear()
    torch.compiler.reset()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
    return {}


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    serve({action.__name__: action for action in (about, load, steps, drop)})


if __name__ == "__main__":
    main()
