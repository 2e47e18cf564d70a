"""Training: what a step changes, what Dropout and BatchNorm keep, and that it resumes."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np

from common.training.loop import LOG
from common.training.rng import Streams
from papers.study_name import data, train
from papers.study_name.config import ModelConfig
from papers.study_name.study import STUDY
from tests.papers.study_name.small import prepared_in, run_in

KEY = Streams(0).key("test")
BATCH = {
    "image": np.random.RandomState(0).randint(0, 256, (8, 16, 16, 1)).astype(np.uint8),
    "label": np.arange(8) % 2,
}


def step(dropout: float, key: jax.Array) -> tuple:
    programs = train.compiled(ModelConfig(filters=(4,), dropout=dropout), 16, 1e-3)
    state = programs.init(KEY)
    before = jax.tree.map(np.asarray, state)
    after, loss = programs.step(state, BATCH, np.int32(0), key)
    return before, after, float(loss)


def test_a_step_moves_weights_and_the_averages_of_batch_norm() -> None:
    before, after, _ = step(0.0, KEY)
    for old, new in ((before.params, after.params), (before.stats, after.stats)):
        pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
        assert all(not np.array_equal(*pair) for pair in pairs)


def test_dropout_draws_by_the_key_and_not_in_prediction() -> None:
    other = Streams(1).key("test")
    assert step(0.0, KEY)[2] == step(0.0, other)[2]
    assert step(0.5, KEY)[2] == step(0.5, KEY)[2]
    assert step(0.5, KEY)[2] != step(0.5, other)[2]
    programs = train.compiled(ModelConfig(filters=(4,), dropout=0.5), 16, 1e-3)
    state = programs.init(KEY)
    assert programs.measure(state, BATCH) == programs.measure(state, BATCH)


def test_a_training_learns_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    prepared = prepared_in(tmp_path)
    short, whole, resumed = (
        run_in(tmp_path / name, epochs).unit(prepared, 0, "detector")
        for name, epochs in (("short", 4), ("whole", 10), ("resumed", 10))
    )
    STUDY.train(whole, prepared)
    STUDY.train(short, prepared)
    shutil.copytree(short.folder, resumed.folder)
    STUDY.train(resumed, prepared)
    lines = [json.loads(line) for line in (whole.folder / LOG).read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert json.loads((resumed.folder / LOG).read_text().splitlines()[-1]) == lines[-1]
    images = data.load(prepared, "test").images
    networks = [train.trained_network(unit.folder, unit.config) for unit in (whole, resumed)]
    assert np.array_equal(*(network(images) for network in networks))
