"""Volumes of one patient as the channels of a scan, and what plainly is another sequence."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
import tifffile

from common.data.raw import BadFile
from common.errors import InputError
from common.pipeline.plan import plan
from common.pipeline.trained import save_index, save_network
from common.study.protocol import Run, Unit
from common.training.loop import checkpoints_of
from common.training.rng import Streams
from papers.__main__ import main
from papers.lgg_attention_unet.config import Config, DataConfig, ModelConfig
from papers.lgg_attention_unet.options import Options
from papers.lgg_attention_unet.predict import predict
from papers.lgg_attention_unet.sequences import check_sequence, read
from papers.lgg_attention_unet.study import STUDY
from papers.lgg_attention_unet.train import BEST, compiled, model_of

CONFIG = replace(
    Config(),
    data=DataConfig(dataset="simulated", height=32, width=32),
    model=ModelConfig(filters=(4, 8)),
)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Return the folder of a run of two seeds, of untrained networks."""
    home = tmp_path_factory.mktemp("home")
    run: Run[Config] = replace(plan(STUDY, "smoke"), config=CONFIG, home=home)
    for seed in (0, 1):
        unit = Unit(run, seed, "attention", "hash")
        programs = compiled(model_of(unit), unit.config.train, 1)
        checkpoints = checkpoints_of(unit.folder, BEST)
        checkpoints.save(1, programs.init(Streams(seed).key("parameters")), {}, {BEST: 1.0})
        checkpoints.end()
        save_network(unit)
        save_index(run, seed, [unit])
    return run.work


def volume(seed: int, shape=(20, 24, 4), affine=AFFINE, descrip="") -> nibabel.Nifti1Image:
    values = np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)
    made = nibabel.Nifti1Image(values, affine)
    made.header["descrip"] = descrip
    return made


def save(made: nibabel.Nifti1Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(made, path)
    return path


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("ann_flair.nii.gz", "flair"),
        ("ann_T2_FLAIR.nii", "flair"),
        ("post_op_7.png", "flair"),
        ("TCGA_CS_4941_19960909_1.tif", "flair"),
        ("sub-01_T1w.nii.gz", "pre"),
        ("sub-01_ce-gadolinium_T1w.nii.gz", "post"),
        ("scan.nii", "post"),
    ],
)
def test_names_that_fit_or_say_nothing_are_taken(name, role):
    check_sequence(Path(name), role)


@pytest.mark.parametrize(
    ("name", "role", "message"),
    [
        ("sub-01_T1w.nii.gz", "flair", "its name says 't1w', T1, and it would be taken as FLAIR"),
        ("ann_t2.nii.gz", "flair", "its name says 't2', T2"),
        ("ann-DWI-3.png", "flair", "its name says 'dwi', no structural MRI"),
        ("ann_flair.nii", "pre", "its name says 'flair', FLAIR, and it would be taken as pre"),
        ("ann_t1ce.nii", "pre", "its name says 't1ce', T1 after contrast"),
        ("ann_pre.nii", "post", "its name says 'pre', T1 before contrast"),
    ],
)
def test_what_plainly_is_another_sequence_is_bad(name, role, message):
    with pytest.raises(BadFile) as reason:
        check_sequence(Path(name), role)
    assert str(reason.value).startswith(message)


def test_a_header_s_description_counts_as_a_name_does(work, tmp_path):
    save(volume(0, descrip="axial T1 MPRAGE"), tmp_path / "in" / "head.nii.gz")
    with pytest.raises(InputError, match=r"head.nii.gz: its header says 'mprage', T1, and it"):
        predict(work, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_volumes_become_channels_on_flair_s_grid(tmp_path):
    flair, post = volume(0), volume(1)
    fine = np.repeat(np.asarray(volume(2).dataobj), 2, axis=2)  # the same, in slices half as thick
    affine = nibabel.affines.from_matvec(np.diag([1.0, 1, 1]), [0, 0, -0.5])
    files = {
        "pre": save(nibabel.Nifti1Image(fine, affine), tmp_path / "a_t1.nii.gz"),
        "flair": save(flair, tmp_path / "a_flair.nii.gz"),
        "post": save(post, tmp_path / "a_t1ce.nii.gz"),
    }
    scan = read(files)
    assert scan.images.shape == (4, 24, 20, 3)
    for channel, true in enumerate((volume(2), flair, post)):
        shown = np.asarray(true.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
        np.testing.assert_allclose(scan.images[..., channel], shown, atol=1e-3)
    alone = read({"flair": files["flair"]})
    np.testing.assert_array_equal(alone.images[..., 0], alone.images[..., 2])


def test_volumes_of_one_patient_are_given_in_place_of_an_input(work, tmp_path, capsys):
    flair = save(volume(0), tmp_path / "in" / "ann_flair.nii.gz")
    post = save(volume(1), tmp_path / "in" / "ann_t1ce.nii.gz")
    command = ["predict", "lgg", "--checkpoint", str(work), "--out", str(tmp_path / "out")]
    flags = ["--flair", str(flair), "--post", str(post), "--probabilities"]
    assert main([*command, *flags]) == 0
    assert "| ann_flair.nii.gz | FLAIR, post | 4 |" in capsys.readouterr().out
    written = nibabel.load(tmp_path / "out" / "ann_flair_probability.nii.gz")
    mask = nibabel.load(tmp_path / "out" / "ann_flair_mask.nii.gz")
    assert written.get_data_dtype() == np.float32
    np.testing.assert_array_equal(written.affine, AFFINE)
    assert not mask.get_fdata()[written.get_fdata() < 0.5].any()
    assert main([*command, *flags, "--input", str(flair)]) == 2
    assert f"--input {flair}: --flair is given; leave one out" in capsys.readouterr().err
    assert main([*command, "--post", str(post)]) == 2
    assert f"--post {post}: give the patient's --flair too" in capsys.readouterr().err
    assert main(command) == 2
    assert "--input: is missing; give a scan" in capsys.readouterr().err
    assert main([*command, "--flair", str(post)]) == 2
    assert "its name says 't1ce', T1 after contrast" in capsys.readouterr().err


def test_the_mean_of_the_seeds_counts_and_a_threshold_moves_the_mask(work, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 32, 3)).astype(np.uint8)
    imageio.imwrite(tmp_path / "1.png", image)

    def maps(place: Path, out: str, **options) -> np.ndarray:
        chosen = Options(probabilities=True, **options)
        predict(place, tmp_path / "1.png", tmp_path / out, options=chosen)
        return tifffile.imread(tmp_path / out / "1_probability.tif")

    every = maps(work, "every")
    alone = [maps(work / f"seed_{seed}", f"seed_{seed}") for seed in (0, 1)]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(every, np.mean(alone, 0), atol=1e-6)
    middle = float(np.median(every))
    maps(work, "chosen", threshold=middle)
    mask = imageio.imread(tmp_path / "chosen" / "1_mask.png")
    np.testing.assert_array_equal(mask > 0, every >= np.float32(middle))
