"""What a training carries besides its networks: random streams, stopping, averages."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.training.ema import ema_update
from common.training.rng import Streams
from common.training.stopping import EarlyStop, Plateau

GOLDEN = np.load(Path(__file__).parents[1] / "golden/training.npz")


# Random streams


def draw(key) -> np.ndarray:
    return np.asarray(jax.random.normal(key, (1000,)))


def test_streams_are_a_pure_function_of_seed_name_and_step():
    np.testing.assert_array_equal(
        draw(Streams(5).key("noise", 7)), draw(Streams(5).key("noise", 7))
    )
    traced = jax.jit(lambda step: jax.random.normal(Streams(5).key("noise", step), (1000,)))
    np.testing.assert_array_equal(traced(np.int32(7)), draw(Streams(5).key("noise", 7)))


def test_streams_are_independent():
    keys = [Streams(s).key(n, t) for s in (0, 1) for n in ("noise", "drop") for t in (None, 0, 1)]
    correlations = np.corrcoef([draw(key) for key in keys])
    off_diagonal = correlations[~np.eye(len(keys), dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.15  # 4.7 standard errors of 1000 draws


def test_stream_values_never_change():
    # a stored result can be had again only while these stay what they are
    data = jax.random.key_data(Streams(42).key("train", 3)).tolist()
    assert data == [1109986360, 541670960]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_jax_would_cut_is_refused(seed):
    with pytest.raises(ValueError, match=str(seed)):
        Streams(seed)


# Stopping


def rates(plateau: Plateau, values: np.ndarray) -> list[float]:
    result = []
    for value in values:
        plateau = plateau.update(value)
        result.append(plateau.rate)
    return result


@pytest.mark.parametrize(
    ("golden", "plateau"),
    [
        ("torch", Plateau(0.5, factor=0.1, patience=5, min_rate=1e-6)),
        ("torch_max", Plateau(0.5, factor=0.5, patience=2, mode="max")),
        ("torch_absolute", Plateau(0.5, 0.3, patience=3, threshold=0.01, relative=False)),
        ("keras", Plateau.keras(0.5, factor=0.1, patience=5, min_rate=1e-6)),
        ("keras_max", Plateau.keras(0.5, factor=0.5, patience=0, mode="max")),
    ],
)
def test_plateau_equals_the_schedulers_it_follows(golden, plateau):
    for values, expected in zip(GOLDEN["values"], GOLDEN[golden], strict=True):
        # torch makes no cut smaller than 1e-8; Keras keeps its rate in float32
        np.testing.assert_allclose(rates(plateau, values), expected, rtol=1e-6, atol=2e-8)


@pytest.mark.parametrize(
    ("golden", "early"),
    [
        ("stop", EarlyStop(5)),
        ("stop_max", EarlyStop(0, mode="max")),
        ("stop_delta", EarlyStop(15, threshold=0.05)),
    ],
)
def test_early_stop_equals_keras(golden, early):
    for values, expected in zip(GOLDEN["values"], GOLDEN[golden], strict=True):
        state, stopped = early, -1
        for epoch, value in enumerate(values):
            state = state.update(value)
            if state.stopped:
                stopped = epoch
                break
        assert stopped == expected


def test_early_stop_says_which_value_to_keep():
    state, improved = EarlyStop(3), []
    for value in (2.0, 1.0, float("nan"), 1.0, 0.5):
        state = state.update(value)
        improved.append(state.improved)
    assert improved == [True, True, False, False, True]
    assert not EarlyStop(3).update(float("nan")).improved


def test_stopping_goes_through_a_checkpoint_as_json():
    for state in (Plateau(1.0, patience=1), EarlyStop(2, mode="max"), Plateau.keras(1.0)):
        for value in (3.0, np.float32(4.0), jnp.asarray(5.0)):
            state = state.update(value)
        assert type(state)(**json.loads(json.dumps(dataclasses.asdict(state)))) == state


# Moving average


def test_ema_is_the_weighted_mean_and_keeps_its_dtype():
    average = {"w": jnp.array([1.0, 2.0]), "n": jnp.array(1)}
    current = {"w": jnp.array([3.0, 2.0], jnp.bfloat16), "n": jnp.array(7)}
    result = ema_update(average, current, 0.75)
    np.testing.assert_allclose(result["w"], [1.5, 2.0])
    assert result["w"].dtype == jnp.float32
    assert result["n"] == 7


def test_ema_follows_fast_at_first():
    zero, one = {"w": jnp.zeros(())}, {"w": jnp.ones(())}
    assert ema_update(zero, one, 0.99, 0)["w"] == pytest.approx(0.9)  # 1 - 1/10
    assert jax.jit(ema_update)(zero, one, 0.99, 10**6)["w"] == pytest.approx(0.01)
