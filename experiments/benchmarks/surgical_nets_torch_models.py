"""Training steps of Pix2Pix, CycleGAN, StarGAN and StarGANv2 in PyTorch, as the authors' codes.

For `surgical_nets_torch.py`. The networks are those of tests/golden. What a step uses twice is made
once, and gradients are those of the weights that are trained and no others.
"""

import copy
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).parents[2] / "tests" / "golden"))

import make_starganv2 as starganv2
import surgical_networks as networks

Tensors = dict[str, torch.Tensor]
Networks = dict[str, nn.Module]


def normalized_by_image(network: nn.Module) -> nn.Module:
    """Return the network with instance normalization where the authors have BatchNorm, as ours."""
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                setattr(module, name, nn.InstanceNorm2d(layer.num_features, affine=True))
    return network


def halves(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def is_real(logits: torch.Tensor, real: bool) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def is_real_squared(scores: torch.Tensor, real: bool) -> torch.Tensor:
    return (scores - float(real)).square().mean()


def has_labels(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(logits)


def squared_norms(scores: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    (slopes,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return slopes.square().sum((1, 2, 3))


def train(loss: torch.Tensor, *optimizers: torch.optim.Optimizer) -> None:
    """Take a step of the optimizers, computing the gradients of their parameters alone."""
    trained = [p for o in optimizers for group in o.param_groups for p in group["params"]]
    slopes = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
    for parameter, slope in zip(trained, slopes, strict=True):
        parameter.grad = slope
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def adam(chosen: Iterable[nn.Module], options: dict, beta2: float = 0.999) -> torch.optim.Adam:
    parameters = [parameter for network in chosen for parameter in network.parameters()]
    betas, decay = (options["beta1"], beta2), options.get("weight_decay", 0.0)
    return torch.optim.Adam(parameters, options["learning_rate"], betas, weight_decay=decay)


class Pix2Pix:
    """Isola et al. 2017: a U-Net against a PatchGAN, both normalized by image."""

    def __init__(self, size: int, options: dict):
        generator = networks.pix2pix(options["filters"], options["downs"])
        width, layers = options["discriminator_filters"], options["discriminator_layers"]
        judge = networks.patchgan(6, nn.BatchNorm2d, width, layers)
        self.networks: Networks = {
            "generator": normalized_by_image(generator),
            "discriminator": normalized_by_image(judge),
        }
        self.options = options
        self.adams = {name: adam([network], options) for name, network in self.networks.items()}

    def step(self, inputs: Tensors) -> Tensors:
        """Take a training step; return its losses by name."""
        generator, judge = self.networks.values()
        before, after = halves(inputs["before"]), halves(inputs["after"])
        made = generator(before)

        def judged(images: torch.Tensor, real: bool) -> torch.Tensor:
            return is_real(judge(torch.cat([before, images], 1)), real)

        losses = {"d_real": judged(after, True), "d_generated": judged(made.detach(), False)}
        train((losses["d_real"] + losses["d_generated"]) / 2, self.adams["discriminator"])
        losses["g_adversarial"] = judged(made, True)
        losses["l1"] = self.options["l1"] * F.l1_loss(made, after)
        losses["loss"] = losses["g_adversarial"] + losses["l1"]
        train(losses["loss"], self.adams["generator"])
        return losses

    def infer(self, inputs: Tensors) -> torch.Tensor:
        """Return what the generator makes of the images."""
        return self.networks["generator"](halves(inputs["image"]))


class CycleGAN:
    """Zhu et al. 2017: two generators, two discriminators, least squares."""

    def __init__(self, size: int, options: dict):
        def judge() -> nn.Module:
            width, layers = options["discriminator_filters"], options["discriminator_layers"]
            return networks.patchgan(3, nn.InstanceNorm2d, width, layers)

        generator = partial(networks.cyclegan, options["filters"], options["blocks"])
        self.networks: Networks = {
            "to_after": generator(), "to_before": generator(),
            "is_after": judge(), "is_before": judge(),
        }  # fmt: skip
        self.options, both = options, list(self.networks.values())
        self.generators, self.judges = adam(both[:2], options), adam(both[2:], options)
        self.pool: list[torch.Tensor] = []  # of generated images, in no round full

    def step(self, inputs: Tensors) -> Tensors:
        """Take a training step; return its losses by name."""
        to_after, to_before, is_after, is_before = self.networks.values()
        before, after = halves(inputs["before"]), halves(inputs["after"])
        made, back = to_after(before), to_before(after)
        cycle = F.l1_loss(to_before(made), before) + F.l1_loss(to_after(back), after)
        same = F.l1_loss(to_after(after), after) + F.l1_loss(to_before(before), before)
        weight = self.options["cycle"]
        losses = {
            "g_adversarial": is_real_squared(is_after(made), True)
            + is_real_squared(is_before(back), True),
            "cycle": weight * cycle,
            "identity": self.options["identity"] * weight * same,
        }
        losses["loss"] = torch.stack(list(losses.values())).sum()
        train(losses["loss"], self.generators)
        made, back = made.detach(), back.detach()
        self.pool += [made, back]
        for name, judge, real, generated in (
            ("is_after", is_after, after, made), ("is_before", is_before, before, back),
        ):  # fmt: skip
            right, wrong = judge(real), judge(generated)
            both = is_real_squared(right, True) + is_real_squared(wrong, False)
            losses[f"d_{name}"] = both / 2
        train(losses["d_is_after"] + losses["d_is_before"], self.judges)
        return losses

    def infer(self, inputs: Tensors) -> torch.Tensor:
        """Return what the generator makes of the images."""
        return self.networks["to_after"](halves(inputs["image"]))


class StarGAN:
    """Choi et al. 2018: one step of the discriminator to one of the generator."""

    def __init__(self, size: int, options: dict):
        width, layers = options["discriminator_filters"], options["discriminator_layers"]
        self.networks: Networks = {
            "generator": networks.stargan(3, options["filters"], options["blocks"]),
            "discriminator": networks.StarDiscriminator(size, 3, width, layers),
        }
        self.options = options
        self.adams = {name: adam([network], options) for name, network in self.networks.items()}

    def _redrawn(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        planes = labels[:, :, None, None].expand(*labels.shape, *images.shape[2:])
        return self.networks["generator"](torch.cat([images, planes], 1))

    def step(self, inputs: Tensors) -> Tensors:
        """Take a training step; return its losses by name."""
        judge, options = self.networks["discriminator"], self.options
        images, labels = halves(inputs["image"]), inputs["label"].float()
        made = self._redrawn(images, labels)  # wanted are the same labels
        score, logits = judge(images)
        losses = {
            "d_real": -score.mean(),
            "d_generated": judge(made.detach())[0].mean(),
            "d_labels": options["classification"] * has_labels(logits, labels),
        }
        share = inputs["share"]
        points = (share * images + (1 - share) * made.detach()).requires_grad_()
        norms = squared_norms(judge(points)[0], points).sqrt()
        losses["d_penalty"] = options["penalty"] * (norms - 1).square().mean()
        train(torch.stack(list(losses.values())).sum(), self.adams["discriminator"])
        score, logits = judge(made)
        again = self._redrawn(made, labels)
        found = {
            "g_adversarial": -score.mean(),
            "g_labels": options["classification"] * has_labels(logits, labels),
            "reconstruction": options["reconstruction"] * F.l1_loss(again, images),
        }
        found["loss"] = torch.stack(list(found.values())).sum()
        train(found["loss"], self.adams["generator"])
        return losses | found

    def infer(self, inputs: Tensors) -> torch.Tensor:
        """Return what the generator makes of the images."""
        return self._redrawn(halves(inputs["image"]), inputs["label"].float())


class StarGANv2:
    """Choi et al. 2020: a step by noise and one by reference, of D and then of G."""

    def __init__(self, size: int, options: dict):
        widths = {"first": options["channels"] or None, "widest": options["widest"]}
        style, hidden = options["style"], options["hidden"]
        self.networks: Networks = {
            "generator": starganv2.Generator(size, style, **widths),
            "mapping": starganv2.Mapping(options["latent"], style, 4, hidden),
            "encoder": starganv2.Headed(size, 4, style, **widths),
            "discriminator": starganv2.Headed(size, 4, 1, **widths),
        }
        self.options = options
        slow = options | {"learning_rate": options["mapping_learning_rate"]}
        self.adams = {
            name: adam([network], slow if name == "mapping" else options, 0.99)
            for name, network in self.networks.items()
        }
        averaged = ("generator", "mapping", "encoder")
        self.average = {name: copy.deepcopy(self.networks[name]) for name in averaged}

    def step(self, inputs: Tensors) -> Tensors:
        """Take a training step; return its losses by name."""
        generator, mapping, encoder, _ = self.networks.values()
        images, domain, target = halves(inputs["image"]), inputs["domain"], inputs["target"]
        noise = [inputs[name] for name in ("noise", "noise2")]
        references = [halves(inputs[name]) for name in ("reference", "reference2")]
        style = mapping(noise[0], target)
        made = generator(images, style)
        losses = self._discriminate(images, domain, made.detach(), target)
        with torch.no_grad():
            by_reference = generator(images, encoder(references[0], target))
        losses |= by_reference_named(self._discriminate(images, domain, by_reference, target))
        losses |= self._generate(images, domain, target, style, made, mapping, noise[1])
        style = encoder(references[0], target)  # of another generator than before
        made = generator(images, style)
        losses |= by_reference_named(
            self._generate(images, domain, target, style, made, encoder, references[1])
        )
        with torch.no_grad():
            for name, network in self.average.items():
                moving = zip(network.parameters(), self.networks[name].parameters(), strict=True)
                for old, new in moving:
                    old.lerp_(new, 0.9)  # the first step's share
        return losses

    def _discriminate(self, images: Any, domain: Any, made: Any, target: Any) -> Tensors:
        judge, real = self.networks["discriminator"], images.clone().requires_grad_()
        logits = judge(real, domain)
        losses = {
            "d_real": is_real(logits, True),
            "d_generated": is_real(judge(made, target), False),
            "d_r1": self.options["r1"] * squared_norms(logits, real).mean() / 2,
        }
        train(torch.stack(list(losses.values())).sum(), self.adams["discriminator"])
        return losses

    def _generate(
        self, images: Any, domain: Any, target: Any, style: Any, made: Any, maker: Any, source: Any
    ) -> Tensors:
        generator, mapping, encoder, judge = self.networks.values()
        with torch.no_grad():
            other = generator(images, maker(source, target))
        again = generator(made, encoder(images, domain))
        losses = {
            "g_adversarial": is_real(judge(made, target), True),
            "style": self.options["style_weight"] * F.l1_loss(encoder(made, target), style),
            "diversity": -self.options["diversity"] * F.l1_loss(made, other),
            "cycle": self.options["cycle"] * F.l1_loss(again, images),
        }
        losses["loss"] = torch.stack(list(losses.values())).sum()
        names = ("generator", "mapping", "encoder") if maker is mapping else ("generator",)
        train(losses["loss"], *(self.adams[name] for name in names))
        return losses

    def infer(self, inputs: Tensors) -> torch.Tensor:
        """Return what the generator makes of the images."""
        style = self.average["mapping"](inputs["drawn"], inputs["domain"])
        return self.average["generator"](halves(inputs["image"]), style)


def by_reference_named(losses: Tensors) -> Tensors:
    """Return the losses by the names that ours have of styles of references."""
    return {f"{name}_reference": value for name, value in losses.items()}


MODELS = {"pix2pix": Pix2Pix, "cyclegan": CycleGAN, "stargan": StarGAN, "starganv2": StarGANv2}
