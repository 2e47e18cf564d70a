"""Settings of which each is in range, but not together: one line, before anything is prepared."""

import pytest

from common.errors import InputError
from common.pipeline.plan import resolved
from common.study import config as configs
from common.study import experiment as experiments
from papers import studies

REFUSED = [
    ("camcan", {"brain_age.features": [8] * 7}, "brain_age.features"),
    ("camcan", {"model.groups": 3}, "model.groups"),
    ("lgg", {"train.min_learning_rate": 1.0}, "train.learning_rate"),
    ("lgg", {"model.filters": [8] * 7}, "model.filters"),
    ("rare", {"engine.groups": 3}, "engine.autoencoder_channels"),
    ("rare", {"engine.head_channels": 7}, "engine.head_channels"),
    ("rare", {"engine.context": 100}, "engine.context"),
    ("rare", {"engine.hint_channels": [8]}, "engine.hint_channels"),
    ("rare", {"engine.channels": [16] * 5}, "data.size"),
    ("rare", {"classifier.blocks": [1] * 9}, "classifier.blocks"),
    ("rare", {"synthesis.canny_low": 3000.0}, "synthesis.canny_low"),
    ("rare", {"data.rare": "pneumothorx"}, "data.rare"),
    ("surgical", {"diffusion.groups": 3}, "diffusion.groups"),
    ("surgical", {"pix2pix.discriminator_layers": 5}, "pix2pix.discriminator_layers"),
    ("surgical", {"cyclegan.discriminator_layers": 5}, "cyclegan.discriminator_layers"),
    ("ultrasound", {"denoiser.pooled": 5}, "denoiser.pooled"),
    ("ultrasound", {"segmenter.convolutions": [1]}, "segmenter.convolutions"),
]


@pytest.mark.parametrize(("name", "changes", "named"), REFUSED)
def test_numbers_that_describe_no_network_are_refused(
    name: str, changes: dict[str, object], named: str
) -> None:
    study = studies.load(name)
    smoke = resolved(study, experiments.load(study.experiments, "smoke"))
    with pytest.raises(InputError) as error:
        configs.override(smoke, changes)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
