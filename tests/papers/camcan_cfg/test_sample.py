"""Slices drawn as their user asks: what is written, what is asked for, what is refused."""

import csv
from dataclasses import asdict
from pathlib import Path

import imageio.v3 as imageio
import jax
import nibabel
import numpy as np
import pytest

from common.errors import InputError
from common.pipeline.plan import resolved
from common.study import experiment as experiments
from common.study.options import flagged
from common.training import network_files
from papers.camcan_cfg.options import Sampling
from papers.camcan_cfg.sample import Condition, Learned, conditions_of, nifti, sample
from papers.camcan_cfg.study import STUDY
from papers.camcan_cfg.train import compiled

PARTS = {"train": {"age_min": 20.0, "age_max": 80.0, "slice_min": 41, "slice_max": 48}}
LEARNED = Learned((20.0, 80.0), (41, 48))
CONFIG = resolved(STUDY, experiments.load(STUDY.experiments, "smoke"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with an untrained network of the smoke run's size."""
    state = compiled(CONFIG, 1).init(jax.random.key(0))
    # its last layer begins at zero, and would draw the same for all ages
    params = jax.tree.map(lambda leaf: leaf + 0.05, state.params)
    file = tmp_path_factory.mktemp("networks") / "seed_0.safetensors"
    described = {
        "study": STUDY.name,
        "experiment": "smoke",
        "scale": "smoke",
        "networks": {"denoiser": "denoiser-key/seed_0"},
        "config": asdict(CONFIG),
        "data": {"parts": PARTS, "title": "x", "stand_in": True, "license": "CC0"},
    }
    kept = {"denoiser": ("params",)}
    network_files.save(file, {"denoiser": state._replace(params=params)}, kept, described)
    return file


def given(*flags: object) -> Sampling:
    return flagged(Sampling(), [str(flag) for flag in flags])


def test_slices_lie_beside_a_grid_and_a_table(network: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", ("--age", "25,75.5", "--sex", "f", "--slice", 43)
    rows = sample(network, out, given(*asked, "--count", 2, "--seed", 7, "--steps", 2))
    names = [f"age{age}_F_slice43_seed{seed}" for age in ("25", "75.5") for seed in (7, 8)]
    assert [row["image"] for row in rows] == [f"{name}.png" for name in names]
    made = {f"{name}{end}" for name in names for end in (".png", ".nii.gz")}
    assert {file.name for file in out.iterdir()} == made | {"grid.png", "samples.csv"}
    images = [imageio.imread(out / f"{name}.png") for name in names]
    assert {image.shape for image in images} == {(CONFIG.data.width, CONFIG.data.height)}
    assert len({image.tobytes() for image in images}) == 4
    volume = nibabel.load(out / f"{names[0]}.nii.gz")
    np.testing.assert_array_equal(np.rot90(volume.get_fdata()[..., 0]), images[0])
    with (out / "samples.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["image"] for row in table] == [row["image"] for row in rows]
    assert (table[3]["age"], table[3]["guidance"]) == ("75.5", "3.0")
    before = {file: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(InputError, match=r"seed7\.png is there already; give another folder"):
        sample(network, out, given(*asked, "--seed", 7))
    assert before == {file: file.read_bytes() for file in out.iterdir()}
    alone = sample(network, tmp_path / "one", given(*asked[2:], "--age", 75.5, "--seed", 8,
                                                    "--steps", 2))  # fmt: skip
    assert Path(alone[0]["written"][0]).read_bytes() == before[out / f"{names[3]}.png"]


def test_what_is_not_said_is_chosen_from_what_was_learned() -> None:
    asked = conditions_of(given(), LEARNED)
    assert asked == [Condition(age, sex, 44) for age in (35.0, 50.0, 65.0) for sex in (1, 2)]
    asked = conditions_of(given("--age", "30,30", "--sex", "Male", "--slice", "41, 48"), LEARNED)
    assert asked == [Condition(30.0, 2, 41), Condition(30.0, 2, 48)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--age", "81"), "--age 81: not learned; give one from 20 to 80"),
        (("--age", "nan"), "--age nan: not learned"),
        (("--age", "25;75"), "--age 25;75: give numbers, separated by commas"),
        (("--slice", "20"), "--slice 20: not learned; give one from 41 to 48"),
        (("--slice", "41.5"), "--slice 41.5: give whole numbers, separated by commas"),
        (("--sex", "F,X"), "--sex X: give F, M, or F,M"),
        (("--guidance", "-1"), "--guidance = -1: expected"),
        (("--count", "0"), "--count = 0: expected"),
        (("--seed", "4294967295", "--count", "2"), "the last of 2 would be above"),
        (("--steps", "5000"), "sample.steps: 5000 of a schedule of 1000"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    flags: tuple[str, ...], message: str, network: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        sample(network, tmp_path / "out", given(*flags))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_nifti_lies_in_the_head_where_its_place_is_known(tmp_path: Path) -> None:
    image = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    file = tmp_path / "a.nii.gz"
    known = {"simulated": (160 / 48, 213.4 / 64, 1, 13), "camcan": (-182 / 48, 218 / 64, 2, 8)}
    for dataset, (*sides, z) in known.items():
        file.write_bytes(nifti(image, 40, dataset))
        affine = nibabel.load(file).affine
        np.testing.assert_allclose(np.diag(affine), [*sides, 1], rtol=1e-5)
        np.testing.assert_allclose(affine @ [23.5, 31.5, 0, 1], [0, -18, z, 1], atol=1e-3)
    file.write_bytes(nifti(image, 40, "lgg_flair"))
    assert nibabel.load(file).header["sform_code"] == 0
