"""Simulated films: what is known of them is exact. On a made-up chest, and on the CT if here."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from common.errors import InputError
from common.pretrained.published_weights import CHEST_CT, CHEST_CT_LABELS
from common.pretrained.weights import weights_path
from papers.rare_disease_controlnet import simulate
from papers.rare_disease_controlnet.config import DataConfig
from papers.rare_disease_controlnet.simulation import (
    anatomy,
    exposure,
    findings,
    projection,
)
from tests.papers.rare_disease_controlnet import phantom

SIZE = 64
SEEN = ("effusion", "pneumothorax", "nodule")


def config(size=SIZE, kinds=SEEN, counts=(3, 4, 5, 6)):
    return DataConfig(
        dataset="films", size=size, findings=kinds, rare=kinds[-1] if kinds else "", films=counts
    )


@pytest.fixture
def made_up(monkeypatch):
    """Put the made-up chest in the CT's place."""
    monkeypatch.setattr(simulate, "anatomy", phantom.chest)


@pytest.fixture(scope="module")
def ct_films():
    """Return films of the published CT, 64 pixels wide."""
    try:
        for one in (CHEST_CT, CHEST_CT_LABELS):
            weights_path(one, download=False)
    except InputError as error:
        pytest.skip(str(error))
    return list(simulate.films(config(counts=(12, 12, 12, 12))))


@pytest.mark.usefixtures("made_up")
def test_films_come_in_order_with_all_that_is_known():
    films = list(simulate.films(config()))
    assert Counter(one.findings for one in films) == {
        (): 3, ("effusion",): 4, ("pneumothorax",): 5, ("nodule",): 6
    }  # fmt: skip
    assert [one.name for one in films[:4]] == [
        *("normal-0001", "normal-0002", "normal-0003", "effusion-0001")
    ]
    assert len({one.patient for one in films}) == len(films)
    for one in films:
        assert one.image.shape == one.mask.shape == one.structure.shape == (SIZE, SIZE)
        assert one.image.dtype == one.structure.dtype == np.uint8
        assert one.view == "PA"
        assert one.part == ""
        if one.findings:
            assert one.side in ("left", "right")
            assert 0 < one.extent <= 1
            assert one.mask.any()
            assert (one.image != one.structure).any()
        else:
            assert (one.side, one.extent) == ("", 0)
            assert not one.mask.any()
            np.testing.assert_array_equal(one.image, one.structure)


@pytest.mark.usefixtures("made_up")
def test_a_film_depends_on_its_kind_and_number_alone():
    few = {one.name: one for one in simulate.films(config())}
    turned = config(kinds=("nodule", "effusion"), counts=(1, 8, 4))
    for one in simulate.films(turned):
        if one.name in few:
            for name in ("image", "mask", "structure"):
                np.testing.assert_array_equal(getattr(one, name), getattr(few[one.name], name))
            assert one.extent == few[one.name].extent
    images = [one.structure for one in few.values()]
    assert min(np.abs(a.astype(int) - b).mean() for a, b in pairwise(images)) > 3


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("kind", SEEN)
def test_a_film_of_more_pixels_shows_the_same(kind):
    small, large = (simulate.film(kind, 2, size) for size in (SIZE, 2 * SIZE))
    assert (small.side, small.extent) == (large.side, large.extent)
    means = large.image.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
    inner = slice(6, -6)
    assert np.abs(small.image.astype(float) - means)[inner, inner].mean() < 6
    share = large.mask.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
    assert share.sum() == pytest.approx(small.mask.sum(), rel=0.2, abs=4)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("kind", simulate.FINDINGS)
def test_mask_and_structure_are_exact(kind):
    size = SIZE if kind != "fracture" else simulate.FRACTURE_SIZE
    for number in (1, 2, 3):
        rng = np.random.default_rng([simulate.COHORT_SEED, simulate.KINDS.index(kind), number])
        exposure.draw(rng)
        change = (one := simulate.case(rng, phantom.chest(size), kind, size)).change(one.extent)
        film = simulate.film(kind, number, size)
        assert (film.image == film.structure)[change == 0].all()
        assert not (film.mask & (np.abs(change) <= findings.VISIBLE)).any()
        away = film.image.astype(int) - film.structure.astype(int)
        assert np.abs(away[~film.mask]).max() <= 8
        assert np.abs(away[film.mask]).mean() > 4 * np.abs(away[~film.mask]).mean()
        brighter = away[film.mask].mean()
        if kind in ("effusion", "nodule"):
            assert brighter > 0
        if kind == "pneumothorax":
            assert brighter < 0


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("kind", simulate.FINDINGS)
def test_findings_lie_on_their_side_of_the_patient(kind):
    size = SIZE if kind != "fracture" else simulate.FRACTURE_SIZE
    sides = []
    for number in range(1, 7):
        film = simulate.film(kind, number, size)
        columns = np.nonzero(film.mask)[1]
        assert (columns.mean() > size / 2) == (film.side == "left"), film.name
        sides.append(film.side)
    assert len(set(sides)) == 2


def test_extents_are_even_and_a_larger_one_never_changes_less():
    chest = phantom.chest(SIZE)
    drawn = []
    for number in range(12):
        rng = np.random.default_rng(number)
        one = simulate.case(rng, chest, SEEN[number % 3], SIZE)
        made = [one.change(extent) for extent in np.linspace(0.1, 1, 10)]
        assert np.diff([findings.mask(change).sum() for change in made]).min() >= 0
        assert np.diff([np.abs(change).sum(dtype=float) for change in made]).min() > 0
        drawn.append(one.extent)
    assert 0 < min(drawn) < 0.35
    assert 0.65 < max(drawn) <= 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"kinds": ("effusion", "mass"), "counts": (1, 1, 1)},
     r"data\.findings: no simulated film shows 'mass', choose one of effusion, fracture"),
    ({"kinds": ("Effusion",), "counts": (1, 1)}, r"'Effusion', did you mean 'effusion'\?"),
    ({"kinds": ("fracture",), "counts": (1, 1), "size": 128},
     r"data\.findings: a fracture .* data\.size=128; set data\.size=256 or more"),
])  # fmt: skip
def test_what_cannot_be_shown_is_refused_at_once(changes, message):
    with pytest.raises(InputError, match=message):
        simulate.films(config(**changes))


def test_without_the_ct_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    monkeypatch.setenv("CHEST_CT", str(tmp_path / "ct.nii.gz"))
    anatomy.anatomy.cache_clear()
    with pytest.raises(InputError, match=r"chest-ct weights .*ct\.nii\.gz: no such file.*CHEST_CT"):
        simulate.films(config())


def test_integrals_are_kept_under_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    for variable, path in zip(
        ("CHEST_CT", "CHEST_CT_LABELS"), phantom.write(tmp_path), strict=True
    ):
        monkeypatch.setenv(variable, str(path))
    first = projection.maps()
    (kept,) = (tmp_path / "home" / "projections").iterdir()
    monkeypatch.setattr(projection, "project", None)
    again = projection.maps()
    assert set(first) == set(again)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    phantom.write(tmp_path, units=phantom.volumes()[0] + np.int16(5))
    with pytest.raises(TypeError):  # another scan is projected again
        projection.maps()
    assert kept.exists()


def test_the_ct_lies_as_its_labels_say(ct_films):
    chest = anatomy.anatomy(SIZE)
    columns = np.arange(SIZE)
    down, left = np.meshgrid(*[anatomy.centers(SIZE).astype(np.float32)] * 2, indexing="ij")
    middle = {
        name: np.average(columns, weights=chest.sample(name, down, left).sum(0))
        for name in ("lung_left", "lung_right", "heart", "spine")
    }
    assert middle["lung_right"] < middle["spine"] < middle["heart"] < middle["lung_left"]
    for side, sign in (("left", 1), ("right", -1)):
        assert all((line[:, 1] * sign > 0).all() and len(line) > 60
                   for name, line in chest.ribs.items() if side in name)  # fmt: skip
        assert len(chest.open[side]) > 500


def test_films_of_the_ct_look_like_chest_films(ct_films):
    for one in ct_films:
        image = one.structure.astype(float)
        down, left = np.meshgrid(*[anatomy.centers(SIZE)] * 2, indexing="ij")
        spine = image[(np.abs(left) < 20) & (np.abs(down) < 80)].mean()
        lungs = [
            image[(np.abs(left - x) < 20) & (np.abs(down + 20) < 40)].mean() for x in (-75, 75)
        ]
        assert spine > max(lungs) + 50, one.name
        assert (image == 255).mean() < 0.1
        assert (image < 10).mean() < 0.25
    sides = {(one.findings, one.side) for one in ct_films if one.findings}
    assert len(sides) == 6
    for one in ct_films:
        if one.findings:
            columns = np.nonzero(one.mask)[1]
            assert (columns.mean() > SIZE / 2) == (one.side == "left"), one.name


def test_a_pneumothorax_of_the_ct_is_darker_than_its_lung(ct_films):
    for one in ct_films:
        if one.findings == ("pneumothorax",):
            away = one.structure.astype(int) - one.image
            assert away[one.mask].mean() > 8, one.name
            assert one.mask.sum() > 20
