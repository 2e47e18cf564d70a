"""A run to predict with, and networks whose answers are known."""

from pathlib import Path

import pytest

from papers.ultrasound_diconvae import predict as module
from tests.papers.ultrasound_diconvae.known_networks import ByGray, Darker, saved


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return a run's folder with untrained networks of one seed."""
    return saved(tmp_path_factory.mktemp("home"))


@pytest.fixture
def by_gray(monkeypatch) -> None:
    """Put networks whose answers are known in the place of trained ones."""
    known = {"denoiser": Darker(), "segmenter_raw": ByGray()}
    monkeypatch.setattr(module, "load_network", lambda folder, name, config: known[name])
