"""Prediction on users' own scans: masks land where the bright blob is, in the input's own form."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
import tifffile

from common import sealed
from common.errors import InputError
from common.pipeline.plan import plan
from common.pipeline.trained import NETWORK, TUNED, find, save_index, save_network
from common.study.protocol import Run, Unit
from common.training.loop import checkpoints_of
from common.training.rng import Streams
from papers.lgg_attention_unet import predict as module
from papers.lgg_attention_unet.config import Config, DataConfig, ModelConfig
from papers.lgg_attention_unet.model import AttentionUNet
from papers.lgg_attention_unet.predict import predict
from papers.lgg_attention_unet.study import STUDY
from papers.lgg_attention_unet.train import BEST, compiled, model_of

CONFIG_OF_NETWORK = replace(
    Config(),
    data=DataConfig(dataset="simulated", height=32, width=32),
    model=ModelConfig(filters=(4, 8)),
)


@pytest.fixture(scope="module")
def unit(tmp_path_factory) -> Unit[Config]:
    """Return an untrained network, laid out as training does, with the index of its seed."""
    home = tmp_path_factory.mktemp("home")
    run: Run[Config] = replace(plan(STUDY, "smoke"), config=CONFIG_OF_NETWORK, home=home)
    unit = Unit(run, 0, "attention", "hash")
    programs = compiled(model_of(unit), unit.config.train, 1)
    state = programs.init(Streams(0).key("parameters"))
    checkpoints = checkpoints_of(unit.folder, BEST)
    checkpoints.save(1, state, {}, {BEST: 1.0})
    checkpoints.end()
    save_network(unit)
    save_index(run, 0, [unit])
    return unit


@pytest.fixture(scope="module")
def run(unit) -> Path:
    """Return the run's folder."""
    return unit.run.work


class Threshold:
    """Stands for the network: tumor is where FLAIR is bright; remembers what it was given."""

    stacks: list = []  # noqa: RUF012

    def __init__(self, network, config):
        self.size = config.evaluate.batch_size

    def __call__(self, stack):
        self.stacks.append((stack.images.shape, self.size))
        return (stack.images[..., 1] > 128).astype(np.float32) * 0.9


@pytest.fixture
def bright(monkeypatch) -> list:
    """Put the threshold in the network's place; return the shapes and batch sizes it got."""
    monkeypatch.setattr(module, "StackPredictor", Threshold)
    monkeypatch.setattr(module, "trained_network", lambda *_: None)
    monkeypatch.setattr(Threshold, "stacks", [])
    return Threshold.stacks


def blob(height: int, width: int, channels: int = 0) -> np.ndarray:
    image = np.full((height, width, *[channels] * bool(channels)), 40, np.uint8)
    image[3:9, 5:11] = 200
    return image


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("end", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("channels", [0, 3])
def test_images_get_masks_of_their_own_kind_and_size(end, channels, run, bright, tmp_path):
    image = blob(24, 40, channels)
    source = tmp_path / f"slice_7{end}"
    (imageio if end == ".png" else tifffile).imwrite(source, image)
    (row,) = predict(run, source, tmp_path / "out")
    assert names(tmp_path / "out") == [f"slice_7_mask{end}", "slice_7_overlay.png"]
    mask_file, overlay_file = map(Path, row.pop("written"))
    mask = (imageio if end == ".png" else tifffile).imread(mask_file)
    flair = image[..., 1] if channels else image
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(flair > 128, 255, 0))
    assert row == {
        "file": source.name,
        "taken as": "pre, FLAIR, post" if channels else "FLAIR",
        "slices": 1,
        "tumor_pixels": 36,
        "ml": None,
        "highest": pytest.approx(0.9),
    }
    overlay = imageio.imread(overlay_file)
    assert overlay.shape == (24, 40, 3)
    assert (overlay == (255, 0, 0)).all(-1).sum() == 20  # the rim of 6 x 6 pixels
    np.testing.assert_array_equal(overlay[mask == 0], 40)
    assert bright == [((1, 24, 40, 3), 1)]  # no batch is filled up with empty slices


def test_a_folder_keeps_its_layout_and_patients_stay_together(run, bright, tmp_path):
    source = tmp_path / "in"
    for name in ("a/s_2.tif", "a/s_10.tif", "a/s_2_mask.tif", "b/c/s_1.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        image = blob(32, 32, 3)
        (tifffile if name.endswith("tif") else imageio).imwrite(source / name, image)
    before = {name: (source / name).read_bytes() for name in names(source)}
    rows = predict(run, source, tmp_path / "out")
    assert [row["file"] for row in rows] == ["a/s_2.tif", "a/s_10.tif", "b/c/s_1.png"]
    assert names(tmp_path / "out") == [
        "a/s_10_mask.tif", "a/s_10_overlay.png", "a/s_2_mask.tif", "a/s_2_overlay.png",
        "b/c/s_1_mask.png", "b/c/s_1_overlay.png",
    ]  # fmt: skip
    assert bright == [((2, 32, 32, 3), 2), ((1, 32, 32, 3), 2)]
    with pytest.raises(InputError, match=r"s_2_mask.tif is there, among the input"):
        predict(run, source, source)
    assert before == {name: (source / name).read_bytes() for name in names(source)}


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PSR", "SLA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_volume_s_mask_lies_on_its_blob_in_its_own_voxels(axes, channels, run, bright, tmp_path):
    voxels = np.full((9, 12, 15), 10, np.int16)
    voxels[1:4, 6:10, 2:7] = 900
    directions = ("RL", "AP", "SI")
    affine = np.zeros((4, 4))
    for axis, letter in enumerate(axes):
        row = next(i for i, pair in enumerate(directions) if letter in pair)
        affine[row, axis] = 2 if letter in "RAS" else -2
    affine[:, 3] = (-9, 8, 7, 1)
    whole = voxels if channels == 1 else np.stack([voxels * 0 + 1, voxels, voxels * 0 + 1], -1)
    source = tmp_path / "head.nii.gz"
    nibabel.save(nibabel.Nifti1Image(whole, affine), source)
    (row,) = predict(run, source, tmp_path / "out")
    assert names(tmp_path / "out") == ["head_mask.nii.gz", "head_overlay.png"]
    mask = nibabel.load(tmp_path / "out" / "head_mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, affine)
    np.testing.assert_array_equal(mask.get_fdata(), voxels == 900)
    assert (row["tumor_pixels"], row["ml"]) == (60, pytest.approx(60 * 8 / 1000))
    assert row["slices"] == voxels.shape[axes.index("S")]


def test_a_volume_is_shown_in_square_pixels(run, bright, tmp_path):
    source = tmp_path / "coronal.nii"  # read from the front to the back in slices of 5 mm
    voxels = np.full((40, 10, 3), 40, np.uint8)
    voxels[10:20, 3:6, 1] = 200
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 5, 1, 1])), source)
    predict(run, source, tmp_path / "out")
    assert bright == [((3, 50, 40, 3), 3)]
    mask = nibabel.load(tmp_path / "out" / "coronal_mask.nii")
    np.testing.assert_array_equal(mask.get_fdata(), voxels > 128)
    assert imageio.imread(tmp_path / "out" / "coronal_overlay.png").ndim == 3


class Bright(AttentionUNet):
    """A network that finds tumor where FLAIR is above 128."""

    def __init__(self):
        pass

    def __call__(self, images):
        return 100 * (255 * images[..., 1:2] - 128)

    def with_gates(self, images):
        return self(images), []


@pytest.mark.parametrize("shape", [(20, 32), (32, 23)])
def test_other_proportions_are_framed_and_cut_again(shape, run, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "trained_network", lambda *_: Bright())
    image = blob(*shape)
    imageio.imwrite(tmp_path / "1.png", image)
    predict(run, tmp_path / "1.png", tmp_path / "out")
    found = imageio.imread(tmp_path / "out" / "1_mask.png")
    np.testing.assert_array_equal(found > 0, image > 128)


def test_the_network_itself_sees_any_size(unit, run, tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    for number, shape in enumerate([(48, 30), (48, 30), (16, 16, 3)]):
        image = np.random.default_rng(number).integers(0, 60000, shape).astype(np.uint16)
        tifffile.imwrite(source / f"{number}.tif", image)
    rows = predict(run, source, tmp_path / "out")
    assert f"network: {unit.folder}" in capsys.readouterr().err
    assert all(0 < row["highest"] < 1 for row in rows)
    assert tifffile.imread(tmp_path / "out" / "1_mask.tif").shape == (48, 30)


def test_a_bad_file_stops_everything_before_anything_is_written(run, bright, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    imageio.imwrite(source / "1.png", blob(32, 32))
    (source / "2.png").write_bytes((source / "1.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"1 bad.*\n  2.png: cannot be read"):
        predict(run, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(predict(run, source, tmp_path / "out", skip_bad=True)) == 1
    assert names(tmp_path / "out") == ["1_mask.png", "1_overlay.png"]


def test_an_error_while_segmenting_leaves_nothing_of_the_patient(
    run, bright, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "overlays", lambda *_: 1 / 0)
    imageio.imwrite(tmp_path / "1.png", blob(32, 32))
    with pytest.raises(ZeroDivisionError):
        predict(run, tmp_path / "1.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_networks_are_found_or_missed_by_name(unit, run, tmp_path):
    for place in (run, run / "seed_0", unit.folder):
        found = find(place, STUDY.name, Config())
        assert found.folder("attention").resolve() == unit.folder.resolve()
        assert found.config == CONFIG_OF_NETWORK
    with pytest.raises(InputError, match="nowhere: no such folder"):
        find(tmp_path / "nowhere", STUDY.name, Config())
    with pytest.raises(InputError, match="no network there or below"):
        find(tmp_path, STUDY.name, Config())
    with pytest.raises(InputError, match="holds networks of lgg_attention_unet, not of other"):
        find(run, "other", Config())


def test_the_tuned_threshold_is_the_one_that_predicts(run):
    (run / "seed_0" / TUNED).write_text(sealed.seal({"evaluate.threshold": 0.3}))
    assert find(run, STUDY.name, Config()).config.evaluate.threshold == 0.3
    (run / "seed_0" / TUNED).unlink()
    assert find(run, STUDY.name, Config()).config.evaluate.threshold == 0.5


def described(config) -> str:
    content = {"study": STUDY.name, "network": "attention", "seed": 0, "config": config}
    return sealed.seal(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"study": "x"}', "damaged, or of another version; train again"),
        (described({"model": {"filtres": [4, 8]}}), "did you mean 'model.filters'"),
        (described({"model": {"gates": 3}}), "must be true or false"),
    ],
)
def test_a_config_that_does_not_fit_is_named(content, message, tmp_path):
    (tmp_path / NETWORK).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        find(tmp_path, STUDY.name, Config())
    assert str(tmp_path / NETWORK) in str(error.value)


def test_a_network_without_checkpoint_is_told(tmp_path):
    (tmp_path / NETWORK).write_text(described({}))
    imageio.imwrite(tmp_path / "1.png", blob(32, 32))
    with pytest.raises(InputError, match="no checkpoint"):
        predict(tmp_path, tmp_path / "1.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()
