"""Films become examples: parts without common patients, labels by column, masks where known."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.prepare import prepare as prepare_data
from common.data.prepared import Prepared
from common.errors import InputError
from papers.rare_disease_controlnet import data
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.data import PARTS
from papers.rare_disease_controlnet.datasets import DATASETS
from papers.rare_disease_controlnet.film import Film
from papers.rare_disease_controlnet.listing import FilmReading
from tests.papers.rare_disease_controlnet.film_files import blocks, nih

NIH = DataConfig(size=32, rare="Nodule")
LABELS = {
    f"{patient:08d}_{number:03d}": label
    for patient in range(1, 21)
    for number, label in enumerate(
        ("Nodule|Mass", "No Finding")
        if patient <= 5
        else ("Mass",)
        if patient <= 9
        else ("No Finding",)
    )
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return nih(tmp_path_factory.mktemp("raw"), LABELS)


def prepare(config: DataConfig, folder: Path, raw: Path | None, **options) -> Prepared:
    return prepare_data(DATASETS[config.dataset], config, data.examples, folder, raw, **options)


def film(name: str, patient: str, *findings: str, part: str = "") -> Film:
    image = np.zeros((32, 32), np.uint8)
    return Film(name, patient, image, findings, part=part)


def test_films_are_prepared_whole_with_labels_by_column(raw, tmp_path):
    prepared = prepare(NIH, tmp_path / "out", raw)
    assert prepared.description == (
        "ChestX-ray14: 25 films of 20 patients (16 normal, 9 Mass, 5 Nodule); split by patient; "
        "labels of Data_Entry_2017.csv"
    )
    assert data.findings_of(prepared) == ("Mass", "Nodule")
    parts = {name: data.load(prepared, name) for name in PARTS}
    assert sorted(sum((part.names for part in parts.values()), ())) == sorted(LABELS)
    for name, part in parts.items():
        assert len(part) == prepared.sizes[name] == prepared.parts[name]["films"]
        assert list(part.names) == sorted(part.names)
        assert part.images.shape == (len(part), 32, 32, 1)
        assert part.masks is part.structures is None
        assert set(part.views) == {"PA"}
        assert set(part.sides) == {""}
        assert np.isnan(part.extents).all()
        for film, patient, label in zip(part.names, part.patients, part.labels, strict=True):
            assert film.startswith(patient)
            findings = [x for x, there in zip(part.findings, label, strict=True) if there]
            assert findings == [x for x in ("Mass", "Nodule") if x in LABELS[film]]


def test_chosen_findings_give_the_columns_in_their_order(raw, tmp_path):
    prepared = prepare(replace(NIH, findings=("Nodule", "Mass")), tmp_path / "a", raw)
    assert data.findings_of(prepared) == ("Nodule", "Mass")
    prepared = prepare(replace(NIH, findings=("Nodule",)), tmp_path / "b", raw)
    assert "21 films of 16 patients (16 normal, 5 Nodule)" in prepared.description
    assert "; 4 with other findings only left out; " in prepared.description
    test = data.load(prepared, "test")
    assert test.labels.shape == (len(test), 1)
    chosen = np.flatnonzero(test.labels[:, 0])[:1]
    one = test.rows(chosen)
    assert (len(one), one.names, one.labels.tolist()) == (1, (test.names[chosen[0]],), [[1]])
    np.testing.assert_array_equal(one.images, test.images[chosen])


def test_every_part_has_its_share_of_patients_with_the_rare_finding(raw, tmp_path):
    prepared = prepare(NIH, tmp_path / "out", raw)
    counts = [prepared.parts[part]["findings"]["Nodule"] for part in PARTS]
    assert counts == [2, 1, 1, 1]
    patients = [prepared.parts[part]["patients"] for part in PARTS]
    assert patients == [10, 3, 3, 4]  # of 15 without it 2, 2 and 3


FILMS = st.lists(
    st.tuples(
        st.integers(0, 30), st.sampled_from([(), ("Nodule",), ("Mass",), ("Mass", "Nodule")])
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(FILMS, st.integers(0, 1000), st.sampled_from([(0.6, 0.1, 0.1), (0.3, 0.3, 0.3)]))
def test_no_patient_is_in_two_parts_and_no_film_is_lost(drawn, seed, fractions):
    films = [film(f"{i}", f"{who}", *what) for i, (who, what) in enumerate(drawn)]
    train, validation, review = fractions
    config = replace(
        NIH,
        split_seed=seed,
        train_fraction=train,
        validation_fraction=validation,
        review_fraction=review,
    )
    parts = data.split(config, films)
    assert tuple(parts) == PARTS
    names = Counter(one.name for members in parts.values() for one in members)
    assert names == Counter(one.name for one in films)
    patients = [{one.patient for one in members} for members in parts.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))
    again = data.split(config, films[::-1])  # whatever the order of reading
    assert [{one.patient for one in members} for members in again.values()] == patients


def test_the_seed_changes_the_split():
    films = [film(f"{i:02d}", f"{i:02d}", *["Nodule"][: i % 2]) for i in range(40)]
    tests = {
        tuple(one.name for one in data.split(replace(NIH, split_seed=seed), films)["test"])
        for seed in range(5)
    }
    assert len(tests) == 5
    assert {len(test) for test in tests} == {8}


def test_the_published_split_keeps_the_publishers_test_part_and_its_leak():
    config = replace(NIH, split="published")
    films = [film(f"a{i:02d}", f"{i}", *["Nodule"][: i % 2], part="train") for i in range(20)]
    films += [film(f"b{i:02d}", f"{i}", "Nodule", part="test") for i in range(15, 25)]
    made = data.examples(config, FilmReading(films))
    assert set(made.splits["test"]) == {one.name for one in films if one.part == "test"}
    assert (
        "; test part as published, 5 of its 10 patients in other parts too; the rest split by "
        "patient" in made.description
    )
    others = [{one["patient"] for one in made.splits[part].values()} for part in PARTS[:3]]
    assert sum(map(len, others)) == len(set.union(*others)) == 20
    films.append(film("c", "99"))
    with pytest.raises(InputError, match="but 1 films of nih have no published part, as c; choose"):
        data.examples(config, FilmReading(films))


def test_the_rare_finding_must_be_in_every_part():
    films = [film(f"{i}", f"{i}") for i in range(10)]
    films += [film(f"n{i}", f"{i % 2}", "Nodule") for i in range(6)]
    with pytest.raises(InputError) as error:
        data.examples(NIH, FilmReading(films))
    assert str(error.value) == (
        "data.rare: films with 'Nodule' in each part: train 0, validation 3, review 3, test 0, of "
        "2 patients; every part needs one: choose a more frequent finding, or more films"
    )


def test_simulated_films_keep_masks_and_structures(tmp_path):
    films = []
    for i in range(16):
        image = blocks(f"{i}", 32, 32)
        if i % 2:
            mask = np.zeros((32, 32), bool)
            mask[i:] = True
            structure = image // 2
            what = {"side": "left", "extent": i / 16, "mask": mask, "structure": structure}
            films.append(Film(f"{i:02d}", f"{i}", image, ("Nodule",), **what))
        else:
            films.append(Film(f"{i:02d}", f"{i}", image))
    dataset = replace(DATASETS["films"], read=lambda raw, config: FilmReading(films))
    prepared = prepare_data(dataset, NIH, data.examples, tmp_path / "out", None)
    own = {one.name: one for one in films}
    for name in PARTS:
        part = data.load(prepared, name)
        assert part.masks is not None
        assert part.structures is not None
        for i, one in enumerate(own[each] for each in part.names):
            np.testing.assert_array_equal(part.images[i, ..., 0], one.image)
            assert part.sides[i] == one.side
            if one.findings:
                np.testing.assert_array_equal(part.masks[i], one.mask)
                np.testing.assert_array_equal(part.structures[i, ..., 0], one.structure)
                assert part.extents[i] == np.float32(one.extent)
            else:
                assert not part.masks[i].any()
                np.testing.assert_array_equal(part.structures[i, ..., 0], one.image)
        few = part.rows(np.array([len(part) - 1]))
        np.testing.assert_array_equal(few.masks, part.masks[-1:])
        np.testing.assert_array_equal(few.structures, part.structures[-1:])


def test_bad_films_stop_the_preparation_or_are_left_out(tmp_path):
    raw = nih(tmp_path / "raw", LABELS)
    (raw / "images" / "00000020_000.png").write_bytes(b"no film")
    with pytest.raises(InputError, match="1 bad; fix them, or skip them") as error:
        prepare(NIH, tmp_path / "out", raw)
    assert "\n  images/00000020_000.png: cannot be read: it is text" in str(error.value)
    prepared = prepare(NIH, tmp_path / "out", raw, skip_bad=True)
    assert sum(prepared.sizes.values()) == len(LABELS) - 1
    with pytest.raises(InputError, match=r"data\.dataset=nih needs raw files: get it from https"):
        prepare(NIH, tmp_path / "none", None)
