"""What is particular to a family: whose labels, whose weights, whose rates, which domain."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.latent_diffusion.lora import LoRAParam, adapted_layers, lora_of
from common.training.ema import ema_update
from common.training.state import State
from papers.surgical_vision import families
from papers.surgical_vision.recipes import cyclegan, stargan
from papers.surgical_vision.recipes.recipe import Faces
from papers.surgical_vision.train import compiled, translated
from papers.surgical_vision.variants import MODELS
from tests.papers.surgical_vision.small import (
    SIDE,
    SMALL,
    assert_same,
    batch_of,
    clouds,
    fresh,
    learned,
    leaves,
    part_of,
    stepped,
)


def test_lora_trains_its_matrices_alone_at_scale_8():
    one = fresh("stable_diffusion_lora")
    state = learned("stable_diffusion_lora")
    assert all(isinstance(leaf, LoRAParam) for _, leaf in nnx.to_flat_state(state.params))
    base = fresh("stable_diffusion").weights(one.states["stable_diffusion"])
    whole = one.weights(state)
    layers = adapted_layers(whole.unet)
    assert {path[-1] for path in layers} == {"query", "key", "value", "out"}
    assert len(jax.tree.leaves(state.params)) == 2 * len(layers)
    assert {float(layer.factor) for layer in layers.values()} == {8.0}
    for path, layer in layers.items():
        plain = base.unet
        for name in path:
            plain = plain[name] if isinstance(name, int) else getattr(plain, name)
        np.testing.assert_array_equal(layer.base.kernel[...], plain.kernel[...])
    assert any(np.abs(each.b).max() > 0 for each in lora_of(whole.unet).values())
    first = lora_of(one.weights(one.state).unet)
    assert all(np.abs(each.b).max() == 0 for each in first.values())


def test_untrained_matrices_change_nothing():
    one = fresh("stable_diffusion_lora")
    part = part_of(2)
    ours = translated(one.recipe, one.weights(one.state), part.before, part.labels, 0, 4)
    prompted = replace(fresh("stable_diffusion").recipe, translate=one.recipe.translate)
    base = fresh("stable_diffusion").weights(one.states["stable_diffusion"])
    theirs = translated(prompted, base, part.before, part.labels, 0, 4)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_stargan_s_discriminator_learns_the_labels_of_real_faces_alone(monkeypatch):
    asked, real = [], stargan.has_labels
    monkeypatch.setattr(
        stargan, "has_labels", lambda logits, labels: asked.append(labels) or real(logits, labels)
    )
    ordered, shuffle = [], jax.random.permutation
    monkeypatch.setattr(
        jax.random, "permutation", lambda key, x: ordered.append((x, shuffle(key, x))) or
        ordered[-1][1],
    )  # fmt: skip
    one = fresh("stargan")
    arguments = (np.int32(0), jax.random.key(0), np.float32(8), one.fixed)
    anew = jax.eval_shape(lambda *given: one.recipe.step(*given), one.state, batch_of("stargan"),
                          *arguments)  # fmt: skip
    assert set(anew[1]) == {"loss", "g_adversarial", "g_labels", "reconstruction", "d_real",
                            "d_generated", "d_labels", "d_penalty"}  # fmt: skip
    assert len(asked) == SMALL.stargan.critic_steps + 1  # none for generated faces
    for labels, (own, _) in zip(asked[:-1], ordered, strict=True):
        assert labels is own
    assert asked[-1] is ordered[-1][1]  # the generator's: of the faces that it was to make


def test_each_step_of_stargan_s_discriminator_has_faces_of_its_own():
    batch = batch_of("stargan")
    first, losses = stepped("stargan", batch=batch)

    def with_other(row):
        images = batch["image"].copy()
        images[row] = 255 - images[row]
        return stepped("stargan", batch=batch | {"image": images})

    state, others = with_other(0)  # which the first step of the discriminator sees, and it alone
    assert others["reconstruction"] == losses["reconstruction"]
    judges = [leaves(each.params["discriminator"]) for each in (first, state)]
    assert any((judges[0][name] != judges[1][name]).any() for name in judges[0])
    assert with_other(1)[1]["reconstruction"] != losses["reconstruction"]
    length = families.length_of("stargan", SMALL, 64)
    critic, size = SMALL.stargan.critic_steps, SMALL.stargan.batch_size
    assert length.batch_size == critic * size
    assert length.steps(64) == SMALL.stargan.steps // critic


def test_the_raised_weight_is_the_reconstruction_s_and_no_other_program():
    plain, raised = (
        families.recipe_of(name, SMALL) for name in ("stargan_sa", "stargan_sa_raised")
    )
    assert compiled(plain) is compiled(raised)
    assert plain.translate is raised.translate
    weights = [float(each.fixed({}, None)["reconstruction"]) for each in (plain, raised)]
    assert weights == [SMALL.stargan.reconstruction, SMALL.stargan.raised_reconstruction]
    _, losses = stepped("stargan", fixed={"reconstruction": np.float32(10)})
    _, others = stepped("stargan", fixed={"reconstruction": np.float32(50)})
    changed = {name for name in losses if losses[name] != others[name]}
    assert changed == {"loss", "reconstruction"}
    assert others["reconstruction"] == pytest.approx(5 * losses["reconstruction"])
    assert others["loss"] - losses["loss"] == pytest.approx(4 * losses["reconstruction"], rel=1e-4)


class Affine(nnx.Module):
    """A generator of which everything is known: shift + scale x."""

    def __init__(self, scale=1.0, shift=0.0):
        self.scale, self.shift = (nnx.Param(jnp.float32(value)) for value in (scale, shift))

    def __call__(self, x):
        return self.shift[...] + self.scale[...] * x


class Blind(nnx.Module):
    """A discriminator that takes everything for half real."""

    def __init__(self, **options):
        self.logit = nnx.Param(jnp.float32(0.5))

    def __call__(self, x):
        return self.logit[...] + 0 * x[:, :1, :1, :1]


@pytest.fixture
def known(monkeypatch):
    """Return the losses of CycleGAN of two known generators on gray faces, darker before."""
    monkeypatch.setattr(cyclegan, "translator", lambda variant, config, rngs: Affine())
    monkeypatch.setattr(cyclegan, "Translator", Affine)
    monkeypatch.setattr(cyclegan, "PatchGAN", Blind)
    recipe = cyclegan.recipe(MODELS["cyclegan"], SMALL)
    step, first = jax.jit(recipe.step), recipe.init(jax.random.key(0), None)
    batch = {
        name: np.full((2, SIDE, SIDE, 3), value, np.uint8)
        for name, value in (("before", 51), ("after", 204))  # -0.6 and 0.6
    }

    def losses(to_after, to_before):
        params = dict(first.params)
        for name, known in (("to_after", to_after), ("to_before", to_before)):
            params[name] = nnx.state(Affine(*known), nnx.Param)
        arguments = (np.int32(0), jax.random.key(0), np.float32(9), None)
        return jax.device_get(step(State(params, *first[1:]), batch, *arguments)[1])

    return losses


def test_cyclegan_s_identity_loss_asks_for_images_of_the_domain_that_is_made(known):
    options = SMALL.cyclegan
    same = known((1, 0), (1, 0))
    assert same["identity"] == same["cycle"] == 0
    right = known((0, 0.6), (0, -0.6))  # always a face after, always one before
    assert right["identity"] == pytest.approx(0, abs=1e-5)
    swapped = known((0, -0.6), (0, 0.6))
    assert swapped["identity"] == pytest.approx(options.identity * options.cycle * 2 * 1.2)
    one = known((0, 0.6), (0, 0.5))  # only the one back is wrong: by 1.1, with 0.5 instead of -0.6
    assert one["identity"] == pytest.approx(options.identity * options.cycle * 1.1)
    assert one["cycle"] == pytest.approx(options.cycle * 1.1)  # of -0.6, 0.5; 0.6 comes back
    assert one["g_adversarial"] == pytest.approx(2 * 0.25)
    assert one["d_is_after"] == one["d_is_before"] == pytest.approx(0.25)


def test_starganv2_s_networks_move_by_their_own_rates_and_losses():
    options, first = SMALL.starganv2, fresh("starganv2").state
    state, losses = stepped("starganv2", steps=8)
    moved = {
        name: max(np.abs(leaf - leaves(first.params[name])[path]).max()
                  for path, leaf in leaves(state.params[name]).items())
        for name in first.params
    }  # fmt: skip
    # Adam's first steps are of the size of the rate; a reference trains the generator alone
    assert moved["mapping"] == pytest.approx(options.mapping_learning_rate, rel=0.01)
    assert moved["encoder"] == pytest.approx(options.learning_rate, rel=0.01)
    for twice in ("generator", "discriminator"):
        assert 1.2 * options.learning_rate < moved[twice] < 2.5 * options.learning_rate
    counts = {name: int(state.opt_state[name][1].count) for name in state.opt_state}
    assert counts == {"generator": 2, "mapping": 1, "encoder": 1, "discriminator": 2}
    assert losses["diversity"] < 0
    _, (early, half) = zip(
        *(stepped("starganv2", index=4, steps=n) for n in (10**9, 8)), strict=True
    )
    assert half["diversity"] == pytest.approx(early["diversity"] / 2, rel=1e-5)
    _, last = stepped("starganv2", index=8, steps=8)
    assert last["diversity"] == last["diversity_reference"] == 0
    old, new = (jax.tree.map(jnp.asarray, {name: tree[name] for name in first.ema})
                for tree in (first.ema, state.params))  # fmt: skip
    expected = ema_update(old, new, options.ema, 0)
    for path, leaf in leaves(expected).items():
        np.testing.assert_allclose(leaves(state.ema)[path], leaf, rtol=1e-5, atol=1e-7)
    assert fresh("starganv2").weights(state) is state.ema


def test_the_gan_follows_its_face_and_its_moved_statistics():
    one, state = fresh("gan"), learned("gan")
    before, after = leaves(one.state.stats), leaves(state.stats)
    assert not [name for name in before if np.array_equal(before[name], after[name])]
    part = part_of(4)
    faces = Faces(part.before, part.labels, np.zeros((4, 4), np.uint8))
    still = State(state.params, state.opt_state, one.state.stats)
    images, others = (
        np.asarray(one.recipe.translate(one.weights(s), faces)) for s in (state, still)
    )
    assert np.abs(images - others).max() > 1e-5
    assert np.abs(images[0] - images[1]).max() > 1e-5  # not 8 bits yet: it has hardly learned


def test_a_style_is_that_of_the_faces_after_of_the_training_part():
    recipe = fresh("style_transfer").recipe
    part = part_of(4)
    _, grams = recipe.fixed({}, part)
    _, others = recipe.fixed({}, replace(part, before=clouds(7, 4)))
    assert_same(grams, others)
    _, others = recipe.fixed({}, replace(part, after=clouds(7, 4)))
    assert all((ours != theirs).any() for ours, theirs in zip(grams, others, strict=True))
    assert recipe.fixed({}, None) is None
