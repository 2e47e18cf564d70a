"""What each network's training depends on, and real steps of each."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from common.pretrained.perceptual import perceptual_network
from common.study import config as configs
from common.study import experiment as experiments
from common.study.protocol import Prepared, Run, Unit
from common.training.loop import checkpoints_of
from common.training.rng import Streams
from common.training.state import State
from papers.ultrasound_diconvae import filters, train
from papers.ultrasound_diconvae.config import Config
from papers.ultrasound_diconvae.study import STUDY
from tests.golden.seeded_lpips import seeded_lpips

EXPERIMENT = experiments.load(STUDY.experiments, "smoke")
SMOKE: Config = configs.override(Config(), EXPERIMENT.config)
SMALL = configs.override(
    SMOKE,
    {
        "data": {"height": 16, "width": 16},
        "denoiser": {"filters": [4, 4]},
        "segmenter": {"filters": [4, 8]},
        "train": {"learning_rate": 0.01, "segmenter_learning_rate": 0.01},
    },
)
KEY = jax.random.key(1)
PREPARED = Prepared("simulated", Path("data"), "a hash", True, "", {}, {}, (), ())
ALL = {
    "denoiser",
    "segmenter_raw",
    "segmenter_median",
    "segmenter_denoised",
    "segmenter_denoised50",
    "joint",
}
AFTER_DENOISER = ALL - {"segmenter_raw", "segmenter_median"}


def run_of(config: Config, home: Path = Path("home")) -> Run[Config]:
    return Run(STUDY, EXPERIMENT, config, (0,), home / "out", home=home)


def keys(changes: dict[str, Any]) -> dict[str, str]:
    """Return the key of every network of the smoke config with some fields changed."""
    run = run_of(configs.override(SMOKE, changes))
    return {name: Unit(run, 0, name, "a hash").key for name in run.networks}


def test_networks_are_trained_in_this_order() -> None:
    names = list(STUDY.networks(SMOKE))
    assert (names[0], names[-1], set(names)) == ("denoiser", "joint", ALL)
    assert list(STUDY.networks(Config())) == ["denoiser", "segmenter_raw", "segmenter_denoised"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("evaluate.batch_size", 3, set()),
        ("evaluate.cases", 1, set()),
        ("evaluate.keep_real_images", False, set()),
        ("train.log_every", 7, set()),
        ("train.checkpoint_minutes", 0.0, set()),
        ("train.strengths", [0.25, 0.5], set()),
        ("train.filters", ["lee", "median"], set()),
        ("data.split_seed", 1, ALL),
        ("speckle.sigmas", [0.3], AFTER_DENOISER),
        ("speckle.centered", True, AFTER_DENOISER),
        ("denoiser.dropout", 0.1, AFTER_DENOISER),
        ("train.epochs", 3, AFTER_DENOISER),
        ("train.batch_size", 4, AFTER_DENOISER),
        ("train.learning_rate", 0.1, AFTER_DENOISER),
        ("train.loss", "l1_perceptual", AFTER_DENOISER),
        ("train.mix", 0.1, AFTER_DENOISER),
        ("train.perceptual", 0.1, AFTER_DENOISER),
        ("train.perceptual_layer", "relu1_2", AFTER_DENOISER),
        ("train.schedule", "cosine", ALL),
        ("segmenter.norm_momentum", 0.5, ALL - {"denoiser"}),
        ("train.segmenter_epochs", 3, ALL - {"denoiser"}),
        ("train.segmenter_batch_size", 4, ALL - {"denoiser"}),
        ("train.segmenter_learning_rate", 0.1, ALL - {"denoiser"}),
        ("train.segmenter_loss", "cross_entropy_dice", ALL - {"denoiser"}),
    ],
)
def test_a_field_changes_the_keys_of_what_learns_from_it(
    field: str, value: Any, expected: set[str]
) -> None:
    before, after = keys({}), keys({field: value})
    assert before.keys() <= after.keys()
    assert {name for name in before if before[name] != after[name]} == expected


def batch(count: int = 4) -> dict[str, np.ndarray]:
    rng, shape = np.random.default_rng(0), (count, SMALL.data.height, SMALL.data.width)
    images = rng.integers(0, 256, (*shape, 1)).astype(np.uint8)
    return {"image": images, "labels": rng.integers(0, 4, shape).astype(np.uint8)}


def fresh(kind: str, config: Config = SMALL, steps: int = 4) -> tuple[train.Programs, State]:
    programs = train.compiled(kind, config, steps)
    return programs, programs.init(Streams(0).key("parameters"))


@pytest.mark.parametrize("kind", ["denoiser", "segmenter", "joint"])
def test_steps_learn_move_all_and_draw_by_key_and_index(kind: str) -> None:
    programs, state = fresh(kind)
    before, losses = jax.device_get(state), []
    for _ in range(8):  # of the same draws
        state, loss = programs.step(state, batch(), np.int32(0), KEY, None)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    for part in ("params", "stats"):
        pairs = zip(
            jax.tree.leaves(getattr(before, part)),
            jax.tree.leaves(getattr(state, part)),
            strict=True,
        )
        assert not any(np.array_equal(old, new) for old, new in pairs)

    def first_loss(index: int, key: jax.Array) -> float:
        return float(programs.step(fresh(kind)[1], batch(), np.int32(index), key, None)[1])

    assert first_loss(0, KEY) == losses[0]
    if kind != "segmenter":  # which has neither speckle nor dropout
        assert first_loss(1, KEY) != losses[0]
        assert first_loss(0, jax.random.key(2)) != losses[0]


def test_seeds_and_variants_share_one_program() -> None:
    programs, _ = fresh("segmenter", steps=5)
    assert train.compiled("segmenter", SMALL, 5) is programs
    assert train.kind_of("segmenter_denoised50") == train.kind_of("segmenter_raw") == "segmenter"
    for seed in range(2):
        streams = Streams(seed)
        state = programs.init(streams.key("parameters"))
        programs.step(state, batch(), np.int32(0), streams.key(f"segmenter_{seed}"), None)
    assert programs.init._cache_size() == programs.step._cache_size() == 1


def test_the_rate_is_the_schedule_s_inside_the_step() -> None:
    assert train.make_rate("denoiser", SMOKE.train, 4)(3) == SMOKE.train.learning_rate
    config = configs.override(SMALL, {"train.schedule": "cosine", "train.learning_rate": 0.3})
    rate = train.make_rate("denoiser", config.train, 4)
    np.testing.assert_allclose([rate(i) for i in (0, 2, 4)], [0.3, 0.15, 0], atol=1e-7)
    assert train.make_rate("joint", config.train, 4)(0) == pytest.approx(0.01)
    programs, state = fresh("segmenter", config)
    before = jax.device_get(state.params)
    after, _ = programs.step(state, batch(), np.int32(4), KEY, None)
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(after.params))


def test_features_of_the_perceptual_loss_are_an_argument() -> None:
    options = replace(SMALL.train, loss="l2_perceptual", perceptual_layer="relu1_2", perceptual=1.0)
    config = replace(SMALL, train=options, denoiser=replace(SMALL.denoiser, dropout=0.0))
    network = perceptual_network("vgg", seeded_lpips("vgg"))
    double = jax.tree.map(lambda weight: 2 * weight, network)
    programs, state = fresh("denoiser", config)
    losses = [
        float(programs.validate(state, batch(), KEY, np.int32(0), one)) for one in (network, double)
    ]
    assert losses[0] < losses[1]
    with pytest.raises(InputError, match="needs VGG16's weights"):
        programs.validate(state, batch(), KEY, np.int32(0), None)
    assert train.load_features("segmenter", options) is None
    assert train.load_features("denoiser", SMALL.train) is None


def save_denoiser(config: Config, home: Path) -> tuple[Run[Config], State]:
    """Write an untrained denoiser as trained; return the run and the denoiser's state."""
    run, (_, state) = run_of(config, home), fresh("denoiser", config)
    moved = State(
        *jax.tree.map(lambda leaf: leaf + 1, (state.params, state.opt_state, state.stats))
    )
    checkpoints = checkpoints_of(Unit(run, 0, "denoiser", "a hash").folder)
    checkpoints.save(1, moved, {}, {})
    checkpoints.end()
    return run, moved


def test_a_joint_network_begins_with_the_trained_denoiser(tmp_path: Path) -> None:
    run, denoiser = save_denoiser(SMALL, tmp_path)
    _, state = fresh("joint")
    before = jax.device_get(state)
    joint = train.with_denoiser(state, Unit(run, 0, "joint", "a hash").of("denoiser"))
    for part in ("params", "stats"):
        ours, theirs = getattr(joint, part), getattr(denoiser, part)
        jax.tree.map(np.testing.assert_array_equal, ours["denoiser"], theirs)
        untouched = getattr(before, part)["segmenter"]
        jax.tree.map(np.testing.assert_array_equal, ours["segmenter"], untouched)


def test_segmenters_learn_from_their_variant_whatever_evaluation_s_batch_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = SimpleNamespace(images=batch(3)["image"], labels=batch(3)["labels"])
    monkeypatch.setattr(train, "load", lambda prepared, part: loaded)
    run, _ = save_denoiser(SMALL, tmp_path)
    sizes = []
    real = train.Predictor
    monkeypatch.setattr(
        train, "Predictor", lambda *arguments: sizes.append(arguments[-1]) or real(*arguments)
    )

    def images(network: str) -> np.ndarray:
        unit: Any = Unit(run, 0, network, "a hash")
        examples = train.examples_of(unit, PREPARED, "train")
        np.testing.assert_array_equal(examples[0]["labels"], loaded.labels[0])
        return examples[np.arange(3)]["image"]

    for network in ("denoiser", "segmenter_raw", "joint"):
        np.testing.assert_array_equal(images(network), loaded.images)
    assert (images("segmenter_median") != loaded.images).any()
    assert sizes == []
    half = images("segmenter_denoised50").astype(float)
    between = (loaded.images.astype(float) + images("segmenter_denoised")) / 2
    assert np.abs(half - between).max() <= 1
    assert sizes == [train.DENOISING_BATCH] * 2


def test_validation_is_the_mean_over_batches_with_the_same_draws() -> None:
    programs, state = fresh("denoiser")
    examples: Any = train.ArraySource(batch(5))
    arguments = (programs, state, examples, 2, KEY, None)
    values = [
        programs.validate(state, examples[rows], KEY, np.int32(i), None)
        for i, rows in enumerate((np.arange(2), np.arange(2, 4), np.arange(4, 5)))
    ]
    assert train.validation_loss(*arguments) == float(np.mean(jax.device_get(values)))
    assert train.validation_loss(*arguments) == train.validation_loss(*arguments)


def test_a_filter_that_is_not_installed_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filters, "skipped", lambda: {"bm3d": "not installed"})
    config = replace(SMALL, train=replace(SMALL.train, filters=("lee", "bm3d")))
    unit: Any = Unit(run_of(config), 0, "denoiser", "a hash")
    with pytest.raises(InputError, match=r"train\.filters: bm3d: not installed"):
        train.train(unit, PREPARED)


def test_networks_have_the_classes_of_their_data() -> None:
    hc18 = replace(SMALL, data=replace(SMALL.data, dataset="hc18"))
    for config, classes in ((SMALL, 4), (hc18, 2)):
        network: Any = nnx.eval_shape(
            lambda config=config: train.build("segmenter", config, nnx.Rngs(0))
        )
        assert network.head.bias.shape == (classes,)
