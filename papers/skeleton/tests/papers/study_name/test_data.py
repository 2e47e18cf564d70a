"""Data: what is simulated, and how it is split."""

from pathlib import Path

import numpy as np

from papers.study_name import data, simulate
from tests.papers.study_name.small import prepared_in


def test_every_second_simulated_image_has_a_spot_and_the_seed_draws_it() -> None:
    images = simulate.cohort(200, 0, 16)
    assert [one.label for one in images] == [0, 1] * 100
    means = [np.mean([one.image.mean() for one in images if one.label == i]) for i in (0, 1)]
    assert means[1] > means[0] + 0.4
    assert np.array_equal(simulate.cohort(2, 0, 16)[1].image, images[1].image)
    assert not np.array_equal(simulate.cohort(2, 1, 16)[1].image, images[1].image)


def test_no_patient_is_in_two_parts(tmp_path: Path) -> None:
    prepared = prepared_in(tmp_path)
    owners = [set(prepared.columns(part)["patient"]) for part in prepared.sizes]
    assert sum(map(len, owners)) == len(set().union(*owners))
    test = data.load(prepared, "test")
    assert len(test.names) == prepared.sizes["test"] == len(test.images)
    assert 0 < test.labels.mean() < 1
