"""The way from a labeled CT to gray films, on a made-up chest: integrals, places, noise, window."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import InputError
from papers.rare_disease_controlnet.simulation import anatomy, ct, exposure, habitus, projection
from tests.papers.rare_disease_controlnet import phantom

SIZE = 64


def test_integrals_add_up_to_all_that_rays_lose():
    scan, maps = phantom.scan(), phantom.maps()
    total = scan.attenuation.sum(1).T[::-1] * scan.voxel[1]
    np.testing.assert_allclose(
        sum(maps[name] for name in projection.NAMES), total, rtol=1e-4, atol=1e-4
    )
    assert maps["pixel"].tolist() == [scan.voxel[2], scan.voxel[0]]
    for side in projection.SIDES:
        chord, lost = maps[f"thickness_{side}"], maps[f"lung_{side}"]
        assert chord.max() == pytest.approx(124, abs=6)  # mm, the ellipsoid's axis
        np.testing.assert_allclose(lost, chord * ct.WATER / 4, rtol=1e-4)  # -750 HU: a quarter


def test_what_lies_on_the_left_is_shown_on_the_right():
    maps = phantom.maps()
    width = phantom.SHAPE[0]
    for name, right in (("lung_left", True), ("lung_right", False), ("heart", True)):
        column = np.average(np.arange(width), weights=maps[name].sum(0))
        assert (column > width / 2) == right, name
    ribs = [maps[projection.rib("left", number)] for number in projection.CUT]
    rows = [np.average(np.arange(len(one)), weights=one.sum(1)) for one in ribs]
    assert rows == sorted(rows)  # the first rib is the highest
    assert all(one[:, : width // 2].sum() == 0 < one.sum() for one in ribs)


def test_ribs_are_parted_into_back_and_front():
    maps = phantom.maps()
    depths = dict(zip(projection.NAMES, maps["depths"], strict=True))
    assert depths["ribs_back"] < -40 < 40 < depths["ribs_front"]
    assert depths["spine"] == pytest.approx(-75, abs=3)
    for side in projection.SIDES:
        for number in projection.CUT:
            one = maps[projection.rib(side, number)]
            assert (one <= maps["ribs_back"] + 1e-6).all()


@pytest.mark.parametrize("turn", ["LAS", "RPS", "SAL"])
def test_a_ct_is_read_however_its_axes_lie(tmp_path, turn):
    found = ct.read(*phantom.write(tmp_path, tuple(turn)))
    expected = phantom.scan()
    assert found.voxel == (phantom.VOXEL[0], phantom.VOXEL[1] * ct.THIN, phantom.VOXEL[2])
    if turn == "LAS":
        np.testing.assert_array_equal(found.labels, expected.labels[:, :: ct.THIN])
    for side in projection.SIDES:  # turned axes may start with another plane of the thinned ones
        lungs = [np.isin(one.labels, projection.LUNGS[side]) for one in (found, expected)]
        middles = [np.argwhere(one).mean(0)[[0, 2]] for one in lungs]
        np.testing.assert_allclose(*middles, atol=0.5)


def test_the_table_is_no_part_of_the_body(tmp_path):
    units, labels = phantom.volumes()
    units = units.copy()
    units[20:100, :4] = 100
    found = ct.read(*phantom.write(tmp_path, units=units))
    assert not found.attenuation[:, :2].any()
    lungs = np.isin(labels[:, :: ct.THIN], projection.LUNGS["left"])
    np.testing.assert_allclose(found.attenuation[lungs], ct.WATER / 4, rtol=1e-4)
    bone = found.labels == 35
    inner = found.attenuation[bone]
    np.testing.assert_allclose(inner, ct.WATER * 1.5 * ct.BONE, rtol=1e-4)


def test_files_that_are_no_scan_are_refused(tmp_path):
    scan, labels = phantom.write(tmp_path)
    text = tmp_path / "text.nii.gz"
    text.write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"text\.nii\.gz: .* is text, expected a NIfTI volume"):
        ct.read(text, labels)
    (tmp_path / "short").mkdir()
    short = phantom.write(tmp_path / "short", labels=phantom.volumes()[1][:, :, 2:])[1]
    with pytest.raises(InputError, match=r"labels\.nii\.gz: 120x126x94 voxels.*120x126x96"):
        ct.read(scan, short)
    with pytest.raises(InputError, match=r"labels from -1000 to .* expected TotalSegmentator's"):
        ct.read(scan, scan)


def test_the_anatomy_is_the_same_at_all_sizes():
    coarse, fine = phantom.chest(SIZE), phantom.chest(4 * SIZE)
    axis = np.arange(-100, 100, 5, dtype=np.float32)
    where = np.meshgrid(axis, axis, indexing="ij")
    for name in ("lung_left", "spine", "soft", "thickness_right"):
        one, other = coarse.sample(name, *where), fine.sample(name, *where)
        assert np.abs(one - other).mean() < 0.05 * other.max(), name
    assert coarse.boxes == fine.boxes
    left, right = (fine.boxes[side] for side in projection.SIDES)
    assert left.lateral > left.medial > 0 > right.medial > right.lateral
    assert left.top + left.bottom == pytest.approx(-2 * anatomy.LOWER, abs=4)
    assert 190 < left.bottom - left.top < 230  # its base lies in the belly
    spine = fine.sample(
        "spine", np.zeros((1, 41), np.float32), np.arange(-20.0, 21)[None].astype("f4")
    )
    assert np.average(np.arange(-20, 21), weights=spine[0]) == pytest.approx(0, abs=2)
    for side, sign in (("left", 1), ("right", -1)):
        places = fine.open[side].astype(np.float32)[None]
        assert (sign * places[..., 1] > 0).all()
        assert (fine.sample(f"thickness_{side}", places[..., 0], places[..., 1]) > 40).all()
        assert (fine.sample("belly", places[..., 0], places[..., 1]) < 0.3).all()


def test_the_usual_patient_is_the_one_of_the_ct():
    chest = phantom.chest(SIZE)
    body = habitus.place(chest, habitus.usual(), SIZE)
    down, left = (
        one.astype(np.float32) for one in np.meshgrid(*[anatomy.centers(SIZE)] * 2, indexing="ij")
    )
    for name in projection.NAMES:
        np.testing.assert_allclose(body.maps[name], chest.sample(name, down, left), atol=1e-5)


def test_patients_differ_as_they_were_drawn():
    chest = phantom.chest(SIZE)
    usual = habitus.usual()

    def seen(**changes):
        return habitus.place(chest, replace(usual, **changes), SIZE).maps

    def bottom(map_):
        return np.flatnonzero(map_.sum(1) > 0.02 * map_.sum(1).max())[-1]

    plain = seen()
    deep, shallow = seen(breath=20.0), seen(breath=-20.0)
    assert bottom(shallow["lung_left"]) < bottom(plain["lung_left"]) < bottom(deep["lung_left"])
    np.testing.assert_array_equal(deep["ribs_back"], plain["ribs_back"])
    assert seen(heart=1.2)["heart"].sum() == pytest.approx(1.2**3 * plain["heart"].sum(), rel=0.05)
    assert seen(bone=1.3)["spine"].sum() == pytest.approx(1.3 * plain["spine"].sum(), rel=1e-4)
    turned = seen(tilt=(0.0, 0.1))
    columns = np.arange(SIZE)
    moved = {
        name: np.average(columns, weights=turned[name].sum(0))
        - np.average(columns, weights=plain[name].sum(0))
        for name in ("spine", "heart")
    }
    assert moved["spine"] * moved["heart"] < 0  # back and front turn against each other
    mother = seen(breasts=(habitus.Breast(50.0, 75.0, 60.0, 30.0),))
    assert mother["breast_0"].max() == pytest.approx(30 * habitus.FAT, rel=0.05)
    assert mother["breast_0"][:, : SIZE // 2].max() == 0


def test_random_fields_have_unit_spread_and_do_not_depend_on_the_size():
    rng = np.random.default_rng(0)
    draws = [habitus.draw(rng).bend / 3.5 for _ in range(40)]
    fields = np.stack([habitus.field(one, anatomy.centers(32), habitus.BEND) for one in draws])
    assert fields.std() == pytest.approx(1, abs=0.1)
    assert abs(fields.mean()) < 0.1
    fine = habitus.field(draws[0], anatomy.centers(256), habitus.BEND)
    blocks = fine.reshape(2, 32, 8, 32, 8).mean((2, 4))
    np.testing.assert_allclose(blocks, fields[0], atol=0.02)


@pytest.fixture(scope="module")
def taken():
    """Return a patient's line integrals and a detector that is set up for them."""
    rng = np.random.default_rng(4)
    body = habitus.place(phantom.chest(SIZE), habitus.usual(), SIZE)
    lungs = body.maps["lung_left"] + body.maps["lung_right"]
    return body, exposure.set_up(exposure.draw(rng), rng, body.total(), lungs)


def test_lungs_are_dark_and_the_middle_is_bright(taken):
    body, detector = taken
    film = detector.film(body.total()).astype(float)
    lungs = body.maps["lung_left"] + body.maps["lung_right"] > exposure.AERATED
    shown = detector.exposure
    assert np.median(film[lungs]) == pytest.approx(255 * shown.lung**shown.gamma, abs=3)
    assert film[body.maps["spine"] > 0.5].mean() > np.median(film[lungs]) + 80
    assert film.min() >= 0
    assert (film == 255).mean() < 0.02


def test_noise_is_that_of_counted_rays(taken):
    _, detector = taken
    flat = np.full((SIZE, SIZE), 2.0, np.float32)
    few = replace(
        detector, rays=400.0, exposed=np.ones((SIZE, SIZE), bool),
        window=exposure.Window(0.0, 4.0),
        exposure=replace(detector.exposure, lung=0.0, dense=1.0, gamma=1.0),
    )  # fmt: skip
    film = few.film(flat).astype(float) * 4 / 255
    mean = np.exp(-2) + few.scattered
    assert film.std() == pytest.approx(1 / np.sqrt(400 * mean), rel=0.05)
    assert film.mean() == pytest.approx(-np.log(mean), abs=0.03)


def test_a_pixel_depends_on_its_own_integral_alone(taken):
    body, detector = taken
    total = body.total()
    other = total.copy()
    other[20:24, 30:33] += 0.4
    changed = detector.film(total) != detector.film(other)
    assert changed[20:24, 30:33].all()
    assert changed.sum() == 12


def test_the_collimator_leaves_a_black_edge():
    rng = np.random.default_rng(0)
    drawn = [exposure.draw(rng) for _ in range(300)]
    closed = [one for one in drawn if min(one.field) < anatomy.FIELD / 2]
    assert 60 < len(closed) < 120
    body = habitus.place(phantom.chest(SIZE), habitus.usual(), SIZE)
    detector = exposure.set_up(closed[0], rng, body.total(), body.maps["lung_left"])
    assert 0.8 < detector.exposed.mean() < 1
    assert (detector.film(body.total())[~detector.exposed] == exposure.BLACK).all()
