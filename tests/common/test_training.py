"""The metric log and checkpoints, with kills at the worst moments."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from common.errors import InputError
from common.training.checkpoints import Checkpoints
from common.training.finite import Diverged, check_finite
from common.training.mesh import data_mesh, data_parallel
from common.training.writer import MetricWriter

ROOT = Path(__file__).parents[2]
GOLDEN = np.load(ROOT / "tests/golden/training.npz")


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start the training program on one CPU device."""
    folder.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("training_program.py"), folder, *arguments],
        env=environment
        | {
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# Metric log


def test_a_resumed_log_is_byte_identical(tmp_path):
    path = tmp_path / "deep" / "log.jsonl"

    def write(first: int, last: int, resumed: int) -> None:
        with MetricWriter(path, 10, "t", resumed) as writer:
            if resumed == 0:
                writer.write(0, validation=1)
            for step in range(first, last + 1):
                writer.write(step, loss=np.float32(1 / step), rate=0.1)
                if step % 5 == 0:
                    writer.write(step, validation=jnp.asarray(2.0))

    write(1, 10, 0)
    whole = path.read_bytes()
    assert whole.count(b"\n") == 13
    write(1, 8, 0)  # from the start again: nothing of before stays
    path.write_bytes(path.read_bytes() + b'{"step": 9, "los')  # killed while it wrote
    write(6, 10, 5)
    assert path.read_bytes() == whole
    path.write_bytes(whole[: whole.index(b'{"step": 5') + 4] + b"\n" + whole)  # a broken line
    write(5, 10, 5)
    assert path.read_bytes() == whole


def test_what_is_not_finite_is_null(tmp_path):
    with MetricWriter(tmp_path / "log.jsonl", 1, "t") as writer:
        writer.write(1, loss=float("nan"), other=np.float64("inf"), fine=1.5)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line == {"step": 1, "loss": None, "other": None, "fine": 1.5}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_on_a_terminal_only(tmp_path, monkeypatch, terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with MetricWriter(tmp_path / "log.jsonl", 100, "train, seed 0", 40) as writer:
        writer.write(41, loss=0.25)
        writer.progress(50)
    shown = stream.getvalue()
    assert ("train, seed 0" in shown and "50/100" in shown) == terminal
    assert bool(shown) == terminal


# Checkpoints


def example(scale: float = 1.0) -> dict:
    """Return a state with every kind of leaf a study has."""
    net = nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    params = jax.tree.map(lambda x: x + scale, net)
    return {
        "params": params,
        "optimizer": optax.adam(1e-3).init(params),
        "half": jnp.full((2, 2), scale, jnp.bfloat16),
        "flags": jnp.array([True, False]),
        "key": jax.random.key(int(scale)),
        "none": None,
        "count": jnp.array(int(scale), jnp.int32),
    }


def assert_equal(a, b) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_round_trip_with_last_and_best(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2, best="loss")
    assert checkpoints.restore_last(example()) is None
    assert checkpoints.restore_best(example()) is None
    assert checkpoints.last_good() is None
    losses = {1: 4.0, 2: float("nan"), 3: 1.0, 4: 1.0, 5: np.float32(2.0), 6: 3.0}
    for step, loss in losses.items():
        checkpoints.save(step, example(step), {"next": {"index": step}}, {"loss": loss}, {"a": [1]})
    assert checkpoints.steps() == [3, 5, 6]  # of equal values the first
    again = Checkpoints(tmp_path / "c", keep=2, best="loss")  # as after a restart
    shapes = jax.tree.map(lambda x: x, example())
    for opened in (checkpoints, again):
        last, best = opened.restore_last(shapes), opened.restore_best(shapes)
        assert (last.step, last.iterator, last.metrics) == (
            6,
            {"next": {"index": 6}},
            {"loss": 3.0},
        )
        assert last.extra == {"a": [1]}
        assert_equal(last.state, example(6))
        assert best.step == 3
        assert_equal(best.state, example(3))
        assert opened.last_good() == tmp_path / "c/6"
    assert Checkpoints(tmp_path / "c", best="loss", mode="max").restore_best(shapes).step == 6
    assert Checkpoints(tmp_path / "c", best="dice").restore_best(shapes) is None
    with pytest.raises(ValueError, match="metric"):
        Checkpoints(tmp_path / "c").restore_best(shapes)


def test_restores_from_shapes_alone(tmp_path):
    state = {"w": jnp.arange(6.0).reshape(2, 3), "n": jnp.array(7)}
    Checkpoints(tmp_path).save(1, state, {}, {})
    last = Checkpoints(tmp_path).restore_last(jax.eval_shape(lambda: state))
    assert_equal(last.state, state)


def test_another_models_checkpoint_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}, {}, {})
    with pytest.raises(InputError, match=r"1 was .*b \[2, 2\] float32 there, b \[2, 3\] float32"):
        checkpoints.restore_last({"a": jnp.zeros(3), "b": jnp.zeros((2, 3))})
    with pytest.raises(InputError, match="2 arrays there, 1 here"):
        checkpoints.restore_last({"a": jnp.zeros(3)})


def test_a_training_that_diverged_says_where_to_go_on_from(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(Diverged, match=r"nan at step 3; no checkpoint") as raised:
        check_finite(3, float("nan"), checkpoints)
    assert (raised.value.step, raised.value.last_good) == (3, None)
    checkpoints.save(5, {"w": jnp.ones(2)}, {}, {})
    check_finite(6, jnp.asarray(1.0), checkpoints)
    with pytest.raises(Diverged, match=r"inf at step 7; last good checkpoint: .*/5;"):
        check_finite(7, jnp.asarray(jnp.inf), checkpoints)
    # the last step's gradient may be the first thing that is not finite: not saved either
    with pytest.raises(Diverged, match="state is not finite at step 8"):
        checkpoints.save(8, {"w": jnp.array([1.0, jnp.nan])}, {}, {})
    assert checkpoints.steps() == [5]


def damage(folder: Path, part: str) -> None:
    """Cut every file under a part of a checkpoint in half."""
    for path in (folder / part).rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("part", ["state", "record"])
@pytest.mark.parametrize("how", ["cut", "deleted"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, part, how):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2, 3):
        Checkpoints(tmp_path, keep=3).save(step, example(step), {}, {"loss": 1.0 / step})
    if how == "cut":
        damage(tmp_path / "3", part)
    else:
        shutil.rmtree(tmp_path / "3" / part)
    checkpoints = Checkpoints(tmp_path, keep=1, best="loss")
    with pytest.warns(UserWarning, match="3 is damaged"):
        assert checkpoints.restore_last(example()).step == 2
    checkpoints.save(3, example(3), {}, {"loss": 1 / 3})  # the training comes by there again
    assert checkpoints.steps() == [3]
    assert_equal(checkpoints.restore_best(example()).state, example(3))
    damage(tmp_path / "3", "state")
    with pytest.raises(InputError, match="3 is damaged or gone: delete"):
        checkpoints.restore_best(example())


def test_what_is_newer_than_the_resumed_step_goes(tmp_path):
    for step in (1, 2, 3):
        Checkpoints(tmp_path, keep=3).save(step * 10, example(step), {}, {})
    damage(tmp_path / "30", "state")
    (tmp_path / "notes.txt").write_text("not ours")
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(25, example(), {}, {})
    assert checkpoints.steps() == [20, 25]
    assert (tmp_path / "notes.txt").exists()


def test_what_a_kill_leaves_at_any_file_operation_of_a_save_is_never_half_read(tmp_path):
    """Copy the folder before each file operation of a save: what a kill there would leave."""
    folder, copies = tmp_path / "live", []
    watching = False

    def hook(event: str, arguments: tuple) -> None:
        nonlocal watching
        ours = event == "os.remove" or any(str(folder) in str(argument) for argument in arguments)
        if watching and ours and event.startswith(("os.", "open", "shutil.")):
            watching = False  # the copying is no operation of the save
            copies.append(tmp_path / f"copy{len(copies)}")
            shutil.copytree(folder, copies[-1])
            watching = True

    sys.addaudithook(hook)
    for step in (1, 2):
        Checkpoints(folder, keep=2).save(step, example(step), {"at": step}, {})
    checkpoints = Checkpoints(folder, keep=1)
    watching = True
    checkpoints.save(3, example(3), {"at": 3}, {})  # and deletes 1 and 2
    watching = False
    steps = []
    for copy in copies:
        restored = Checkpoints(copy).restore_last(example())
        steps.append(restored.step)
        assert restored.iterator == {"at": restored.step}
        assert_equal(restored.state, example(restored.step))
    assert steps == sorted(steps)
    assert steps.count(2) > 10  # while it wrote; what other threads do during a copy is not seen
    assert steps.count(3) > 10  # while it deleted
    for copy in (copies[len(copies) // 3], copies[-1]):
        Checkpoints(copy, keep=1).save(4, example(4), {}, {})
        assert [path.name for path in copy.iterdir()] == ["4"]  # nothing is left lying about


KILLS = [
    ("step::7", 5),  # between checkpoints
    ("os.rename:orbax-checkpoint-tmp:5", 10),  # in the middle of writing the second one
    ("os.rmdir:record:2", 15),  # while an old one is deleted (the first: what the kill before left)
    ("os.rename:20.orbax-checkpoint-tmp:3", 15),  # all written, not yet named
]


def test_killed_again_and_again_it_ends_bit_identical(tmp_path):
    reference = start(tmp_path / "whole")
    for kill, last in KILLS:
        run = start(tmp_path / "killed", "--kill", kill)
        output, _ = run.communicate(timeout=120)
        assert run.returncode == -signal.SIGKILL, output
        assert Checkpoints(tmp_path / "killed/checkpoints").steps()[-1] == last
    for run in (start(tmp_path / "killed"), reference):
        output, _ = run.communicate(timeout=120)
        assert run.returncode == 0, output
    log = (tmp_path / "whole/train.jsonl").read_bytes()
    assert (tmp_path / "killed/train.jsonl").read_bytes() == log
    assert len({json.loads(line)["rate"] for line in log.splitlines()}) > 1  # the plateau was met
    whole, killed = (np.load(tmp_path / run / "final.npz") for run in ("whole", "killed"))
    for name in whole:
        np.testing.assert_array_equal(whole[name], killed[name])
    folders = (tmp_path / "whole/checkpoints", tmp_path / "killed/checkpoints")
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    kept = ["20", "25", "30", "ended.json"]  # the best and the last two, no leftovers
    assert names == [kept] * 2


def test_programs_that_save_memory_plan_less_of_it_and_compute_the_same():
    def loss(weights, x):
        for kernel in weights:
            x = jnp.tanh(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", **layout))
        return (x**2).mean()

    layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    keys = jax.random.split(jax.random.key(0), 7)
    weights = [0.02 * jax.random.normal(key, (3, 3, 96, 96)) for key in keys[1:]]
    x = jax.random.normal(keys[0], (1, 4, 4, 96))

    def step(state, batch, fixed):  # the kernels are fixed: turned, and of no use afterwards
        return state, jax.grad(loss, 1)(fixed, batch)

    mesh = data_mesh()
    plain, saving = (data_parallel(step, mesh, False, save) for save in (False, True))
    planned = [
        each.lower(x[:0], x, weights).compile().memory_analysis().temp_size_in_bytes
        for each in (plain, saving)
    ]
    assert planned[1] < 0.6 * planned[0]
    given = jnp.zeros(()), x, weights
    np.testing.assert_array_equal(plain(*given)[1], saving(*given)[1])
