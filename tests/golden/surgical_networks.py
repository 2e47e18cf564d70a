"""The networks of surgical_vision but StarGANv2's in PyTorch, for make_surgical_models.py.

Written from the papers; layers have the names that the authors' codes give them.
"""

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """One module; queries and keys have an eighth of the channels."""

    def __init__(self, channels, pooled=False):
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels // 8, 1)
        self.key_conv = nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.pooled = pooled

    def added(self, x):
        query, key, value = self.query_conv(x), self.key_conv(x), self.value_conv(x)
        if self.pooled:
            key, value = functional.max_pool2d(key, 2), functional.max_pool2d(value, 2)
        scores = torch.einsum("ncq,nck->nqk", query.flatten(2), key.flatten(2))
        self.shares = scores.softmax(2)
        taken = torch.einsum("nqk,nck->ncq", self.shares, value.flatten(2))
        return self.gamma * taken.reshape(x.shape)

    def forward(self, x):
        return x + self.added(x)


class Heads(nn.ModuleList):
    """Modules side by side, all added."""

    def forward(self, x):
        return x + sum(module.added(x) for module in self)


class Residual(nn.Module):
    """`name` is what the sequence of layers is called."""

    def __init__(self, name, layers):
        super().__init__()
        self.name = name
        setattr(self, name, nn.Sequential(*layers))

    def forward(self, x):
        return x + getattr(self, self.name)(x)


class Sequence(nn.Module):
    """Layers under the name that the authors gave their sequence."""

    def __init__(self, name, layers, attention=None, behind=None):
        super().__init__()
        self.name, self.behind = name, behind
        setattr(self, name, nn.Sequential(*layers))
        if attention is not None:
            self.attention = attention

    def forward(self, x):
        for i, layer in enumerate(getattr(self, self.name)):
            x = layer(x)
            if i == self.behind:
                x = self.attention(x)
        return x


def cyclegan(width=64, blocks=9):
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU()]
    for i in (1, 2):
        conv = nn.Conv2d(width * i, width * i * 2, 3, stride=2, padding=1)
        layers += [conv, nn.InstanceNorm2d(width * i * 2), nn.ReLU()]
    wide = 4 * width
    for _ in range(blocks):
        half = [nn.ReflectionPad2d(1), nn.Conv2d(wide, wide, 3), nn.InstanceNorm2d(wide)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(wide, wide, 3), nn.InstanceNorm2d(wide)]
        layers.append(Residual("conv_block", [*half, nn.ReLU(), *other]))
    for i in (4, 2):
        conv = nn.ConvTranspose2d(
            width * i, width * i // 2, 3, stride=2, padding=1, output_padding=1
        )
        layers += [conv, nn.InstanceNorm2d(width * i // 2), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    return Sequence("model", layers)


def stargan(labels, width=64, blocks=6, attention=None):
    def norm(features):
        return nn.InstanceNorm2d(features, affine=True, track_running_stats=True)

    first = nn.Conv2d(3 + labels, width, 7, padding=3, bias=False)
    layers = [first, norm(width), nn.ReLU()]
    for i in (1, 2):
        conv = nn.Conv2d(width * i, width * i * 2, 4, stride=2, padding=1, bias=False)
        layers += [conv, norm(width * i * 2), nn.ReLU()]
    wide = 4 * width
    for _ in range(blocks):
        convs = [nn.Conv2d(wide, wide, 3, padding=1, bias=False) for _ in range(2)]
        block = [convs[0], norm(wide), nn.ReLU(), convs[1], norm(wide)]
        layers.append(Residual("main", block))
    for i in (4, 2):
        conv = nn.ConvTranspose2d(width * i, width * i // 2, 4, stride=2, padding=1, bias=False)
        layers += [conv, norm(width * i // 2), nn.ReLU()]
    layers += [nn.Conv2d(width, 3, 7, padding=3, bias=False), nn.Tanh()]
    return Sequence("main", layers, attention, behind=8 + blocks if attention else None)


class Reflected(nn.Module):
    def __init__(self, before, after, kernel, stride=1, upsample=False):
        super().__init__()
        self.conv2d = nn.Conv2d(before, after, kernel, stride)
        self.edge, self.upsample = kernel // 2, upsample

    def forward(self, x):
        if self.upsample:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        return self.conv2d(functional.pad(x, [self.edge] * 4, mode="reflect"))


class Style(nn.Module):
    def __init__(self, width=32, blocks=5):
        super().__init__()
        self.blocks = blocks
        widths, wide = (3, width, 2 * width, 4 * width), 4 * width
        for i in range(3):
            conv = Reflected(widths[i], widths[i + 1], 3 if i else 9, stride=2 if i else 1)
            setattr(self, f"conv{i + 1}", conv)
            setattr(self, f"in{i + 1}", nn.InstanceNorm2d(widths[i + 1], affine=True))
        for i in range(blocks):
            block = nn.Module()
            block.conv1, block.conv2 = Reflected(wide, wide, 3), Reflected(wide, wide, 3)
            block.in1 = nn.InstanceNorm2d(wide, affine=True)
            block.in2 = nn.InstanceNorm2d(wide, affine=True)
            setattr(self, f"res{i + 1}", block)
        self.deconv1 = Reflected(wide, 2 * width, 3, upsample=True)
        self.deconv2 = Reflected(2 * width, width, 3, upsample=True)
        self.in4 = nn.InstanceNorm2d(2 * width, affine=True)
        self.in5 = nn.InstanceNorm2d(width, affine=True)
        self.deconv3 = Reflected(width, 3, 9)

    def forward(self, x):
        for i in (1, 2, 3):
            x = getattr(self, f"in{i}")(getattr(self, f"conv{i}")(x)).relu()
        for i in range(self.blocks):
            block = getattr(self, f"res{i + 1}")
            x = x + block.in2(block.conv2(block.in1(block.conv1(x)).relu()))
        x = self.in4(self.deconv1(x)).relu()
        return self.deconv3(self.in5(self.deconv2(x)).relu())


class Skip(nn.Module):
    """A block of Pix2Pix's U-Net around the next inner one; `model` as the authors order it."""

    def __init__(self, outside, inside, inner, outermost=False, channels=None):
        super().__init__()
        down = nn.Conv2d(channels or outside, inside, 4, stride=2, padding=1, bias=False)
        seen = inside if inner is None else 2 * inside
        up = nn.ConvTranspose2d(seen, outside, 4, stride=2, padding=1, bias=outermost)
        self.outermost = outermost
        if outermost:
            layers = [down, inner, nn.ReLU(), up, nn.Tanh()]
        elif inner is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, nn.BatchNorm2d(outside)]
        else:
            layers = [nn.LeakyReLU(0.2), down, nn.BatchNorm2d(inside), inner, nn.ReLU(), up]
            layers.append(nn.BatchNorm2d(outside))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def pix2pix(width=64, downs=8):
    widths = [width * min(2**i, 8) for i in range(downs)]
    block = None
    for level in range(downs - 1, 0, -1):
        block = Skip(widths[level - 1], widths[level], block)
    network = nn.Module()
    network.model = Skip(3, width, block, outermost=True)
    network.forward = network.model.forward
    return network


def patchgan(channels, norm, width=64, layers=3, attention=None):
    widths = [width * min(2**i, 8) for i in range(layers + 1)]
    found = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for i in range(1, layers + 1):
        conv = nn.Conv2d(
            widths[i - 1], widths[i], 4, stride=1 if i == layers else 2, padding=1,
            bias=norm is nn.InstanceNorm2d,
        )  # fmt: skip
        found += [conv, norm(widths[i]), nn.LeakyReLU(0.2)]
    found.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
    return Sequence("model", found, attention, behind=4 if attention else None)


class StarDiscriminator(nn.Module):
    def __init__(self, size, labels, width=64, layers=6, attention=None):
        super().__init__()
        found, before = [], 3
        for i in range(layers):
            found += [nn.Conv2d(before, width * 2**i, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            before = width * 2**i
        sequence = Sequence("main", found, attention, behind=3 if attention else None)
        self.main, self.sequence = sequence.main, [sequence]  # listed once, under `main`
        if attention:
            self.attention = attention
        self.conv1 = nn.Conv2d(before, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(before, labels, size // 2**layers, bias=False)

    def forward(self, x):
        x = self.sequence[0](x)
        return self.conv1(x), self.conv2(x).flatten(1)


def dcgan_discriminator(filters=(64, 128, 256, 512), left=4, outputs=1):
    layers = [nn.Conv2d(3, filters[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for i in range(1, len(filters)):
        layers += [nn.Conv2d(filters[i - 1], filters[i], 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(filters[i]), nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(filters[-1], outputs, left, bias=False))
    return Sequence("main", layers)


def dcgan_generator(filters=(64, 128, 256, 512), left=4, latent=100):
    widths = (*reversed(filters), 3)
    layers = [nn.ConvTranspose2d(latent, widths[0], left, bias=False)]
    for i in range(len(filters)):
        layers += [nn.BatchNorm2d(widths[i]), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(widths[i], widths[i + 1], 4, 2, 1, bias=False))
    return Sequence("main", [*layers, nn.Tanh()])
