"""Every value that means nothing is one line before anything runs."""

from typing import Any, get_args

import pytest

from common.errors import InputError
from common.metrics.ssim import WINDOW
from common.pretrained.perceptual import LAYOUTS
from common.study import config as configs
from common.study import experiment as experiments
from papers.ultrasound_diconvae.config import Config, Filter
from papers.ultrasound_diconvae.filters import BASELINES
from papers.ultrasound_diconvae.study import STUDY

BAD: list[tuple[str, Any, str]] = [
    ("data.height", 0, "expected at least 16"),
    ("data.width", 15, "expected at least 16"),
    ("data.height", 260, "data.height = 260, data.width = 256: expected multiples of 32 for the"),
    ("data.planes", [], "expected at least 1 values"),
    ("data.planes", ["talamic"], "did you mean 'thalamic'?"),
    ("data.planes", ["diverse", "diverse"], "data.planes: diverse is duplicated"),
    ("data.split_seed", -1, "expected at least 0"),
    ("data.train_fraction", 0.0, "expected more than 0 to 1"),
    ("data.train_fraction", 7.0, "expected more than 0 to 1"),
    ("data.train_fraction", 0.85, "expected a sum below 1"),
    ("data.validation_fraction", -0.1, "expected more than 0 to 1"),
    ("data.images", 2, "expected at least 3"),
    ("data.limit", -1, "expected at least 0"),
    ("speckle.sigmas", [], "expected at least 1 values"),
    ("speckle.sigmas", [0.5, -1.0], "expected more than 0"),
    ("speckle.sigmas", [0.5, 0.50000001], "speckle.sigmas: 0.5 is duplicated"),
    ("denoiser.filters", [8, 0, 8, 8], "expected at least 1"),
    ("denoiser.filters", [8, 8], "denoiser.dilations: 4 values for 2 denoiser.filters"),
    ("denoiser.dilations", [2, 2, 2, 0], "expected at least 1"),
    ("denoiser.dilations", [2], "denoiser.dilations: 1 values for 4 denoiser.filters"),
    ("denoiser.pooled", 5, "denoiser.pooled: 5 of 4 denoiser.filters"),
    ("denoiser.pooled", -1, "expected at least 0"),
    ("denoiser.dropout", 1.0, "expected from 0 to 0.9999"),
    ("denoiser.norm_momentum", 1.0, "expected from 0 to 0.9999"),
    ("segmenter.filters", [4], "segmenter.convolutions: 5 values for 1 segmenter.filters"),
    ("segmenter.convolutions", [2, 2, 3, 3, 0], "expected at least 1"),
    ("segmenter.norm_momentum", -0.1, "expected from 0 to 0.9999"),
    ("train.mix", 1.5, "expected from 0 to 1"),
    ("train.perceptual", -1.0, "expected at least 0"),
    ("train.epochs", 0, "expected at least 1"),
    ("train.batch_size", 0, "expected at least 1"),
    ("train.learning_rate", -1.0, "expected more than 0"),
    ("train.segmenter_epochs", 0, "expected at least 1"),
    ("train.segmenter_batch_size", -8, "expected at least 1"),
    ("train.segmenter_learning_rate", 0.0, "expected more than 0"),
    ("train.strengths", [0.0], "expected from 0.01 to 0.99"),
    ("train.strengths", [1.0], "expected from 0.01 to 0.99"),
    ("train.strengths", [0.125], "train.strengths: 0.125; expected whole percents"),
    ("train.strengths", [0.5, 0.5], "train.strengths: 0.5 is duplicated"),
    ("train.filters", ["leee"], "did you mean 'lee'?"),
    ("train.filters", ["lee", "lee"], "train.filters: lee is duplicated"),
    ("train.log_every", 0, "expected at least 1"),
    ("train.checkpoint_minutes", -1.0, "expected at least 0"),
    ("evaluate.batch_size", 0, "expected at least 1"),
    ("evaluate.cases", 0, "expected at least 1"),
]


@pytest.mark.parametrize(("field", "value", "reason"), BAD)
def test_a_value_that_means_nothing_is_one_line(field: str, value: Any, reason: str) -> None:
    with pytest.raises(InputError) as error:
        configs.override(Config(), {field: value})
    assert reason in str(error.value)
    assert field in str(error.value)
    assert "\n" not in str(error.value)


def test_every_number_has_a_bound_that_was_tried() -> None:
    flat = configs.flatten(Config())
    choices = {field for field, value in flat.items() if isinstance(value, bool | str)}
    assert {field for field, *_ in BAD} == flat.keys() - choices


def test_the_published_and_all_experiments_configs_are_admitted() -> None:
    configs.check(Config())
    for name in experiments.names(STUDY.experiments):
        experiment = experiments.load(STUDY.experiments, name)
        configs.override(Config(), experiment.config, name)


def test_names_and_sizes_that_are_written_twice_are_the_same() -> None:
    assert get_args(Filter) == tuple(BASELINES)
    assert max(WINDOW, LAYOUTS["vgg"].smallest) == 16


def test_the_paper_s_own_command_is_no_variant() -> None:
    paper = experiments.load(STUDY.experiments, "paper")
    assert paper.command is not None
    assert "--set" not in paper.command
