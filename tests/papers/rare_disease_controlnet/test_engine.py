"""The engine's networks learn, begin where they should, and draw what is asked."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.latent_diffusion.controlnet import ControlNet
from common.latent_diffusion.pipeline import Pipeline
from papers.rare_disease_controlnet.engine import autoencoder, controlnet, denoiser, lora
from papers.rare_disease_controlnet.engine.drawing import Request, draw, edges_of
from papers.rare_disease_controlnet.engine.learning import sizes
from papers.rare_disease_controlnet.prompts import prompt_of, tokenizer
from tests.papers.rare_disease_controlnet.small_engine import (  # noqa: F401
    CONFIG,
    FINDINGS,
    SIZE,
    few_words,
    part,
)

pytestmark = pytest.mark.usefixtures("few_words")


def batch(count: int = 4) -> dict[str, Any]:
    """Return films as a training sees them."""
    films = part(12).rows(np.arange(count))
    encode = tokenizer(FINDINGS)
    named = [tuple(f for f, has in zip(FINDINGS, row, strict=True) if has) for row in films.labels]
    ids = encode([prompt_of(findings) for findings in named])
    edges = edges_of(films.structures[..., 0], CONFIG.synthesis)
    return {"image": films.images, "ids": ids, "edges": edges}


def fitted(learning: Any, known: Any, steps: int) -> tuple[Any, list[float]]:
    """Return the state after so many steps on one batch, and the losses."""
    state, step = jax.jit(learning.init)(jax.random.key(0), known), jax.jit(learning.step)
    losses, rows = [], batch()
    for index in range(steps):
        state, value = step(state, rows, jnp.int32(index), jax.random.key(1), known)
        losses.append(float(value["loss"]))
    return state, losses


@functools.cache
def trained() -> dict[str, Any]:
    """Return the parts of an engine that learned a few films, and how the losses fell."""
    first, falling = fitted(autoencoder.learning(CONFIG, FINDINGS), None, 80)
    vae = autoencoder.network_of(CONFIG, FINDINGS, first)
    made = denoiser.learning(CONFIG, FINDINGS, CONFIG.engine.learning_rate)
    second, noise = fitted(made, denoiser.Known(vae), 100)
    networks = denoiser.networks_of(CONFIG, FINDINGS, second.params)
    known = controlnet.Known(vae, networks["unet"], networks["text"])
    third, guided = fitted(controlnet.learning(CONFIG, FINDINGS), known, 40)
    control = controlnet.network_of(CONFIG, FINDINGS, third)
    engine = Pipeline(
        sizes(CONFIG, FINDINGS), tokenizer(FINDINGS), vae=vae, controlnet=control, **networks
    )
    losses = {"autoencoder": falling, "denoiser": noise, "controlnet": guided}
    return {"engine": engine, "losses": losses, "known": known, "denoiser": second}


@pytest.mark.parametrize("name", ["autoencoder", "denoiser"])
def test_a_batch_is_learned(name):
    losses = trained()["losses"][name]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_latents_have_variance_one():
    vae = trained()["engine"].vae
    images = jnp.repeat(jnp.asarray(batch()["image"], jnp.float32) / 127.5 - 1, 3, axis=-1)
    assert float(jnp.square(vae.encode(images).mean).mean()) == pytest.approx(1, abs=0.3)


def test_a_controlnet_begins_as_a_copy_that_changes_nothing():
    known = trained()["known"]
    state = controlnet.learning(CONFIG, FINDINGS).init(jax.random.key(0), known)
    made = controlnet.network_of(CONFIG, FINDINGS, state)
    own = dict(nnx.to_flat_state(nnx.state(made, nnx.Param)))
    theirs = dict(nnx.to_flat_state(nnx.state(known.unet, nnx.Param)))
    shared = own.keys() & theirs.keys()
    assert len(shared) > 20
    for path in shared:
        np.testing.assert_array_equal(own[path][...], theirs[path][...])
    assert isinstance(made, ControlNet)
    x, context = jnp.ones((1, 8, 8, 2)), known.text(jnp.asarray(batch()["ids"][:1]))
    hint = made.encode_hint(jnp.ones((1, SIZE, SIZE, 3)))
    for residual in jax.tree.leaves(made(x, jnp.zeros(1, int), context, hint)):
        assert not np.asarray(residual).any()


def test_the_whole_model_is_adapted_from_what_it_knows():
    first = trained()["denoiser"]
    made = denoiser.learning(CONFIG, FINDINGS, CONFIG.adapt.learning_rate)
    state = made.init(jax.random.key(5), denoiser.Known(trained()["engine"].vae, first.params))
    for ours, theirs in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(first.params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_an_adaptation_changes_nothing_at_first_and_learns_matrices_and_words():
    # of a model that does not know the findings' words yet, as Stable Diffusion
    config = replace(CONFIG, engine=replace(CONFIG.engine, label=False))
    bare = sizes(config, FINDINGS)
    engine = trained()["engine"]
    text = nnx.merge(
        denoiser.graphs_of(bare)["text"], _without_words(engine.text, bare.text.vocabulary)
    )
    plain = replace(engine, config=bare, tokenizer=tokenizer(FINDINGS, False), text=text)
    whole = lora.prepared(plain, CONFIG, FINDINGS)
    assert whole.tokenizer.size == plain.tokenizer.size + 3
    known = lora.known(whole)
    made = lora.learning(CONFIG, FINDINGS, "epsilon")
    state, step = jax.jit(made.init)(jax.random.key(0), known), jax.jit(made.step)
    before = lora.adapted(lora.prepared(plain, CONFIG, FINDINGS), state)
    options: dict[str, Any] = {"steps": 10, "size": (SIZE, SIZE), "sampler": "ddim"}
    np.testing.assert_array_equal(before("a film", [1], **options), plain("a film", [1], **options))
    rows = batch() | {"ids": whole.tokenizer([prompt_of(("effusion",))] * 4)}
    losses = []
    for index in range(20):
        state, value = step(state, rows, jnp.int32(index), jax.random.key(1), known)
        losses.append(float(value["loss"]))
    assert np.isfinite(losses).all()
    first = made.init(jax.random.key(0), known)
    for ours, theirs in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(first.params), strict=True
    ):
        assert np.abs(ours - theirs).max() > 0
    after = lora.adapted(lora.prepared(plain, CONFIG, FINDINGS), state)
    changed = after(prompt_of(("effusion",)), [1], **options)
    assert np.abs(changed - before(prompt_of(("effusion",)), [1], **options)).max() > 1e-4


def _without_words(text: nnx.Module, count: int) -> nnx.State:
    flat = nnx.to_flat_state(nnx.state(text))
    return nnx.from_flat_state(
        [
            (path, leaf.replace(leaf[...][:count]) if path == ("tokens", "embedding") else leaf)
            for path, leaf in flat
        ]
    )


def request(**changes: Any) -> Request:
    """Return what is asked for."""
    films = part(12)
    return replace(Request(("effusion",), "left", 0.5, 7, films.structures[0, ..., 0]), **changes)


def test_a_film_depends_on_its_own_request_alone():
    engine = trained()["engine"]
    alone = draw(engine, CONFIG, [request()])[0]
    assert alone.shape == (SIZE, SIZE)
    assert alone.dtype == np.uint8
    among = [request(seed=1), request(findings=()), request()]
    np.testing.assert_array_equal(draw(engine, CONFIG, among)[2], alone)
    for other in (
        request(seed=8),
        request(findings=("pneumothorax",)),
        request(structure=np.roll(part(12).structures[0, ..., 0], 6, axis=1)),
        request(structure=None),
    ):
        assert (draw(engine, CONFIG, [other])[0] != alone).any()


def test_outside_of_a_region_a_film_stays_as_it_was():
    region = np.zeros((SIZE, SIZE), bool)
    region[8:24, 16:] = True
    one = request(region=region)
    film = draw(trained()["engine"], CONFIG, [one])[0]
    np.testing.assert_array_equal(film[~region], one.structure[~region])
    assert (film[region] != one.structure[region]).mean() > 0.5


def test_edges_are_of_each_film():
    films = part(6).structures[..., 0]
    found = edges_of(films, CONFIG.synthesis)
    assert set(np.unique(found)) == {0, 255}
    np.testing.assert_array_equal(found[2:3], edges_of(films[2:3], CONFIG.synthesis))
