"""Films that people accepted: brought from a desk, and what is learned from them."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import InputError
from common.pipeline import stages
from common.study import config as configs
from papers.__main__ import main
from papers.rare_disease_controlnet import reviewed, train
from papers.rare_disease_controlnet.corpus.corpus import DATABASE, open_corpus
from papers.rare_disease_controlnet.corpus.export import export
from papers.rare_disease_controlnet.networks import networks, synthesis
from papers.rare_disease_controlnet.study import STUDY
from papers.rare_disease_controlnet.synthesis import set_of_films
from tests.papers.rare_disease_controlnet.reviewed_made_up import (
    FINDINGS,
    SET,
    a_corpus,
    add,
    as_if_trained,
    content_of,
    image,
)

OURS = [image(number) for number in range(3)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a home with a run, the run, and its data."""
    home = tmp_path_factory.mktemp("home")
    return home, *as_if_trained(home)


@pytest.fixture
def corpus(study, tmp_path, monkeypatch):
    """Return a corpus with a snapshot, beside the study's home."""
    monkeypatch.setenv("REPLICATIONS_HOME", str(study[0]))
    return a_corpus(tmp_path / "desk")


def learning_from(run, *contents: str):
    config = configs.override(run.config, {"synthesis.corpora": list(contents)})
    return replace(run, config=config)


def test_they_take_the_place_of_what_the_automatic_reviewer_accepted(corpus, study):
    _, run, prepared = study
    content = reviewed.keep(corpus, "v1")
    assert content == content_of(corpus)
    config = learning_from(run, content).config
    folder = run.unit(prepared, 0, synthesis(4)).folder
    whole = set_of_films(folder, FINDINGS, config, 4)
    drawn = 4 * SET
    assert whole.accepted.tolist() == [False] * drawn + [True] * 4
    chosen = whole.images[whole.accepted & (whole.labels[:, 1] > 0)]
    assert sorted(map(bytes, chosen)) == sorted(map(bytes, OURS))
    # the engine that drew them knows the main number of rare films: elsewhere nothing changes
    assert len(set_of_films(folder, FINDINGS, config, 2).images) == drawn
    assert len(set_of_films(folder, FINDINGS, run.config, 4).images) == drawn


def test_only_what_learns_from_them_is_trained_again(study):
    _, run, prepared = study
    other = learning_from(run, "ab" * 32)
    changed = {
        name.removeprefix("classifier_")
        for name in networks(run.config)
        if run.unit(prepared, 0, name).key != other.unit(prepared, 0, name).key
    }
    assert changed == {
        *("selected_4", "selected_4_dose_2", "selected_4_dose_4"),
        *("synthetic_only_4", "pretraining_4", "pretrained_4"),
    }


def test_classifiers_learn_from_them_beside_real_films(corpus, study, monkeypatch):
    _, run, prepared = study
    seen = {}

    def note(unit, trial, images, labels, made, steps):
        seen[unit.network.removeprefix("classifier_")] = sorted(map(bytes, images[made]))

    monkeypatch.setattr(train, "_fit_classifier", note)
    other = learning_from(run, reviewed.keep(corpus, "v1"))
    for name in ("selected_4", "selected_4_dose_2", "unselected_4", "synthetic_only_4", "upper_4"):
        STUDY.train(other.unit(prepared, 0, f"classifier_{name}"), prepared)
    ours = sorted(map(bytes, OURS))
    theirs = sorted(bytes(image(4000 + number)) for number in range(SET))
    assert seen["selected_4"] == ours
    assert len(seen["selected_4_dose_2"]) == 2
    assert set(seen["selected_4_dose_2"]) < set(ours)
    assert seen["unselected_4"] == theirs
    assert len(seen["synthetic_only_4"]) == 3 + 3 * SET + 1  # films of other classes of both
    assert seen["upper_4"] == []


def test_a_desk_and_an_export_are_brought_alike(corpus, tmp_path):
    where = str(corpus.store.path.parent)
    content = content_of(corpus)
    for name in (tmp_path / "films.zip", tmp_path / "films"):
        export(corpus, name, snapshot="v1")
        assert reviewed.bring(str(name)) == content
    assert reviewed.bring(where) == reviewed.bring(f"{where}@v1") == content
    (tmp_path / "desk" / DATABASE).unlink()  # the desk may be gone
    assert reviewed.films(content, ["normal"])[0][0] == "normal"


@pytest.mark.parametrize("name", ["films.zip", "films"])
def test_an_export_from_elsewhere_is_brought_whole(name, corpus, study, tmp_path, monkeypatch):
    export(corpus, tmp_path / name, snapshot="v1")
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "elsewhere"))
    content = reviewed.bring(str(tmp_path / name))
    assert content == content_of(corpus)
    films = reviewed.films(content, ["pneumothorax"])
    assert sorted(bytes(one) for _, one in films) == sorted(map(bytes, OURS))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nowhere", "not there; give the folder of a desk"),
        ("desk@v9", "snapshot 'v9': there is no such snapshot"),
        ("empty", "no manifest.csv to be read"),
        ("text.zip", "not a ZIP file"),
        ("all", "1 films that nobody accepted"),
        ("new", "no snapshot yet"),
    ],
)
def test_what_is_no_corpus_is_one_line(what, message, corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("text")
    add(corpus, "nodule", [70])
    export(corpus, tmp_path / "all", everything=True)
    open_corpus(tmp_path / "new")
    with pytest.raises(InputError, match=message) as raised:
        reviewed.bring(str(tmp_path / what))
    assert "\n" not in str(raised.value)


def test_a_damaged_export_brings_nothing(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "elsewhere"))
    export(corpus, tmp_path / "films", snapshot="v1")
    file = max((tmp_path / "films" / "images").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="damaged; export the snapshot again"):
        reviewed.bring(str(tmp_path / "films"))
    assert [one.name for one in (tmp_path / "elsewhere" / "corpora").glob("[!.]*")] == []
    file.unlink()
    with pytest.raises(InputError, match="missing; export the snapshot again"):
        reviewed.bring(str(tmp_path / "films"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ab" * 32, "is not here; bring it by --corpus"),
        ("../../etc", "expected a SHA-256; use --corpus"),
    ],
)
def test_a_config_whose_films_are_not_here_is_refused(content, message, corpus, study):
    _, run, prepared = study
    folder = run.unit(prepared, 0, synthesis(4)).folder
    with pytest.raises(InputError, match=message):
        set_of_films(folder, FINDINGS, learning_from(run, content).config, 4)


def test_films_of_the_wrong_size_or_without_the_rare_finding_are_refused(corpus, study):
    _, run, prepared = study
    other = learning_from(run, reviewed.keep(corpus, "v1"))
    folder = run.unit(prepared, 0, synthesis(4)).folder
    large = replace(other.config, data=replace(other.config.data, size=64))
    with pytest.raises(InputError, match=r"films of \(32, 32\) pixels, expected \(64, 64\)"):
        set_of_films(folder, FINDINGS, large, 4)
    rare = replace(other.config, data=replace(other.config.data, rare="nodule"))
    with pytest.raises(InputError, match="no film of 'nodule' is in"):
        set_of_films(folder, FINDINGS, rare, 4)


def test_the_command_takes_a_desk_and_other_studies_do_not(corpus, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(stages, "execute", lambda run, *_: asked.append(run.config))
    words = ["replicate", "rare", "smoke", "--corpus", str(corpus.store.path.parent)]
    assert main([*words, "--stage", "prepare"]) == 0
    assert asked[0].synthesis.corpora == (content_of(corpus),)
    assert main(["replicate", "camcan", "smoke", "--corpus", "x"]) == 2
    assert "corpus camcan_cfg: not offered by this study" in capsys.readouterr().err
    assert main(["replicate", "rare", "smoke", "--corpus", "nowhere"]) == 2
    np.testing.assert_equal(len(asked), 1)
