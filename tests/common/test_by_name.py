import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from common.nn.by_name import from_torch_kernel, from_torch_transposed_kernel, load_by_name
from common.nn.conv import Conv


def network():
    return nnx.eval_shape(
        lambda: nnx.List([Conv(2, 3, 3, rngs=nnx.Rngs(0)), Conv(3, 4, 1, rngs=nnx.Rngs(0))])
    )


def name_of(path):
    return f"{path[0]}.{'weight' if path[1] == 'kernel' else 'bias'}"


def convert(path, array):
    return array.transpose(2, 3, 1, 0) if path[-1] == "kernel" else array


def arrays():
    shapes = {"0.weight": (3, 2, 3, 3), "0.bias": (3,), "1.weight": (4, 3, 1, 1), "1.bias": (4,)}
    return {
        name: np.random.default_rng(i).random(shape)
        for i, (name, shape) in enumerate(shapes.items())
    }


def load(weights, **options):
    return load_by_name(network(), weights, name_of, convert, "file x", **options)


def refused(weights):
    with pytest.raises(InputError) as error:
        load(weights)
    return str(error.value)


def test_every_array_arrives_in_our_layout_and_type():
    weights = arrays()
    loaded = nnx.merge(nnx.graphdef(network()), load(weights))
    for i, layer in enumerate(loaded):
        assert layer.kernel[...].dtype == layer.bias[...].dtype == jnp.float32
        np.testing.assert_array_equal(
            layer.kernel[...], weights[f"{i}.weight"].transpose(2, 3, 1, 0).astype(np.float32)
        )
        np.testing.assert_array_equal(layer.bias[...], weights[f"{i}.bias"].astype(np.float32))


def test_what_is_missing_unused_or_misshapen_is_one_line():
    weights = arrays() | {f"extra.{i}": np.zeros(1) for i in range(5)} | {"1.bias": np.zeros(3)}
    del weights["0.bias"]
    assert refused(weights) == (
        "file x: 1 missing: '0.bias'; 5 unused: 'extra.0', 'extra.1', 'extra.2', ...; "
        "1 of another shape: '1.bias' is (3,), the network's is (4,) (ours); "
        "check the config of the network"
    )
    assert "4 missing: " in refused({})
    assert "unused" not in refused({})


@pytest.mark.parametrize("shape", [(3, 4, 1, 1), (4, 3), (4, 3, 1), (12,), ()])
def test_other_dimensions_are_another_shape(shape):
    message = refused(arrays() | {"1.weight": np.zeros(shape)})
    assert f"1 of another shape: '1.weight' is {shape}, the network's is (1, 1, 3, 4)" in message


def test_only_what_is_ignored_may_be_left_over():
    weights = arrays() | {"norm.num_batches_tracked": np.zeros(()), "stray": np.zeros(1)}

    def ignored(name):
        return name.endswith("num_batches_tracked")

    with pytest.raises(InputError, match="file x: 1 unused: 'stray';"):
        load(weights, ignored=ignored)
    del weights["stray"]
    load(weights, ignored=ignored)


def test_ignored_weights_of_ours_must_be_there():
    weights = arrays()
    del weights["0.bias"]
    with pytest.raises(InputError, match=r"1 missing: '0\.bias'"):
        load(weights, ignored=lambda name: True)


def test_pytorchs_kernels_in_our_layout():
    weight = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    kernel, transposed = from_torch_kernel(weight), from_torch_transposed_kernel(weight)
    assert kernel.shape == (4, 5, 3, 2)
    assert transposed.shape == (4, 5, 2, 3)
    assert kernel[3, 1, 2, 0] == weight[0, 2, 3, 1]
    assert transposed[3, 1, 0, 2] == weight[0, 2, 0, 3]
    np.testing.assert_array_equal(from_torch_kernel(weight[..., 0, 0]), weight[..., 0, 0].T)
