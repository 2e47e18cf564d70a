"""Damage in a checkpoint is seen, wherever it is, and the best is never silently another."""

import shutil
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from common.errors import InputError
from common.training.checkpoints import Checkpoints

BEST, LAST = 8, 16


def state(step):
    return {"w": jnp.arange(500, dtype=jnp.float32) + step, "b": jnp.ones(3, jnp.bfloat16) * step}


def opened(folder):
    return Checkpoints(folder, keep=1, best="loss")


def saved(folder: Path) -> Path:
    for step, loss in ((4, 3.0), (BEST, 1.0), (12, 2.0), (LAST, 2.5)):
        opened(folder).save(step, state(step), {"at": step}, {"loss": loss})
    assert opened(folder).steps() == [BEST, LAST]
    return folder


def arrays(folder: Path) -> Path:
    """Return the file that holds most of a checkpoint's numbers."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_a_bit_turned_anywhere_in_the_arrays_is_seen(tmp_path):
    whole, seen = saved(tmp_path / "whole"), 0
    size = arrays(whole / str(LAST)).stat().st_size
    for number, place in enumerate(np.linspace(0, size - 1, 24).astype(int)):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        file = arrays(folder / str(LAST))
        content = bytearray(file.read_bytes())
        content[place] ^= 32
        file.write_bytes(content)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            restored = opened(folder).restore_last(state(0))
        assert restored
        step = restored.step
        assert (step == BEST) == any("damaged and passed over" in str(one.message) for one in told)
        np.testing.assert_array_equal(restored.state["w"], state(step)["w"])
        seen += step == BEST
    assert seen > 12  # some places hold no number


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def cut(folder: Path) -> None:
    for file in (folder / "record").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:7])


def letter(folder: Path) -> None:
    changed = 0
    for file in (folder / "record").rglob("*"):
        if file.is_file() and b'"loss": 1.0' in (content := file.read_bytes()):
            file.write_bytes(content.replace(b'"loss": 1.0', b'"loss": 9.0'))
            changed += 1
    assert changed


def bit(folder: Path) -> None:
    file = arrays(folder)
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [gone, cut, letter, bit])
def test_a_damaged_best_never_becomes_the_second_best(tmp_path, damage):
    damage(saved(tmp_path) / str(BEST))
    with pytest.raises(InputError, match=rf"/{BEST} is damaged or gone: delete .* train again"):
        opened(tmp_path).restore_best(state(0))


@pytest.mark.parametrize("damage", [gone, cut, letter])
def test_a_training_does_not_go_on_without_its_best(tmp_path, damage):
    damage(saved(tmp_path) / str(BEST))
    with pytest.raises(InputError, match=rf"/{BEST} is damaged or gone"):
        opened(tmp_path).restore_last(state(0))


def test_what_another_version_wrote_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("common.training.checkpoints.VERSION", 1)
        opened(tmp_path).save(4, state(4), {}, {"loss": 1.0})
    with pytest.raises(InputError, match="written by another version"):
        opened(tmp_path).restore_last(state(0))
