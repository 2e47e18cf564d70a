"""Tables and figures from made-up metrics and images."""

import json
from pathlib import Path

import imageio.v3 as imageio
import matplotlib.pyplot as plt
import numpy as np
import pytest

from papers.rare_disease_controlnet.compared import ARMS
from papers.rare_disease_controlnet.figures import classifiers, engine, films
from papers.rare_disease_controlnet.render import make_tables, render
from tests.common.manifests import manifest
from tests.papers.rare_disease_controlnet.results_made_up import (
    CASES,
    CLASSES,
    FINDINGS,
    RARE,
    changed,
    metrics,
    samples,
)

OF_NUMBERS = {"arms", "gains", "reliability", "audit", "learning_curves", "dose_response"}
OF_FILMS = {"films", "lesions", "control", "denoising", "guidance_and_control", "nearest_films"}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def three(*changes: dict) -> list[dict]:
    """Return the metrics of three seeds."""
    return [changed(metrics(), each) for each in (changes or ({}, {}, {}))]


def results(folder: Path, arrays: dict, **options) -> Path:
    """Write a results folder of three seeds."""
    seeds = {f"{number}": metrics(**options) for number in range(3)}
    (folder / "metrics.json").write_text(json.dumps({"seeds": seeds}, sort_keys=True))
    data = {"rare": RARE, "findings": list(FINDINGS)}
    (folder / "manifest.json").write_text(manifest("rare_disease_controlnet", data=data))
    np.savez(folder / "samples.npz", **arrays)
    return folder


@pytest.mark.parametrize(
    ("arrays", "options", "expected"),
    [
        (samples(), {}, OF_NUMBERS | OF_FILMS | {"confusion", "severity"}),
        (samples(known=False), {"known": False}, OF_NUMBERS | OF_FILMS | {"confusion"}),
        ({}, {"single": False, "known": False}, OF_NUMBERS),  # ChestX-ray14: shows no film
    ],
)
def test_everything_is_drawn_that_there_is(arrays, options, expected, tmp_path):
    render(results(tmp_path, arrays, **options))
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == expected
    for path in (tmp_path / "figures").iterdir():
        assert imageio.imread(path).std() > 0
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    named = ("arms", "gains", "dose_response", "engine", "reviewer")
    assert tables == {f"{name}.{ending}" for name in named for ending in ("csv", "md")}
    assert "Stand-in data: made up" in (tmp_path / "tables" / "arms.md").read_text()


def test_tables_hold_every_arm_at_every_number_of_real_films():
    seeds = {f"{i}": changed(metrics(), {
        "classifiers.selected_24.rare_f1": 0.7 + 0.1 * i,
        "classifiers.augmented_24.rare_f1": 0.6,
    }) for i in range(3)}  # fmt: skip
    tables = make_tables(seeds, CLASSES, RARE, "a note")
    named = [(12, ARMS["real"]), (12, ARMS["selected"]), *((24, name) for name in ARMS.values())]
    for name in ("arms", "gains"):
        assert [row[:2] for row in tables[name].rows] == named
    assert "40 test films of other patients, 10 with pneumothorax" in tables["arms"].title
    assert tables["arms"].columns[2:6] == tuple(f"F1 {name}" for name in CLASSES)
    row = tables["gains"].rows[named.index((24, ARMS["selected"]))]
    assert row[2] == ARMS["augmented"]
    assert row[3].mean == pytest.approx(0.2)
    assert row[3].std == pytest.approx(0.1)
    assert row[4] == pytest.approx(2.92 * 0.1 / 3**0.5, rel=1e-3)
    assert row[5].mean == pytest.approx(0.3)
    doses = tables["dose_response"].rows
    assert [row[0] for row in doses] == [0, 24, 96]
    assert doses[0][2].mean == pytest.approx(0.6)  # without synthetic films: real ones repeated


def test_without_places_and_sides_their_rows_are_left_out():
    whole = make_tables({"0": metrics()}, CLASSES, RARE, "")["engine"].rows
    some = make_tables({"0": metrics(known=False)}, CLASSES, RARE, "")["engine"].rows
    gone = [row[0] for row in whole if row[0] not in {one[0] for one in some}]
    assert len(gone) == 4
    assert "on the side asked for" in gone
    several = make_tables({"0": metrics(single=False)}, CLASSES, RARE, "")["arms"]
    assert "F1 normal" not in several.columns


def test_arms_have_a_line_for_each_seed_and_the_best_without_films():
    seeds = three(*({"classifiers.augmented_24.rare_f1": 0.5 + 0.1 * i} for i in range(3)))
    axis = classifiers.arms(seeds, RARE, "a note").axes[1]
    lines = [line.get_ydata() for line in axis.lines]
    place = list(ARMS).index("augmented")
    for line, expected in zip(lines, (0.5, 0.6, 0.7), strict=False):
        assert len(line) == len(ARMS)
        assert line[place] == pytest.approx(expected)
    assert lines[-1] == pytest.approx([0.6, 0.6])
    assert [label.get_text() for label in axis.get_xticklabels()] == list(ARMS.values())


def test_gains_are_over_the_best_and_over_real_films_with_the_literature_beside():
    seeds = three(*[{"classifiers.augmented_24.rare_f1": 0.6}] * 3)
    figure = classifiers.differences(
        seeds, RARE, {"usual_low": 0.0, "usual_high": 0.05, "best_published": 0.15}, "a note"
    )
    best, plain = figure.axes
    rows = [label.get_text() for label in best.get_yticklabels()]
    place = rows.index(f"{ARMS['selected']}, 24")
    for axis, expected in ((best, -0.1), (plain, 0.0)):
        ticks = [line for line in axis.lines if len(line.get_xdata()) == 3]
        assert ticks[place].get_xdata() == pytest.approx([expected] * 3)
    assert not best.get_legend_handles_labels()[1]
    named = ["usual: +0.00 to +0.05", "best published: +0.15"]
    assert plain.get_legend_handles_labels()[1] == named


def test_a_dose_lies_at_the_films_that_there_were():
    seeds = three(*[{"reviewer.acceptance.24.accepted": 40}] * 3)
    axis = classifiers.dose_response(seeds, RARE, "").axes[0]
    assert axis.lines[0].get_xdata() == pytest.approx([0, 24, 40])


def test_confusion_is_added_over_seeds_and_shown_as_shares_of_the_true_class():
    axis = classifiers.confusion(three(), CLASSES, "").axes[0]
    shares = np.ma.filled(axis.images[0].get_array(), np.nan)
    assert shares[0] == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert np.isnan(shares[3]).all()  # no such test film
    assert len([text for text in axis.texts if text.get_text()]) == 12


def test_reliability_pools_the_bins_of_seeds_by_their_films():
    other = {
        "classifiers.real_24.rare_reliability": {
            "predicted": [0.09, None, 0.9], "observed": [0.5, None, 0.9], "count": [10, 0, 30],
        }
    }  # fmt: skip
    axis = classifiers.reliability(three({}, other), RARE, "").axes[0]
    points = np.ma.filled(axis.collections[0].get_offsets(), np.nan)
    assert points[0] == pytest.approx([(0.05 * 30 + 0.09 * 10) / 40, (0.1 * 30 + 0.5 * 10) / 40])
    assert points[2] == pytest.approx([(0.8 * 10 + 0.9 * 30) / 40, (0.6 * 10 + 0.9 * 30) / 40])
    assert np.isnan(points[1]).any()


def test_films_of_a_class_are_in_its_row_real_ones_first():
    arrays = samples()
    axes = np.reshape(films.by_finding(arrays, CLASSES, RARE, "").axes, (4, 2 * CASES + 1))
    row = axes[CLASSES.index(RARE)]
    np.testing.assert_array_equal(row[1].images[0].get_array(), arrays[f"real_{RARE}"][1])
    np.testing.assert_array_equal(row[3].images[0].get_array(), arrays[f"synthetic_{RARE}"][0])
    assert [text.get_text() for text in row[1].texts] == ["90%"]
    assert "(rare)" in row[0].get_ylabel()
    assert not axes[0, 3].images  # no synthetic film of it


def test_a_lesion_is_the_film_with_it_minus_the_film_without():
    arrays = samples()
    axes = np.reshape(films.lesions(arrays, RARE, "").axes, (CASES, 5))
    change = arrays["drawn_finding"][1].astype(float) - arrays["drawn_normal"][1]
    np.testing.assert_array_equal(axes[1, 4].images[0].get_array(), change)
    np.testing.assert_array_equal(axes[1, 3].images[0].get_array(), arrays["drawn_finding"][1])
    assert axes[0, 0].get_ylabel() == "asked: left"


def test_edges_lie_over_the_films_that_were_asked_to_keep_them():
    arrays = samples()
    seeds = {f"{i}": one for i, one in enumerate(three(*[{"engine.edges.finding": 0.8}] * 3))}
    axes = np.reshape(films.control(arrays, seeds, "").axes, (CASES, 5))
    assert "0.80" in axes[0, 2].get_title()
    for axis, name in zip(axes[1, 2:], ("finding", "strength_0", "uncontrolled"), strict=True):
        film, over = (image.get_array() for image in axis.images)
        np.testing.assert_array_equal(film, arrays[f"drawn_{name}"][1])
        np.testing.assert_array_equal(over.mask, arrays["edges"][1] == 0)


def test_the_nearest_training_film_lies_below_with_its_distance():
    arrays = samples()
    figure = films.nearest(arrays, {"0": metrics()}, "")
    axes = np.reshape(figure.axes, (2, CASES))
    below = axes[1, 1].images[0].get_array()
    np.testing.assert_array_equal(below, arrays["nearest_training"][1, ..., 0])
    assert axes[0, 1].get_title() == "20.0"


def test_measures_that_a_seed_lacks_leave_the_figures_whole():
    gone = {
        "engine.as_asked.side": None, "engine.edges.strength_0": None, "engine.change": {},
        "classifiers.selected_24.rare_f1": None,
        "classifiers.real_24.rare_calibration_error": None, "training": {},
    }  # fmt: skip
    seeds = three({}, gone)
    for figure in (
        engine.audit(seeds, CLASSES, RARE, ""),
        engine.learning(seeds, ""),
        classifiers.arms(seeds, RARE, ""),
        classifiers.differences(seeds, RARE, {}, ""),
        classifiers.reliability(seeds, RARE, ""),
    ):
        assert figure is not None
        figure.canvas.draw()
    assert engine.learning(three(*[{"training": {}}] * 3), "") is None
