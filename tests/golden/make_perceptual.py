"""Golden values of the perceptual and generative metrics from the implementations they match.

pip install torch==2.13.0 lpips==0.1.4 pytorch-msssim==1.0.0 piq==0.8.0 torch-fidelity==0.4.0 \
    scikit-image==0.26.0 scipy==1.17.1
PYTHONPATH=. python tests/golden/make_perceptual.py FOLDER

FOLDER holds the weights as `python -m papers weights --fetch` leaves them. torchvision, of
which lpips needs the layers of two networks and the others nothing that is used here, is replaced
by those layers.
"""

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch
from image_pairs import image_pairs, photographs
from seeded_inception import fit_for_inception
from seeded_lpips import TRUNKS, seeded_lpips
from seeded_weights import seeded_weights
from torch import nn

from common.pretrained.numpy_pickle import read_numpy_pickle
from common.pretrained.torch_checkpoint import read_torch_checkpoint


def alexnet(pretrained):
    layers, pooled = [], (0, 1)
    for i, (features, channels, size) in enumerate(TRUNKS["alex"][1]):
        stride, padding = (4, 2) if i == 0 else (1, size // 2)
        layers += [nn.Conv2d(channels, features, size, stride, padding), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2)] if i in pooled else []
    return SimpleNamespace(features=nn.Sequential(*layers))


def vgg16(pretrained):
    layers, pooled = [], (1, 3, 6, 9)
    for i, (features, channels, _) in enumerate(TRUNKS["vgg"][1]):
        layers += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2, 2)] if i in pooled else []
    return SimpleNamespace(features=nn.Sequential(*layers))


torchvision = MagicMock()
torchvision.models.alexnet, torchvision.models.vgg16 = alexnet, vgg16
for module in ("", ".models", ".models.utils", ".datasets", ".transforms"):
    sys.modules[f"torchvision{module}"] = torchvision.models if module == ".models" else torchvision
sys.modules["torchvision.transforms.functional"] = torchvision

import lpips  # noqa: E402
from piq import gmsd  # noqa: E402
from pytorch_msssim import ms_ssim  # noqa: E402
from skimage.metrics import peak_signal_noise_ratio  # noqa: E402
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: E402
from torch_fidelity.metric_isc import isc_features_to_metric  # noqa: E402


def to_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def lpips_of(net, arrays, x, y):
    """Return lpips's distances with these weights, its own heads only where they are these."""
    metric = lpips.LPIPS(net=net, verbose=False)
    convolutions = [m for m in metric.net.modules() if isinstance(m, nn.Conv2d)]
    for i, convolution in enumerate(convolutions):
        prefix = f"{TRUNKS[net][0]}_0.Conv_{i}"
        kernel = torch.from_numpy(arrays[f"{prefix}.kernel"].transpose(3, 2, 0, 1).copy())
        convolution.weight.data = kernel
        convolution.bias.data = torch.from_numpy(arrays[f"{prefix}.bias"])
    for i, head in enumerate(metric.lins):
        kernel = arrays[f"NetLinLayer_{i}.Conv_0.kernel"].transpose(3, 2, 0, 1).copy()
        head.model[-1].weight.data = torch.from_numpy(kernel)
    x = to_torch(x).requires_grad_()
    values = metric(x, to_torch(y), normalize=True).flatten()
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return values.detach().numpy(), gradient.numpy().transpose(0, 2, 3, 1)


arrays: dict = {}
for name, (x, y) in image_pairs().items():
    both = to_torch(x), to_torch(y)
    if name != "noise":  # too small
        for levels in (None, [0.2, 0.3, 0.5]):
            values = ms_ssim(*both, data_range=1, size_average=False, weights=levels)
            arrays[f"ms_ssim_{name}_{len(levels or range(5))}"] = values.numpy()
        leaf = both[0].clone().requires_grad_()
        ms_ssim(leaf, both[1], data_range=1).backward()
        arrays[f"ms_ssim_{name}_gradient"] = leaf.grad[:, :, ::16, ::16].numpy()
    arrays[f"gmsd_{name}"] = gmsd(*both, reduction="none").numpy()
    arrays[f"psnr_{name}"] = [
        peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(x, y, strict=True)
    ]
    for net in ("alex", "vgg"):
        own = read_numpy_pickle(Path(sys.argv[1]) / f"lpips-{net}-v0.1.ckpt")
        for kind, weights in (("seeded", seeded_lpips(net)), ("published", own)):
            values, gradient = lpips_of(net, weights, x[:, :64, :72], y[:, :64, :72])
            arrays[f"lpips_{net}_{kind}_{name}"] = values
            if name == "color":
                arrays[f"lpips_{net}_{kind}_gradient"] = gradient[:, ::8, ::8]

random = np.random.RandomState(0)
logits = (3 * random.standard_normal((57, 20))).astype(np.float32)
scores = [isc_features_to_metric(torch.from_numpy(logits), splits) for splits in (10, 1, 4)]
arrays |= {"logits": logits, "inception_scores": [list(score.values()) for score in scores]}


def fidelity_inception(weights):
    """Return what torch-fidelity's network gives for photographs, with these weights, by name."""
    names = ["64", "192", "768", "2048", "logits", "logits_unbiased"]
    plain = nn.Module.load_state_dict
    # the network's state has counts of batches besides, which it does not use, and a classifier
    nn.Module.load_state_dict = lambda self, state: plain(self, state, strict=False)
    with tempfile.NamedTemporaryFile() as file:
        torch.save({n: torch.from_numpy(w) for n, w in weights.items()}, file.name)
        network = FeatureExtractorInceptionV3("inception-v3-compat", names, file.name)
    nn.Module.load_state_dict = plain
    with torch.no_grad():
        found = network(to_torch(photographs()))
    return {name: values.numpy() for name, values in zip(names, found, strict=True)}


shapes = json.loads(str(np.load(Path(__file__).with_name("inception.npz"))["shapes"]))
shapes |= {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
seeded = fidelity_inception(fit_for_inception(seeded_weights(shapes)))
arrays |= {f"inception_seeded_{name}": values for name, values in seeded.items()}

script = read_torch_checkpoint(Path(sys.argv[1]) / "inception-2015-12-05-fid-helper.pt")
published = {}
ours = [n.removesuffix(".conv.weight") for n in shapes if n.endswith(".conv.weight")]
theirs = [n.removesuffix(".weight") for n in script if n.endswith(".weight")]
for name, prefix in zip(ours, theirs, strict=True):  # other names in the same order, no scale
    parts = {"conv.weight": "weight", "bn.bias": "beta", "bn.running_mean": "mean"}
    for part, source in (parts | {"bn.running_var": "var"}).items():
        published[f"{name}.{part}"] = script[f"{prefix}.{source}"]
    published[f"{name}.bn.weight"] = np.ones_like(script[f"{prefix}.beta"])
for name, values in fidelity_inception(published).items():
    if "logits" not in name:  # the archive has no classifier
        arrays[f"inception_published_{name}"] = values
np.savez_compressed(Path(__file__).with_name("perceptual.npz"), **arrays)
