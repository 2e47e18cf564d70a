"""What is measured on outputs of which all is known, and what is measured inside of models."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.data.prepared import Prepared
from common.metrics.color_difference import color_difference
from common.metrics.described import Inception
from papers.surgical_vision import cases, evaluate, internals, measures
from papers.surgical_vision.data import Part, Truths
from papers.surgical_vision.features import Vectors
from papers.surgical_vision.pair import DOMAINS, LADDER, REGIONS, UNKNOWN
from papers.surgical_vision.prompts import every_prompt, prompt_of
from papers.surgical_vision.untrained import untrained_vgg
from tests.common.warped import SIDE, operated, true_flow
from tests.papers.surgical_vision import made_up
from tests.papers.surgical_vision.small import SMALL, fresh, part_of

NETS = {"alex": untrained_vgg()}  # LPIPS's form; its numbers mean nothing
COUNT = 4
LABELS = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], np.uint8)


def in_8_bits(images):
    return np.rint(255 * np.stack(images)).astype(np.uint8)


def at(share):
    return in_8_bits([operated(seed, share) for seed in range(COUNT)])


def truths():
    regions = np.full((COUNT, SIDE, SIDE), UNKNOWN, np.uint8)
    for label in range(3):  # background, skin and lips lie in bands; of hair there is too little
        regions[:, 16 * label : 16 * (label + 1)] = label
    regions[:, 50, :3] = REGIONS.index("hair")
    return Truths(
        amounts=LABELS.astype(np.float32),
        flow=np.repeat(true_flow()[None], COUNT, 0),
        regions=regions,
        drawn=np.arange(COUNT),
        landmarks=np.zeros((COUNT, 2, 2), np.float32),
        fine=np.zeros((COUNT, 1, 1, 3), np.uint8),
    )


PART = Part(tuple("abcd"), at(0.0), at(1.0), LABELS, truths())
LADDERS = np.stack([at(share) for share in LADDER], 1)


def measured(outputs, part=PART, ladders=LADDERS, nets=NETS):
    own = {"before": part.before, "after": part.after, "outputs": outputs}
    vectors = {name: Vectors(nets, images) for name, images in own.items()}
    return measures.measured(outputs, part, ladders, vectors)


def test_the_true_face_after_has_all_of_the_operation():
    found = measured(PART.after)
    assert found["operation"]["share"] == pytest.approx(1, abs=0.05)
    assert found["operation"]["peak"] == pytest.approx(1, abs=1e-3)
    assert found["operation"]["move"] == pytest.approx(1, abs=0.15)
    assert found["own"] == 1
    assert found["ssim"] == pytest.approx(1)
    assert found["sharpness"] == pytest.approx(1)
    assert found["lpips_alex"] == pytest.approx(0, abs=1e-9)
    assert found["n"] == COUNT


def test_the_face_before_has_nothing_of_it():
    found = measured(PART.before)
    assert found["operation"]["share"] == pytest.approx(0, abs=0.05)
    assert found["operation"]["move"] == pytest.approx(0, abs=0.05)
    assert found["change"] == 0
    assert found["own"] == 1
    assert found["ssim"] < 0.999
    assert found["lpips_alex"] > 0
    assert [found["color"][name] for name in ("background", "skin", "lips")] == [0, 0, 0]


def test_shares_of_a_domain_are_of_faces_with_that_operation_alone():
    made = np.where((np.arange(COUNT) == 1)[:, None, None, None], at(1.5), PART.after)
    shares = measured(made)["operation"]["shares"]
    assert shares["eyes"] == pytest.approx(1, abs=0.05)  # not the fourth, of eyes and nose
    assert shares["nose"] == pytest.approx(1.5, abs=0.1)
    assert np.isnan(shares["chin"])
    others = measured(PART.before[::-1].copy())
    assert others["own"] == 0
    assert others["operation"]["peak"] < 0.9


def test_colors_are_compared_in_their_region_alone():
    made = PART.before.copy()
    made[:, 16:32] = np.clip(made[:, 16:32].astype(int) + 20, 0, 255)  # the skin, lighter
    found = measured(made)["color"]
    everywhere = np.full((COUNT, SIDE, SIDE), False)
    everywhere[:, 16:32] = True
    expected = color_difference(made / np.float32(255), PART.before / np.float32(255), everywhere)
    assert found["skin"] == pytest.approx(expected.mean())
    assert found["skin"] > 2
    assert found["background"] == found["lips"] == 0
    assert np.isnan(found["hair"])  # three pixels of it


def test_without_truth_or_networks_the_rest_is_measured():
    plain = replace(PART, truth=None)
    found = measured(PART.after, plain, None)
    assert found.keys() == measured(PART.after).keys() - {"operation", "color"}
    assert measured(PART.after, plain, None, {}).keys() == found.keys() - {"lpips_alex", "own"}


def test_made_up_metrics_have_the_names_of_measured_ones():
    inception = Inception("pixels")
    described = inception(PART.after)
    nets = NETS | {"vgg": NETS["alex"]}
    for known, perceptual in ((True, True), (False, True), (False, False)):
        part = PART if known else replace(PART, truth=None)
        found = measured(PART.after, part, LADDERS if known else None, nets if perceptual else {})
        found |= inception.compared(described, described)
        expected = made_up.measures(known, perceptual)
        assert found.keys() - {"fid_pixels"} == expected.keys() - {"fid768"}
        for section in found.keys() & {"operation", "color"}:
            assert found[section].keys() == expected[section].keys()
    assert found["fid_pixels"] == pytest.approx(0, abs=1e-3)


def test_samples_of_one_face_are_compared_with_each_other():
    seeds = []

    def made(spread):
        def translated(faces, seed):
            seeds.append(seed)
            noise = spread * np.random.default_rng(seed).standard_normal(faces.before.shape)
            return np.clip(faces.before + noise, 0, 255).astype(np.uint8)

        return translated

    found = [evaluate.diversity(made(spread), PART, NETS, 3) for spread in (0, 10, 40)]
    assert found[0] == 0 < found[1] < found[2]
    assert len(set(seeds)) == 3
    one, two = (Vectors(NETS, made(40)(PART, seed)) for seed in (1000, 1001))
    expected = one.distances(two)["alex"].mean()
    assert evaluate.diversity(made(40), PART, NETS, 2) == pytest.approx(expected)


def pipeline(texts, seeds, *, image, batch_size, **options):
    """Return images that follow both: half of the face, and a gray for each number of words."""
    assert len(texts) == len(seeds) == len(image) == batch_size
    assert not np.any(seeds)
    grays = np.array([len(text.split()) for text in texts], np.float32) / 100
    return 0.5 * image + grays[:, None, None, None]


def test_the_prompt_is_weighed_against_the_face():
    found = internals.prompt_sensitivity(pipeline, SMALL, PART)
    prompts = list(every_prompt().values())[:COUNT]
    words = np.array([len(text.split()) for text in prompts]) / 100
    pairs = [(i, j) for i in range(COUNT) for j in range(i)]
    expected = np.sqrt(np.mean([(words[i] - words[j]) ** 2 for i, j in pairs]))
    assert found["of_prompt"] == pytest.approx(expected, rel=1e-5)
    faces = 0.5 * PART.before / 255
    expected = np.sqrt(np.mean([np.square(faces[i] - faces[j]).mean() for i, j in pairs]))
    assert found["of_face"] == pytest.approx(expected, rel=1e-5)


def test_the_published_share_of_lora_is_that_of_stable_diffusion():
    assert internals.published_share(4, 32.0) == pytest.approx(797_184 / 859_520_964)


def test_gammas_and_maps_are_those_of_every_module():
    state, part = jax.tree.map(jnp.asarray, fresh("stargan_mha").state), part_of(3)
    state.params["generator"]["attention"]["gamma"][...] = jnp.array([0.25, -0.5])
    found = internals.internals("stargan_mha", SMALL, {"stargan_mha": state}, None, part)
    assert found == {"gamma": {"generator": [0.25, -0.5]}}
    maps = internals.attention_maps("stargan_mha", SMALL, state, part)
    side = SMALL.data.size // 4
    assert maps.shape == (3, side, side)
    np.testing.assert_allclose(maps.sum((1, 2)), 1, rtol=1e-5)  # each pixel gives one away


def test_units_that_say_nothing_of_the_face_are_not_active():
    state, part = jax.tree.map(jnp.asarray, fresh("vae").state), part_of(6)
    kernel = state.params["mean"]["kernel"]
    drawn = kernel[...]
    found = []
    for values in (drawn.at[:, 1:].set(0), 100 * drawn):
        kernel[...] = values
        units = internals.internals("vae", SMALL, {"vae": state}, state.params, part)
        found.append(units["latent"])
    units = SMALL.autoencoder.latent
    assert [each["units"] for each in found] == [units, units]
    assert found[0]["active"] <= 1 < found[1]["active"]
    assert found[1]["active_share"] == found[1]["active"] / units
    assert found[1]["kl"] == sorted(found[1]["kl"], reverse=True)
    assert found[1].keys() == made_up.inside(made_up.MODELS["vae"])["latent"].keys()


def test_the_first_face_is_operated_at_each_domain():
    asked = []

    def made(faces, seed):
        asked.append((faces.labels.tolist(), seed))
        return faces.before

    images = cases.by_domain(made, PART, 5)
    assert asked == [(np.eye(len(DOMAINS)).tolist(), 5)]
    np.testing.assert_array_equal(images, np.repeat(PART.before[:1], 3, 0))


def test_a_traversal_changes_one_unit_at_a_time():
    one, part = fresh("vae"), part_of(4)
    images = cases.traversal(SMALL, one.state.params, part)
    units = min(cases.UNITS, SMALL.autoencoder.latent)
    assert images.shape == (units, len(cases.TRAVERSED), *part.before.shape[1:])
    middle = cases.TRAVERSED.index(0.0)
    assert (images[:, middle] == images[0, middle]).all()
    assert images.dtype == np.uint8


def test_previews_of_the_denoising_are_those_of_its_first_face():
    shown, options = [], SMALL.diffusion

    def draw(prompt, seeds, *, image, chunk, on_preview, **others):
        taken = max(1, int(others["steps"] * others["strength"]))
        for step in range(0, taken, chunk):
            shown.append(step)
            on_preview(None, step, np.full((1, SIDE, SIDE, 3), step / 10))
        assert prompt == prompt_of(LABELS[0])
        assert seeds.tolist() == [3]
        np.testing.assert_allclose(image, PART.before[0] / 255, rtol=1e-6)
        yield None

    config = replace(SMALL, diffusion=replace(options, sampling_steps=10, strength=1.0))
    images = cases.denoising(SimpleNamespace(draw=draw), config, PART, 3)
    assert len(images) == len(shown) <= cases.PREVIEWS
    assert images[:, 0, 0, 0].tolist() == [round(255 * step / 10) for step in shown]


def test_a_part_without_truth_has_no_ladders():
    prepared = Prepared("pairs", Path("data"), "a hash", False, "", {}, {}, (), ())
    assert evaluate.known_ladders(SMALL, prepared, replace(PART, truth=None)) is None
