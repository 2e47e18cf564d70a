"""Stable Diffusion's rows with a model of the user's own: it translates, and LoRA adapts it."""

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from common.latent_diffusion.checkpoint import save_folder
from common.latent_diffusion.lora import LoRAParam
from common.pretrained.registered import register
from common.study import config as configs
from common.training.rng import Streams
from papers.surgical_vision.config import Config
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.networks import networks
from papers.surgical_vision.recipes.recipe import Faces
from tests.common.latent_diffusion.small import small_pipeline, small_tokenizer
from tests.papers.surgical_vision.small import LABELS, SMOKE, clouds

NAME = "own-model"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    (tmp_path / "tokenizer").mkdir()
    pipeline = small_pipeline(small_tokenizer(tmp_path / "tokenizer"))
    pipeline.controlnet = None
    save_folder(pipeline, tmp_path / "model")
    register(NAME, tmp_path / "model")
    options = {"weights": NAME, "sampling_steps": 3, "lora_batch_size": 4}
    return configs.override(SMOKE, {"diffusion": options})


def test_a_given_model_is_used_as_it_is_and_adapted_beside_its_layers(config: Config) -> None:
    named = networks(config)
    assert "latent_autoencoder" not in named
    assert named["stable_diffusion"].after == ()
    assert named["stable_diffusion_lora"].after == ("stable_diffusion",)
    given = recipe_of("stable_diffusion", config)
    assert given.step is None  # nothing to learn
    nothing = given.init(jax.random.key(0), None)
    pipeline = given.weights(nothing, {})
    seeds = np.arange(4, dtype=np.uint32).view(np.uint8).reshape(4, 4)
    faces = Faces(clouds(0, 4, 32), LABELS, seeds)
    plain = given.translate(pipeline, faces)
    assert plain.shape == (4, 32, 32, 3)
    assert np.isfinite(plain).all()

    states = {"stable_diffusion": nothing}
    adapted = recipe_of("stable_diffusion_lora", config)
    assert adapted.step is not None
    fixed = adapted.fixed(states, None)
    state = adapted.init(Streams(0).key("lora"), fixed)
    other = adapted.init(Streams(1).key("lora"), fixed)
    assert not np.array_equal(*(jax.tree.leaves(one.params)[0] for one in (state, other)))
    before = adapted.weights(state, states)  # B is 0: nothing is changed yet
    np.testing.assert_array_equal(
        adapted.translate(before, faces), adapted.translate(adapted.weights(other, states), faces)
    )
    after, losses = jax.jit(adapted.step)(
        state, {"after": faces.image}, np.int32(0), jax.random.key(1), np.float32(4), fixed
    )
    assert np.isfinite(float(losses["loss"]))
    changed = adapted.weights(after, states)
    assert nnx.state(changed.unet, LoRAParam)
    drawn = adapted.translate(changed, faces)
    assert np.abs(drawn - adapted.translate(before, faces)).max() > 1e-6


def test_a_name_that_is_not_registered_is_one_line(config: Config) -> None:
    unknown = configs.override(config, {"diffusion": {"weights": "nothing"}})
    given = recipe_of("stable_diffusion", unknown)
    with pytest.raises(Exception, match="nothing"):
        given.weights(given.init(jax.random.key(0), None), {})
