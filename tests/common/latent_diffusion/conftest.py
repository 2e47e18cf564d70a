"""Models that several files of tests load or draw with: made once."""

import os
import shutil

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from common.latent_diffusion.checkpoint import load
from common.latent_diffusion.tokenizer import Tokenizer
from tests.common.latent_diffusion.models import write_folder
from tests.common.latent_diffusion.small import small_pipeline, small_tokenizer


@pytest.fixture(scope="package", autouse=True)
def _programs_are_kept(tmp_path_factory):
    """Keep compiled programs for the tests of this folder: many compile the same networks."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compilation")))
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "diffusers")


@pytest.fixture(scope="session")
def pipe(folder):
    return load(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """Return a folder of the same files, any of which may be replaced."""
    return shutil.copytree(folder, tmp_path / "model", copy_function=os.link)


@pytest.fixture
def own_tokenizer(monkeypatch, pipe):
    """Make the folder's vocabulary, which is small, the published one."""
    monkeypatch.setattr(Tokenizer, "published", lambda: pipe.tokenizer)


@pytest.fixture
def config(pipe):
    return pipe.config


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return small_pipeline(small_tokenizer(tmp_path_factory.mktemp("tokenizer")))
