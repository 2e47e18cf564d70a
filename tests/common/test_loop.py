"""What every training does around its step: resume, count, report, check, save."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

from common.data.loader import ArraySource, batches
from common.data.prepare import prepare
from common.errors import InputError
from common.pipeline.plan import plan
from common.training.checkpoints import Checkpoints
from common.training.finite import Diverged
from common.training.loop import LOG, Length, Report, Training, checkpoints_of, trained_state
from common.training.state import State
from papers import studies
from papers.camcan_cfg.train import train as train_network

EXAMPLES, LENGTH = 22, Length(epochs=3, batch_size=4, log_every=2, checkpoint_minutes=1e9)
EPOCH, TOTAL = 5, 15  # steps: two examples fill no batch
REPORTS = [2, 4, 5, 6, 8, 10, 12, 14, 15]  # every second step and the end of each epoch


class Stopped(Exception):
    """The end of a training before its time."""


def source() -> ArraySource:
    return ArraySource({"x": np.arange(EXAMPLES, dtype=np.float32)})


def start() -> State:
    return State({"w": jnp.zeros(3)}, jnp.zeros((), jnp.int32))


@jax.jit
def step(state: State, batch, index, key, rate):
    noise = jax.random.normal(jax.random.fold_in(key, index), (3,))
    params = {"w": state.params["w"] + rate * (batch["x"].mean() + noise)}
    losses = {"generator": batch["x"].mean(), "critic": index.astype(jnp.float32)}
    return State(params, state.opt_state + 1), losses


def train(folder: Path, length: Length = LENGTH, stop: int = 0, save: bool | None = None) -> State:
    """Train to the end, or save and stop after the report of step `stop`."""
    key = jax.random.key(1)
    with Training(folder, start(), source(), length, seed=3, label="t") as training:
        training.extra = training.extra or {"rate": 1.0}
        for report in training.reports(
            step, key, each=lambda: (np.float32(training.extra["rate"]),)
        ):
            training.extra = {"rate": 0.9 * training.extra["rate"]}
            training.record(report, save=True if report.step == stop else save)
            if report.step == stop:
                raise Stopped
        return training.state


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def assert_same(ours: State, theirs: State) -> None:
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stops", [[4], [5], [2, 8, 14], [15]])
def test_a_resumed_training_ends_as_one_without_interruption(tmp_path, stops):
    whole = train(tmp_path / "whole")
    for stop in stops:
        with pytest.raises(Stopped):
            train(tmp_path / "stopped", stop=stop)
    resumed = train(tmp_path / "stopped")
    assert_same(resumed, whole)
    log = (tmp_path / "whole" / LOG).read_bytes()
    assert (tmp_path / "stopped" / LOG).read_bytes() == log
    assert_same(train(tmp_path / "whole"), whole)  # nothing is left to do
    assert (tmp_path / "whole" / LOG).read_bytes() == log


def test_what_a_kill_left_in_the_log_is_written_again(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "killed", stop=6)
    with (tmp_path / "killed" / LOG).open("a") as log:
        log.write('{"step": 8, "generator": 1.0}\n{"step": 10, "gen')
    assert_same(train(tmp_path / "killed"), whole)
    assert (tmp_path / "killed" / LOG).read_bytes() == (tmp_path / "whole" / LOG).read_bytes()


def test_reports_are_the_mean_of_each_loss_since_the_last(tmp_path):
    train(tmp_path)
    order = batches(source(), 4, 3)
    means = [float(next(order)["x"].mean()) for _ in range(TOTAL)]
    assert [line["step"] for line in lines(tmp_path)] == REPORTS
    for before, line in zip([0, *REPORTS], lines(tmp_path), strict=False):
        steps = range(before, line["step"])
        assert line["critic"] == pytest.approx(np.mean(steps))  # the index counts from 0
        assert line["generator"] == pytest.approx(np.mean([means[i] for i in steps]))
        assert set(line) == {"step", "generator", "critic"}


def test_a_loss_without_a_name_is_called_loss(tmp_path):
    with Training(tmp_path, start(), source(), LENGTH, seed=0, label="t") as training:
        for report in training.reports(lambda state, batch, index: (state, batch["x"].mean())):
            report["validation_loss"] = 0.5
            training.record(report)
    assert all(set(line) == {"step", "loss", "validation_loss"} for line in lines(tmp_path))


def test_epochs_and_the_end_are_told(tmp_path):
    told: list[Report] = []
    length = replace(LENGTH, log_every=3)
    with Training(tmp_path, start(), source(), length, seed=0, label="t") as training:
        assert training.total == TOTAL
        told += training.reports(lambda state, *_: (state, jnp.zeros(())))
    assert [report.step for report in told] == [3, 5, 6, 9, 10, 12, 15]
    assert {report.step: report.epoch for report in told if report.epoch} == {5: 1, 10: 2, 15: 3}
    assert [report.step for report in told if report.last] == [15]


def test_arguments_go_to_every_step_and_each_is_called_before_each(tmp_path):
    seen, calls = [], []

    def each() -> tuple[int]:
        calls.append(None)
        return (len(calls),)

    def watch(state, batch, index, weights, number):
        seen.append((int(index), weights, number))
        assert len(calls) == len(seen)
        return state, jnp.zeros(())

    with Training(tmp_path, start(), source(), LENGTH, seed=0, label="t") as training:
        list(training.reports(watch, "weights", each=each))
    assert seen == [(index, "weights", index + 1) for index in range(TOTAL)]


def test_another_seed_is_another_order_and_all_of_an_epoch_is_seen(tmp_path):
    def rows(seed: int) -> list[float]:
        seen: list[float] = []

        def watch(state, batch, index):
            seen.extend(np.asarray(batch["x"]).tolist())
            return state, jnp.zeros(())

        folder = tmp_path / str(seed)
        with Training(folder, start(), source(), LENGTH, seed=seed, label="t") as training:
            list(training.reports(watch))
        return seen

    assert rows(1) != rows(2)
    first = rows(4)[: EPOCH * 4]
    assert len(set(first)) == len(first) == 20


def test_what_is_not_finite_names_the_last_good_checkpoint(tmp_path):
    def broken(state, batch, index):
        return state, {"fine": jnp.zeros(()), "bad": jnp.where(index == 10, jnp.nan, 1.0)}

    with Training(tmp_path, start(), source(), LENGTH, seed=0, label="t") as training:
        reports = training.reports(broken)
        for report in itertools.islice(reports, REPORTS.index(12)):
            training.record(report, save=report.step == 8)
        with pytest.raises(
            Diverged, match=r"nan at step 12; last good checkpoint: .*/8;"
        ) as raised:
            next(reports)
    assert raised.value.last_good == tmp_path / "checkpoints" / "8"
    assert lines(tmp_path)[-1]["step"] == 10  # the report before
    assert Checkpoints(tmp_path / "checkpoints").steps() == [8]


def test_checkpoints_are_saved_by_the_clock_and_at_the_end(tmp_path):
    def saved(minutes: float, save: bool | None = None) -> list[int]:
        folder = tmp_path / f"{minutes}-{save}"
        checkpoints, steps = Checkpoints(folder / "checkpoints", keep=99), []
        with Training(
            folder, start(), source(), replace(LENGTH, checkpoint_minutes=minutes),
            seed=0, label="t", checkpoints=checkpoints,
        ) as training:  # fmt: skip
            for report in training.reports(lambda state, *_: (state, jnp.zeros(()))):
                training.record(report, save=save)
                steps = checkpoints.steps()
        return steps

    assert saved(0.0) == REPORTS
    assert saved(1e9) == [15]
    assert saved(0.0, save=False) == []
    assert saved(1e9, save=True) == REPORTS


def test_the_trained_state_is_the_last_or_the_best(tmp_path):
    with Training(
        tmp_path, start(), source(), LENGTH, seed=0, label="t",
        checkpoints=checkpoints_of(tmp_path, "distance"),
    ) as training:  # fmt: skip
        for report in training.reports(
            lambda s, b, i: (State({"w": s.params["w"] + 1}, s.opt_state), jnp.zeros(()))
        ):
            report["distance"] = abs(report.step - 8)
            training.record(report, save=True)
    template = jax.eval_shape(start)
    assert trained_state(tmp_path, template).params["w"].tolist() == [15] * 3
    assert trained_state(tmp_path, template, "distance").params["w"].tolist() == [8] * 3
    with pytest.raises(InputError, match=r"no checkpoint; run --stage train first"):
        trained_state(tmp_path / "nowhere", template)


def test_fewer_examples_than_a_batch_are_refused(tmp_path):
    with pytest.raises(InputError, match="batch_size 23 is larger than the 22 examples"):
        Training(tmp_path, start(), source(), replace(LENGTH, batch_size=23), seed=0, label="t")


# One program for all seeds


def test_a_second_seed_compiles_nothing(tmp_path, monkeypatch):
    """The whole training of camcan's denoiser: another seed's keys and weights are arguments."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    compilations: list[str] = []

    def listen(event: str, seconds: float, **more) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(event)

    run = plan(studies.load("camcan"), "smoke", settings=["train.checkpoint_minutes=0.0"])
    prepared = prepare(run.dataset, run.data, run.study.examples, run.data_folder, None)
    monitoring.register_event_duration_secs_listener(listen)
    try:
        counts = []
        for seed in (0, 1, 2**31 + 5):
            train_network(run.unit(prepared, seed, "denoiser"), prepared)
            counts.append(len(compilations))
    finally:
        monitoring.unregister_event_duration_listener(listen)
    assert counts[0] > 0
    assert counts[1:] == counts[:1] * 2
    logs = [run.unit(prepared, seed, "denoiser").folder / LOG for seed in (0, 1)]
    assert logs[0].read_text() != logs[1].read_text()
