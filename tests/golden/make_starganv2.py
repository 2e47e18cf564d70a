"""Writes starganv2.npz: StarGANv2's networks in PyTorch, written from its paper, seeded weights.

Parameter counts at published widths, outputs at small ones, gradients with respect to weights, and
the gradient of R1, half the mean squared norm of the logit's gradient at real images.

pip install torch==2.13.0 numpy
python tests/golden/make_starganv2.py
"""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from seeded_weights import seeded_weights
from torch import nn
from torch.nn import functional

SIZE, STYLE, LATENT, HIDDEN, DOMAINS = 48, 5, 3, 7, 3
SMALL = {"first": 4, "widest": 8}
WANTED = torch.tensor([2, 0])
KEPT = ("first.weight", "encoder.1.conv2.weight", "encoder.0.norm1.bias", "last.bias")
KEPT_STYLED = ("decoder.0.norm1.affine.weight", "decoder.2.conv1.weight", "decoder.3.skip.weight")


def leaky(x):
    return functional.leaky_relu(x, 0.2)


def widths(size, least, first, widest):
    found = [first or 2**14 // size]
    while size > least:
        size //= 2
        found.append(min(2 * found[-1], widest))
    return found, size


def skip(before, after):
    return nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()


class Block(nn.Module):
    def __init__(self, before, after, down, norm):
        super().__init__()
        self.norm1 = nn.InstanceNorm2d(before, affine=True) if norm else nn.Identity()
        self.norm2 = nn.InstanceNorm2d(before, affine=True) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(before, before, 3, padding=1)
        self.conv2 = nn.Conv2d(before, after, 3, padding=1)
        self.skip, self.down = skip(before, after), down

    def forward(self, x):
        h, x = self.conv1(leaky(self.norm1(x))), self.skip(x)
        if self.down:
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
        return (self.conv2(leaky(self.norm2(h))) + x) / math.sqrt(2)


class AdaIN(nn.Module):
    def __init__(self, features, style):
        super().__init__()
        self.affine = nn.Linear(style, 2 * features)

    def forward(self, x, style):
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return functional.instance_norm(x) * (1 + scale) + shift


class StyledBlock(nn.Module):
    def __init__(self, before, after, style, up):
        super().__init__()
        self.norm1, self.norm2 = AdaIN(before, style), AdaIN(after, style)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.skip, self.up = skip(before, after), up

    def forward(self, x, style):
        h = leaky(self.norm1(x, style))
        if self.up:
            h, x = functional.interpolate(h, scale_factor=2), functional.interpolate(x, None, 2)
        return (self.conv2(leaky(self.norm2(self.conv1(h), style))) + self.skip(x)) / math.sqrt(2)


class Generator(nn.Module):
    def __init__(self, size, style, first=None, widest=512):
        super().__init__()
        w, _ = widths(size, 16, first, widest)
        same = [(w[-1], w[-1])] * 2
        self.first = nn.Conv2d(3, w[0], 3, padding=1)
        down = [Block(a, b, True, True) for a, b in pairwise(w)]
        self.encoder = nn.ModuleList([*down, *(Block(a, b, False, True) for a, b in same)])
        up = [StyledBlock(a, b, style, True) for a, b in pairwise(w[::-1])]
        self.decoder = nn.ModuleList([*(StyledBlock(a, b, style, False) for a, b in same), *up])
        self.norm, self.last = nn.InstanceNorm2d(w[0], affine=True), nn.Conv2d(w[0], 3, 1)

    def forward(self, x, style):
        x = self.first(x)
        for block in self.encoder:
            x = block(x)
        for block in self.decoder:
            x = block(x, style)
        return self.last(leaky(self.norm(x)))


class Trunk(nn.Module):
    def __init__(self, size, first, widest):
        super().__init__()
        w, left = widths(size, 4, first, widest)
        self.first = nn.Conv2d(3, w[0], 3, padding=1)
        self.blocks = nn.ModuleList(Block(a, b, True, False) for a, b in pairwise(w))
        self.last = nn.Conv2d(w[-1], w[-1], left)
        self.features = w[-1]

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return leaky(self.last(leaky(x))).flatten(1)


class Headed(nn.Module):
    """The style encoder, and with a style of one number the discriminator."""

    def __init__(self, size, domains, outputs, first=None, widest=512):
        super().__init__()
        self.trunk = Trunk(size, first, widest)
        self.heads = nn.Linear(self.trunk.features, domains * outputs)
        self.domains = domains

    def forward(self, x, wanted):
        heads = self.heads(self.trunk(x)).unflatten(1, (self.domains, -1))
        return heads[torch.arange(len(x)), wanted]


class Mapping(nn.Module):
    def __init__(self, latent, style, domains, hidden):
        super().__init__()
        shared, own = (latent, *[hidden] * 4), (*[hidden] * 4, style)
        self.shared = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(shared))
        self.own = nn.ModuleList(
            nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(own)) for _ in range(domains)
        )

    def forward(self, x, wanted):
        for layer in self.shared:
            x = layer(x).relu()
        styles = []
        for row, domain in zip(x, wanted, strict=True):
            for layer in self.own[domain][:-1]:
                row = layer(row).relu()
            styles.append(self.own[domain][-1](row))
        return torch.stack(styles)


def counts():
    """Return parameters by network, size or number of domains, at published widths."""
    with torch.device("meta"):
        networks = {f"generator {size}": Generator(size, 64) for size in (256, 512)}
        for domains in (2, 3, 4):
            networks[f"mapping {domains}"] = Mapping(16, 64, domains, 512)
            networks[f"encoder {domains}"] = Headed(256, domains, 64)
            networks[f"discriminator {domains}"] = Headed(256, domains, 1)
    return {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}


def seeded(network):
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    weights = {name: torch.from_numpy(value) for name, value in seeded_weights(shapes).items()}
    network.load_state_dict(weights)
    return network, np.array(json.dumps(shapes))


def main():
    torch.set_num_threads(1)
    golden = {"counts": np.array(json.dumps(counts()))}
    random = np.random.RandomState(1)
    x = torch.from_numpy(random.uniform(-1, 1, (2, 3, SIZE, SIZE)).astype(np.float32))
    noise, styles = (
        torch.from_numpy(random.standard_normal((2, n)).astype(np.float32)) for n in (LATENT, STYLE)
    )
    generator, golden["generator shapes"] = seeded(Generator(SIZE, STYLE, **SMALL))
    drawn = generator(x, styles)
    golden["generator"] = drawn.detach().permute(0, 2, 3, 1).numpy()
    weights = dict(generator.named_parameters())
    kept = (*KEPT, *KEPT_STYLED)
    slopes = torch.autograd.grad(drawn.square().mean(), [weights[name] for name in kept])
    for name, slope in zip(kept, slopes, strict=True):
        golden[f"generator slope {name}"] = slope.numpy()

    mapping, golden["mapping shapes"] = seeded(Mapping(LATENT, STYLE, DOMAINS, HIDDEN))
    golden["mapping"] = mapping(noise, WANTED).detach().numpy()
    encoder, golden["encoder shapes"] = seeded(Headed(SIZE, DOMAINS, STYLE, **SMALL))
    golden["encoder"] = encoder(x, WANTED).detach().numpy()

    discriminator, golden["discriminator shapes"] = seeded(Headed(SIZE, DOMAINS, 1, **SMALL))
    real = x.requires_grad_()
    logits = discriminator(real, WANTED)[:, 0]
    golden["discriminator"] = logits.detach().numpy()
    (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    r1 = 0.5 * slope.square().flatten(1).sum(1).mean()
    golden["r1"] = r1.detach().numpy()
    weights = dict(discriminator.named_parameters())
    slopes = torch.autograd.grad(r1, list(weights.values()), allow_unused=True)
    for name, slope in zip(weights, slopes, strict=True):
        if slope is not None:  # the last bias has none
            golden[f"r1 slope {name}"] = slope.numpy()
    np.savez_compressed(Path(__file__).with_name("starganv2.npz"), **golden)
    print(golden["counts"], golden["discriminator"], golden["r1"])


if __name__ == "__main__":
    main()
