"""Tables and figures of all eighteen models, from made-up metrics and images."""

import json
from pathlib import Path

import imageio.v3 as imageio
import matplotlib.pyplot as plt
import numpy as np
import pytest

from papers.surgical_vision import figures
from papers.surgical_vision.render import make_tables, render
from papers.surgical_vision.variants import MODELS
from tests.common.manifests import manifest
from tests.papers.surgical_vision.made_up import CASES, changed, metrics, samples

ALWAYS = {"learning_curves"}
OF_TRUTH = {"quality_and_share", "colors"}
OF_IMAGES = {"models", "domains", "attention", "latent_units", "denoising"}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def results(folder: Path, images: bool, **options) -> Path:
    """Write a results folder of three seeds."""
    seeds = {f"{number}": metrics(**options) for number in range(3)}
    (folder / "metrics.json").write_text(json.dumps({"seeds": seeds}))
    (folder / "manifest.json").write_text(manifest("surgical_vision"))
    np.savez(folder / "samples.npz", **(samples() if images else {}))
    return folder


@pytest.mark.parametrize(
    ("images", "options", "expected"),
    [
        (True, {}, ALWAYS | OF_TRUTH | OF_IMAGES),
        (False, {"known": False, "perceptual": False}, ALWAYS),  # the user's own pairs
    ],
)
def test_everything_is_drawn_that_there_is(images, options, expected, tmp_path):
    render(results(tmp_path, images, **options))
    written = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert written == expected
    for path in (tmp_path / "figures").iterdir():
        assert imageio.imread(path).std() > 0
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"quality.csv", "quality.md", "operation.csv", "inside.md"} <= tables
    assert ("colors.csv" in tables) == ("colors" in expected)
    assert "Stand-in data: made up" in (tmp_path / "tables" / "quality.md").read_text()


def test_tables_have_a_row_for_every_model_and_what_it_is_measured_against():
    seeds = {f"{i}": changed(metrics(), {"gan.ssim": 0.1 * i}) for i in range(3)}
    tables = make_tables(seeds, "a note")
    rows = [variant.title for variant in MODELS.values()]
    assert len(rows) == 18
    for name in ("quality", "operation", "colors"):
        assert [row[0] for row in tables[name].rows] == [
            *rows, "(face before)", "(true face after)"
        ]  # fmt: skip
    quality = tables["quality"]
    assert quality.columns[:4] == ("model", "FID-768", "KID", "SSIM")
    assert "of 9 images" in quality.title
    cell = quality.rows[rows.index("GAN")][quality.columns.index("SSIM")]
    assert (cell.mean, cell.std, cell.n) == (pytest.approx(0.1), pytest.approx(0.1), 3)
    samples = tables["operation"].columns.index("LPIPS of samples")
    drawing = {row[0] for row in tables["operation"].rows if row[samples] is not None}
    assert drawing == {"Pix2Pix", "StarGANv2", "Stable Diffusion", "Stable Diffusion + LoRA"}


def test_without_truth_and_networks_columns_are_left_out():
    seeds = {f"{i}": metrics(known=False, perceptual=False) for i in range(3)}
    tables = make_tables(seeds, "a note")
    assert tables["quality"].columns == ("model", "FID-768", "KID", "SSIM", "PSNR, dB")
    assert tables["operation"].columns == ("model", "sharpness", "change in a tenth of pixels")
    assert "colors" not in tables


def test_every_module_s_gamma_and_the_latent_units_have_a_row():
    seeds = {f"{i}": metrics() for i in range(3)}
    rows = {(row[0], row[1]) for row in make_tables(seeds, "")["inside"].rows}
    for title in ("StarGAN + MHA [G]", "StarGAN + MHA [G], raised"):
        assert {(title, f"gamma, generator, module {i}") for i in (1, 2)} <= rows
    assert ("CycleGAN + SA [G]", "gamma, to_after, module 1") in rows
    assert not [title for title, what in rows if title in ("StarGAN", "CycleGAN", "Autoencoder")]
    assert {title for title, what in rows if "latent" in what} == {"VAE", "VAE + perceptual loss"}
    assert ("Stable Diffusion + LoRA", "trained share, published sizes") in rows


def test_a_sheet_shows_before_output_after_and_the_change_of_every_face():
    images = samples()
    figure = figures.sheet(images, "a note")
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert len(shown) == 18 * 4 * CASES
    row = list(MODELS).index("stargan") * 4 * CASES
    second = shown[row + 4 : row + 8]
    before, output = images["before"][1], images["output_stargan"][1]
    for image, expected in zip(second, (before, output, images["after"][1]), strict=False):
        np.testing.assert_array_equal(image, expected)
    change = np.clip(127.5 + 2 * (output.astype(float) - before), 0, 255)
    assert np.abs(second[3] - change).max() <= 1
    titles = [axis.get_title() for axis in figure.axes[: 4 * CASES]]
    assert titles == ["before", "output", "after", "change"] * CASES
    labels = [figure.axes[i].get_ylabel() for i in range(0, len(shown), 4 * CASES)]
    assert labels == [variant.title for variant in MODELS.values()]


def test_a_measure_that_a_seed_lacks_leaves_the_figures_whole():
    gone = {"gan.operation.share": None, "gan.color.hair": None}
    seeds = {f"{i}": changed(metrics(), gone if i else {}) for i in range(3)}
    for i in range(3):
        del seeds[f"{i}"]["training"]["stable_diffusion"]  # a given model trains nothing
    for figure in (
        figures.tradeoff(seeds, ""),
        figures.colors(seeds, ""),
        figures.learning(seeds, ""),
    ):
        figure.canvas.draw()
    texts = [text.get_text() for text in figures.colors(seeds, "").axes[0].texts]
    assert len(texts) == 18 * 4
    assert "nan" not in texts
    (only,) = figures.colors({"0": changed(metrics(), {"gan.color.hair": None})}, "").axes[:1]
    assert [text.get_text() for text in only.texts].count("–") == 1
