"""Claims: each verdict's word from made-up metrics."""

import pytest

from papers.study_name import claims


@pytest.mark.parametrize(
    ("ours", "word"),
    [
        ((0.9, 0.91, 0.92), "supported"),
        ((0.5, 0.51, 0.52), "contradicted"),
        ((0.4, 0.7, 0.9), "inconclusive"),
    ],
)
def test_the_network_must_beat_the_brightest_pixel(ours: tuple[float, ...], word: str) -> None:
    seeds = [{"network": {"auroc": value}, "brightest": {"auroc": 0.7}} for value in ours]
    assert claims.network_beats_brightness(seeds).word == word


def test_one_seed_decides_nothing() -> None:
    seeds = [{"network": {"auroc": 0.9}, "brightest": {"auroc": 0.7}}]
    assert claims.network_beats_brightness(seeds).word == "no verdict"
