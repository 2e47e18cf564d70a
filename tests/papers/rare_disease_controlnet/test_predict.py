"""Films of users' own by a classifier: what it says, where it looks, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from common.errors import InputError
from common.pipeline.trained import find
from papers.rare_disease_controlnet import predict as module
from papers.rare_disease_controlnet.classifier.model import Classifier
from papers.rare_disease_controlnet.classifier.trained import Classify, trained_classifier
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.gray_film import read, resized
from papers.rare_disease_controlnet.heat_map import enlarged, heat_maps
from papers.rare_disease_controlnet.options import Options
from papers.rare_disease_controlnet.predict import NOTICE, predict, predicted_of, sheet
from tests.papers.rare_disease_controlnet.film_files import SECRETS, blocks, write, write_dicom
from tests.papers.rare_disease_controlnet.small_engine import CONFIG, FINDINGS, SIZE
from tests.papers.rare_disease_controlnet.small_run import classifiers, on, seed_folder

CLASSES = ["normal", *FINDINGS]
THRESHOLDS = {"classifiers": {"selected_4": {"thresholds": {"pneumothorax": 0.0, "effusion": 1.0}}}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Return a seed's folder with two classifiers of films with one finding at most."""
    home = tmp_path_factory.mktemp("home")
    return seed_folder(home, classifiers("real_4", "selected_4", "real_2"))


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Path:
    """Return a seed's folder with a classifier of films with several findings."""
    config = on("nih")
    home = tmp_path_factory.mktemp("several")
    folder = seed_folder(home, classifiers("selected_4", config=config), config=config)
    (folder / "metrics.json").write_text(json.dumps(THRESHOLDS))
    return folder


def test_a_heat_map_s_mean_and_the_bias_are_the_logit():
    network = Classifier(CONFIG.classifier, 3, rngs=nnx.Rngs(0))
    network.head.bias[...] = jnp.arange(3.0)
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 1))
    run = jax.jit(lambda x: (heat_maps(network, network.maps(x)), network(x)))
    heat, logits = run(images)
    assert heat.shape == (2, 16, 16, 3)
    np.testing.assert_allclose(heat.mean((1, 2)) + np.arange(3), logits, rtol=1e-4, atol=1e-5)
    assert float(heat.std()) > 0.01


def test_a_heat_map_keeps_its_place_when_it_is_enlarged():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 2
    large = enlarged(heat, 32)
    assert large.shape == (32, 32)
    assert np.unravel_index(large.argmax(), large.shape) >= (0, 24)
    assert large[:8, 24:].min() > 0
    assert np.abs(large[16:]).max() == np.abs(large[:, :16]).max() == 0


def test_films_of_all_kinds_get_probabilities_a_heat_map_and_a_row(trained, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    films = [write(source / "ann" / "1.png", blocks("a", 90, 70)), write(source / "bob.jpg"),
             write_dicom(source / "IM0003", blocks("c", 64, 64), "MONOCHROME1")]  # fmt: skip
    rows = predict(trained, source, out)
    assert [row["file"] for row in rows] == ["IM0003", "ann/1.png", "bob.jpg"]
    assert {str(path.relative_to(out)) for path in out.rglob("*.*")} == {
        "ann/1_heat_map.png", "bob_heat_map.png", "IM0003_heat_map.png", "predictions.csv"
    }  # fmt: skip
    network = trained_classifier(
        CONFIG,
        2,
        find(trained, "rare_disease_controlnet", Config()).folder("classifier_selected_4"),
    )
    images = np.stack([resized(read(films[i]), SIZE) for i in (2, 0, 1)])
    expected = Classify(CONFIG, network)(images[..., None])
    for row, chance in zip(rows, expected, strict=True):
        np.testing.assert_allclose([row[name] for name in CLASSES], chance, rtol=1e-5)
        assert row["predicted"] == CLASSES[chance.argmax()]
        assert row["classifier"] == "selected_4"
    with (out / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["file", "classifier", "predicted", *CLASSES]
    assert [float(line["effusion"]) for line in table] == [row["effusion"] for row in rows]
    assert "selected_4" in capsys.readouterr().err
    for path in out.rglob("*.*"):
        for secret in SECRETS.values():
            assert secret not in path.name
            assert secret.encode() not in path.read_bytes()
    again = predict(trained, films[1], tmp_path / "alone")
    assert [again[0][name] for name in CLASSES] == [rows[2][name] for name in CLASSES]


def test_other_classifiers_may_be_asked(trained, tmp_path):
    film = write(tmp_path / "in" / "film.png")
    found = [
        predict(trained, film, tmp_path / name, options=Options(name))[0]
        for name in ("selected_4", "real_4", "classifier_real_2")
    ]
    assert [row["classifier"] for row in found] == ["selected_4", "real_4", "real_2"]
    assert len({row["effusion"] for row in found}) == 3
    folder = find(trained, "rare_disease_controlnet", Config()).folder("classifier_real_2")
    (alone,) = predict(folder, film, tmp_path / "alone")
    assert alone["classifier"] == "real_2"
    assert alone["effusion"] == found[2]["effusion"]


def test_several_findings_are_predicted_by_the_thresholds_of_validation(several, tmp_path):
    film = write(tmp_path / "in" / "film.png")
    (row,) = predict(several, film, tmp_path / "out")
    assert row["predicted"] == "pneumothorax"  # above 0, and effusion not above 1
    none = (1 - row["effusion"]) * (1 - row["pneumothorax"])
    assert row["normal"] == pytest.approx(none, rel=1e-5)
    chance = np.array([0.1, 0.6, 0.4])
    assert predicted_of(chance, FINDINGS, np.array([0.5, 0.3])) == ["effusion", "pneumothorax"]
    assert predicted_of(chance, FINDINGS, np.array([0.7, 0.5])) == ["normal"]
    assert predicted_of(chance, FINDINGS, None) == ["effusion"]


def test_a_threshold_of_one_s_own_holds_for_all_findings(several, trained, tmp_path):
    film = write(tmp_path / "in" / "film.png")
    low = predict(several, film, tmp_path / "low", options=Options(threshold=0.0))
    assert low[0]["predicted"] == "effusion; pneumothorax"
    high = predict(several, film, tmp_path / "high", options=Options(threshold=1.0))
    assert high[0]["predicted"] == "normal"
    with pytest.raises(InputError, match=r"--threshold 0.5: of films with one finding at most"):
        predict(trained, film, tmp_path / "none", options=Options(threshold=0.5))


def test_of_several_seeds_the_mean_counts(tmp_path):
    config = on("nih")
    folder = seed_folder(tmp_path, classifiers("selected_4", config=config), config=config)
    networks = classifiers("real_4", "selected_4", config=config)
    other = seed_folder(tmp_path, networks, config=config, seed=1)
    film = write(tmp_path / "in" / "film.png")
    chosen = Options(threshold=0.5)
    assert folder.parent == other.parent
    alone = [predict(one, film, tmp_path / one.name, options=chosen)[0] for one in (folder, other)]
    (both,) = predict(folder.parent, film, tmp_path / "both", options=chosen)
    for name in CLASSES:
        assert both[name] == pytest.approx(np.mean([row[name] for row in alone]), rel=1e-5)


def test_a_seed_that_was_not_evaluated_has_no_thresholds(several, tmp_path):
    film = write(tmp_path / "in" / "film.png")
    file = several / "metrics.json"
    for content in ("", json.dumps({"classifiers": {"selected_4": {}}})):
        file.write_text(content)
        with pytest.raises(InputError, match=r"no thresholds of selected_4 in metrics\.json; g"):
            predict(several, film, tmp_path / "out")
    file.write_text(json.dumps(THRESHOLDS))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("selectd_4", r"--classifier selectd_4: not trained there, did you mean 'selected_4'\?"),
        ("upper_9000", "not trained there, choose one of real_2, real_4, selected_4"),
    ],
)
def test_a_classifier_that_is_not_there_is_one_line(wanted, message, trained, tmp_path):
    film = write(tmp_path / "in" / "film.png")
    with pytest.raises(InputError, match=message):
        predict(trained, film, tmp_path / "out", options=Options(wanted))


def test_without_the_default_classifier_one_must_be_chosen(tmp_path):
    config = replace(CONFIG, arms=replace(CONFIG.arms, main=2))
    folder = seed_folder(tmp_path / "home", classifiers("real_4", "selected_4"), config=config)
    with pytest.raises(InputError, match="choose one of real_4, selected_4"):
        predict(folder, write(tmp_path / "in" / "film.png"), tmp_path / "out")


def test_bad_films_are_named_or_skipped(trained, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write(source / "good.png")
    (source / "text.png").write_text("no image")
    write(source / "flat.png", np.full((40, 40), 7, np.uint8))
    with pytest.raises(InputError, match=r"2 bad(.|\n)*flat\.png: is of one gray value(.|\n)*text"):
        predict(trained, source, out)
    assert not out.exists()
    assert [row["file"] for row in predict(trained, source, out, skip_bad=True)] == ["good.png"]
    assert "skipped 2 bad files" in capsys.readouterr().err
    write(source / "good.jpg")
    with pytest.raises(InputError, match="two inputs would both become"):
        predict(trained, source, tmp_path / "other", skip_bad=True)


def test_no_file_of_the_input_is_harmed_and_heat_maps_are_not_read_again(trained, tmp_path):
    source = tmp_path / "in"
    write(source / "film.png")
    assert len(predict(trained, source, source)) == 1
    with pytest.raises(InputError, match="is there, among the input; give another folder"):
        predict(trained, source, source)


def test_a_sheet_says_what_it_is_and_whose_map_it_shows():
    film, heat = np.zeros((8, 8), np.uint8), np.linspace(-1, 1, 64).reshape(8, 8)
    figure = sheet(film, heat, CLASSES, np.array([0.7, 0.1, 0.2]), 2, "film.png: normal")
    assert figure._supxlabel.get_text() == NOTICE
    assert "speaks for pneumothorax" in figure.axes[1].get_title()
    assert module.shown_class(np.array([0.7, 0.1, 0.2]), FINDINGS, ["normal"]) == 2
    assert module.shown_class(np.array([0.2, 0.5, 0.6]), FINDINGS, ["effusion"]) == 1
