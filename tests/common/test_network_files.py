"""Trained networks in one file: what comes back, what is left out, and what damage leads to."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open

from common.errors import InputError
from common.pretrained.tensor_files import save_tensors
from common.training import network_files, network_metadata
from common.training.loop import trained_state
from common.training.state import State

ALL = ("params", "stats", "ema")
CARD = {"card": "# Card\n", "data": {"parts": {"b": 1, "a": 2}}}


def state(seed: int = 0) -> State:
    network = nnx.Linear(3, 4, rngs=nnx.Rngs(seed))
    stats = {"count": jnp.int32(7), "key": jax.random.key(5), "mean": jnp.float32([1e-3, 0.5])}
    params = {"generator": nnx.state(network), "critic": jnp.ones((2, 2))}
    return State(params, {"momentum": jnp.ones(3)}, stats)


def saved(folder: Path, kept: tuple[str, ...] = ALL) -> Path:
    """Return the place of a network in a file of two."""
    file = folder / "seed_0.safetensors"
    states = {"one": state(), "two": state(1)}
    network_files.save(file, states, {"one": kept, "two": ALL}, CARD)
    return file / "one"


def test_a_network_comes_back_in_its_own_types_rounded_to_float16(tmp_path) -> None:
    place, before = saved(tmp_path), state()
    assert network_metadata.is_in_file(place)
    found = trained_state(place, state())
    kernel, rounded = (one.params["generator"]["kernel"][...] for one in (before, found))
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, np.asarray(kernel).astype(np.float16))
    assert not np.array_equal(rounded, kernel)
    assert found.stats["count"] == 7
    assert jax.random.key_data(found.stats["key"]).tolist() == [0, 5]
    assert found.opt_state == {"momentum": None}
    two = trained_state(place.with_name("two"), state())
    assert not np.array_equal(two.params["generator"]["kernel"][...], rounded)
    with safe_open(place.parent, "numpy") as file:
        assert {file.get_tensor(name).dtype.name for name in file.keys()} == {  # noqa: SIM118
            "float16", "int32", "uint32"
        }  # fmt: skip


def test_parts_that_were_not_kept_are_left_out(tmp_path) -> None:
    found = trained_state(saved(tmp_path, ("params/generator",)), state())
    assert found.params["critic"] is None
    assert set(found.stats.values()) == {None}
    assert nnx.merge(nnx.graphdef(nnx.Linear(3, 4, rngs=nnx.Rngs(0))), found.params["generator"])


def test_equal_networks_are_equal_bytes_and_say_what_they_were_given(tmp_path) -> None:
    first, second = (saved(tmp_path / name).parent for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    described = network_metadata.described(first)
    assert described == CARD
    assert list(described["data"]["parts"]) == ["b", "a"]  # an order that may matter
    with safe_open(first, "numpy") as file:
        assert json.loads(file.metadata()["card"]) == CARD["card"]


def test_numbers_that_float16_cannot_hold_stay_float32(tmp_path) -> None:
    file, large = tmp_path / "a.safetensors", State({"w": jnp.float32([1e6, 1 / 3])}, None)
    network_files.save(file, {"net": large}, {"net": ALL}, {})
    found = network_files.load(file / "net", large)
    assert found.params["w"].tolist() == large.params["w"].tolist()


def test_a_flipped_bit_is_named_or_changes_nothing(tmp_path) -> None:
    place, template = saved(tmp_path), state()
    content = place.parent.read_bytes()
    whole, named = trained_state(place, template), 0
    for at in np.random.default_rng(0).integers(8 * len(content), size=150).tolist():
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        place.parent.write_bytes(flipped)
        try:
            found = trained_state(place, template)
        except InputError as error:
            named += str(error).count(f"{place.parent}: ") == 1 and "\n" not in str(error)
        else:  # a bit of the other network, of a space or the like
            named += jax.tree.all(jax.tree.map(np.array_equal, _numbers(found), _numbers(whole)))
    assert named == 150


def _numbers(found: State) -> list[np.ndarray]:
    stats = found.stats | {"key": jax.random.key_data(found.stats["key"])}
    return [np.asarray(leaf) for leaf in jax.tree.leaves((found.params, stats))]


def test_another_model_or_network_and_other_files_are_refused(tmp_path) -> None:
    place = saved(tmp_path)

    def wider() -> State:
        return state()._replace(params={"generator": jnp.ones(3), "critic": jnp.ones((2, 2))})

    with pytest.raises(InputError, match=r"seed_0\.safetensors: one is of another model: params/g"):
        trained_state(place, wider())
    with pytest.raises(InputError, match=r"no network 'three' there, only one, two"):
        trained_state(place.with_name("three"), state())
    with pytest.raises(InputError, match=r"no\.safetensors: "):
        trained_state(tmp_path / "no.safetensors" / "one", state())
    other = tmp_path / "other.safetensors"
    save_tensors(other, {"w": np.ones(3, np.float32)})
    with pytest.raises(InputError, match=r"other\.safetensors: not a file of networks"):
        network_metadata.described(other)
