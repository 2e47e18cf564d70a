"""The Inception network gives pytorch-fid's features, at every width."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from common.errors import InputError
from common.pretrained.inception import (
    CONVOLUTIONS,
    WIDTHS,
    inception_features,
    inception_parameters,
    load_inception,
)
from common.pretrained.weights import inception_path
from tests.golden.seeded_inception import fit_for_inception
from tests.golden.seeded_weights import seeded_weights

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "inception.npz")


@jax.jit
def all_widths(parameters, images):
    return {width: inception_features(parameters, images, width) for width in WIDTHS}


@pytest.fixture(scope="module")
def tensors():
    return fit_for_inception(seeded_weights(json.loads(str(GOLDEN["shapes"]))))


def assert_same_features(parameters, kind):
    for width, found in all_widths(parameters, GOLDEN["images"]).items():
        expected = GOLDEN[f"{kind}_{width}"]
        assert found.shape == expected.shape
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-4, (width, error)


def test_same_features_as_pytorch_fid(tensors):
    assert_same_features(inception_parameters(tensors), "seeded")


def test_same_features_as_pytorch_fid_with_the_published_weights():
    try:
        path = inception_path(download=False)
    except InputError as error:
        pytest.skip(str(error))
    assert_same_features(load_inception(path), "published")


def test_gray_images_are_three_equal_channels(tensors):
    parameters = inception_parameters(tensors)
    gray = GOLDEN["images"][..., :1]
    compiled = jax.jit(inception_features, static_argnums=2)
    one, three = compiled(parameters, gray, 64), compiled(parameters, np.repeat(gray, 3, 3), 64)
    np.testing.assert_allclose(one, three, rtol=1e-4, atol=1e-6)


def test_torchscript_names_in_order_give_the_same_parameters(tensors):
    parts = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean"}
    parts |= {"var": "bn.running_var"}
    scaleless = {
        f"{name}.bn.weight": np.ones_like(tensors[f"{name}.bn.weight"]) for name in CONVOLUTIONS
    }
    script = {
        f"net.layers.{i}.{part}": tensors[f"{name}.{source}"]
        for i, name in enumerate(CONVOLUTIONS)
        for part, source in parts.items()
    }
    found, expected = inception_parameters(script), inception_parameters(tensors | scaleless)
    for name in CONVOLUTIONS:
        for a, b in zip(found[name], expected[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_has_the_published_number_of_parameters(tensors):
    # its kernels and three numbers a channel: mean, variance and bias
    convolutions = inception_parameters(tensors)
    kernels = sum(kernel.size for kernel, _ in convolutions.values())
    channels = sum(bias.size for _, bias in convolutions.values())
    assert kernels + 3 * channels == 21_802_784


def test_refuses_other_networks(tmp_path, tensors):
    weights = np.load(Path(__file__).parents[1] / "golden" / "torch_checkpoints.npz")["zip"]
    other = tmp_path / "other.pth"
    other.write_bytes(weights.tobytes())
    with pytest.raises(InputError, match=r"other\.pth: not the Inception network"):
        load_inception(other)
    name = "Mixed_7c.branch3x3_2a.conv.weight"
    with pytest.raises((TypeError, ValueError)):
        inception_parameters(tensors | {name: tensors[name][:, :-1]})
    with pytest.raises(ValueError, match="768"):
        inception_features({}, GOLDEN["images"], 100)


def test_unreadable_file_is_no_other_network(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: No such file"):
        load_inception(tmp_path / "none.pth")
