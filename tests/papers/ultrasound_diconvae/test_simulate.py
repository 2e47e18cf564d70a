"""The simulated images: Rayleigh speckle around a known mean, exact labels, no easy way out."""

import numpy as np
import pytest

from common.metrics.biometry import head_circumference
from papers.ultrasound_diconvae import simulate
from papers.ultrasound_diconvae.simulation.anatomy import draw
from papers.ultrasound_diconvae.simulation.echo import DECIBEL, Tissue, echo
from papers.ultrasound_diconvae.simulation.tissue import tissue

SIZE = 64
RAYLEIGH = np.sqrt(np.pi / (4 - np.pi))  # mean of the envelope over its standard deviation: 1.913


@pytest.fixture(scope="module")
def images():
    return list(simulate.cohort(16, 0, height=SIZE, width=SIZE))


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(3)
    head, view = simulate.framed(rng, draw(rng))
    return head, view, tissue(rng, head, view)


def uniform(view, level: float = 1.0) -> Tissue:
    shape = (len(view.depths), len(view.angles))
    flat = np.full(shape, level, np.float32)
    return Tissue(scatter=flat, mirror=0 * flat, loss=0 * flat)


def test_images_come_with_all_that_is_known(images):
    assert [one.name for one in images[:2]] == ["sim-0001", "sim-0002"]
    assert len({one.subject for one in images}) == len(images)
    assert {one.plane for one in images} == {"thalamic", "ventricular", "cerebellum"}
    for one in images:
        assert one.image.shape == one.clean.shape == (SIZE, SIZE, 1)
        assert one.image.dtype == one.clean.dtype == one.labels.dtype == np.uint8
        assert one.labels.shape == (SIZE, SIZE)
        assert set(np.unique(one.labels)) <= {0, 1, 2, 3}
        assert (one.labels == 2).any() == one.truth["has_csp"]
        assert (one.labels == 3).any() == one.truth["has_lv"]
        assert one.mm[1] / one.mm[0] == pytest.approx(800 / 540)
        assert 80 <= one.head_mm <= 320
        assert 0.68 <= one.truth["cephalic"] <= 0.88
        measured = head_circumference(one.labels > 0, one.mm)
        assert measured == pytest.approx(one.head_mm, rel=0.02)
    for label in (2, 3):
        assert 2 <= sum((one.labels == label).any() for one in images) < len(images)


def test_an_image_depends_on_seed_and_index_alone(images):
    again = simulate.labeled_image(5, 0, height=SIZE, width=SIZE)
    np.testing.assert_array_equal(again.image, images[5].image)
    np.testing.assert_array_equal(again.clean, images[5].clean)
    assert again.truth == images[5].truth
    other = simulate.labeled_image(5, 1, height=SIZE, width=SIZE)
    assert (other.image != again.image).mean() > 0.3
    large = simulate.labeled_image(5, 0, height=128, width=96)
    assert large.head_mm == again.head_mm
    assert (large.labels > 0).mean() == pytest.approx((again.labels > 0).mean(), rel=0.02)
    with pytest.raises(ValueError, match="positive"):
        next(simulate.cohort(0, 0, height=8, width=8))


def test_speckle_of_uniform_tissue_is_fully_developed(scene):
    _, view, _ = scene
    inner = (slice(20, -20), slice(20, -20))
    ratios = []
    for seed in range(4):
        envelope = echo(uniform(view), view).envelope(np.random.default_rng(seed), view)[inner]
        ratios.append(envelope.mean() / envelope.std())
        assert (envelope**2).mean() == pytest.approx(1, abs=0.05)
        # A Rayleigh envelope is below sigma sqrt(-2 ln(1 - p)) with probability p.
        for share in (0.1, 0.5, 0.9):
            assert (envelope < np.sqrt(-np.log(1 - share))).mean() == pytest.approx(share, abs=0.02)
    assert np.mean(ratios) == pytest.approx(RAYLEIGH, abs=0.05)
    assert all(abs(one - RAYLEIGH) < 0.1 for one in ratios)


def test_the_clean_logarithm_is_the_mean_over_all_speckle(scene):
    _, view, drawn = scene
    echoes = echo(drawn, view)
    logs = [
        2 * np.log(np.maximum(echoes.envelope(np.random.default_rng(seed), view), 1e-9))
        for seed in range(40)
    ]
    away = (np.mean(logs, 0) - echoes.log_mean()) * DECIBEL
    # One logarithm of a Rayleigh envelope's square has a standard deviation of 5.57 dB.
    assert abs(away.mean()) < 0.05
    assert away.std() == pytest.approx(5.57 / np.sqrt(40), rel=0.15)
    strong = echoes.surface**2 > 100 * echoes.intensity
    assert np.abs(away[strong]).max() < 1


def test_grain_is_wider_far_from_the_array(scene):
    _, view, _ = scene
    noise = np.random.default_rng(0)
    envelope = echo(uniform(view), view).envelope(noise, view)
    arc = (view.radius + view.depths) * (view.angles[1] - view.angles[0])

    def width(rows):  # mm over which neighboring beams stay alike
        values = envelope[rows] - envelope[rows].mean()
        next_one = (values[:, 1:] * values[:, :-1]).mean() / (values**2).mean()
        return arc[rows].mean() / np.sqrt(-2 * np.log(next_one))

    half = len(view.depths) // 2
    assert width(slice(half, None)) > width(slice(0, half // 2))


def test_bone_throws_a_shadow_where_the_beam_grazes_it(scene):
    head, view, drawn = scene
    way = drawn.loss.sum(0) * view.step
    level = head.outline.distance(*view.places())
    through = (level < -2 * head.bone).any(0)
    grazing = (np.abs(level).min(0) < head.bone) & ~through
    assert grazing.any()
    assert way[grazing].max() > way[through].mean() + 8
    facing = drawn.mirror[:, through].max(0)
    assert facing.max() > 10


def test_images_are_neither_empty_nor_solved_by_a_threshold(images):
    shown = np.stack([one.image[..., 0] for one in images]).astype(float)
    clean = np.stack([one.clean[..., 0] for one in images]).astype(float)
    brain = np.stack([one.labels > 0 for one in images])
    assert 0.25 < brain.mean() < 0.6
    assert (shown.max((1, 2)) > 150).all()
    assert (shown == 0).mean() < 0.5
    noise = shown - clean
    assert abs(noise[brain].mean()) < 6
    assert 5 < noise[brain].std() < 40
    for threshold in range(10, 250, 10):
        for found in (shown > threshold, shown <= threshold):
            assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) < 0.75
