"""Simulation on users' own photos: what is asked of which model, of which part of the photo."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import imageio.v3 as imageio
import jax
import numpy as np
import pytest
from PIL import Image

from common import sealed
from common.errors import InputError
from common.pipeline.trained import INDEX, NETWORK, find
from common.study.options import flagged
from common.training.loop import checkpoints_of
from papers.surgical_vision import framing
from papers.surgical_vision import predict as module
from papers.surgical_vision.config import Config
from papers.surgical_vision.families import recipe_of
from papers.surgical_vision.options import Options
from papers.surgical_vision.photos import find as finding
from papers.surgical_vision.predict import NOTICE, Operation, predict, sheet
from papers.surgical_vision.variants import MODELS

SIZE = 32
PUBLISHED = Config()
CONFIG = replace(
    PUBLISHED,
    data=replace(PUBLISHED.data, size=SIZE),
    pix2pix=replace(PUBLISHED.pix2pix, downs=4),
    stargan=replace(PUBLISHED.stargan, filters=4, blocks=1, discriminator_filters=4,
                    discriminator_layers=3),
    diffusion=replace(PUBLISHED.diffusion, weights="stable-diffusion-v1-5"),
)  # fmt: skip
TRAINED = ("autoencoder", "pix2pix", "stargan", "starganv2", "stable_diffusion_lora")


def seed_folder(folder: Path, config: Config = CONFIG, networks: tuple = TRAINED) -> Path:
    """Return the folder of a seed whose networks lie beside each other, without checkpoints."""
    folder.mkdir(parents=True)
    index = {
        "study": "surgical_vision",
        "seed": 0,
        "config": asdict(config),
        "networks": {name: name for name in networks},
    }
    (folder / INDEX).write_text(sealed.seal(index))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return a seed's folder of a study of pairs, with an untrained StarGAN in it."""
    folder = seed_folder(tmp_path_factory.mktemp("home") / "seed_0")
    state = jax.jit(recipe_of("stargan", CONFIG).init)(jax.random.key(0), None)
    checkpoints = checkpoints_of(folder / "stargan")
    checkpoints.save(1, state, {}, {})
    checkpoints.end()
    return folder


def on(folder: Path, dataset: str) -> Path:
    """Return the folder of a seed of a study of other data."""
    return seed_folder(folder, replace(CONFIG, data=replace(CONFIG.data, dataset=dataset)))


@pytest.fixture
def asked(monkeypatch) -> list:
    """Put a model in place that adds 0.1, 0.2, 0.4 times its label; return what it was asked."""
    calls = []

    def translate(weights, faces):
        calls.append((weights, faces))
        added = (np.asarray(faces.label) * [0.1, 0.2, 0.4]).sum(1)[:, None, None, None]
        return faces.image / 127.5 - 1 + 2 * added

    def load_model(name, config, folder):
        return replace(recipe_of(name, CONFIG), translate=translate), name

    monkeypatch.setattr(module, "load_model", load_model)
    return calls


def photo(folder: Path, name: str = "ann.png", shape: tuple = (40, 60)) -> Path:
    """Write an image of random blocks, all below 77, and return its file."""
    folder.mkdir(exist_ok=True)
    blocks = np.random.default_rng(len(name)).integers(0, 77, (shape[0] // 4, shape[1] // 4, 3))
    imageio.imwrite(folder / name, np.kron(blocks, np.ones((4, 4, 1))).astype(np.uint8))
    return folder / name


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_photo_gets_each_operation_and_a_sheet(run, asked, tmp_path, capsys):
    source = photo(tmp_path / "in")
    before = source.read_bytes()
    (row,) = predict(run, source, tmp_path / "out")
    ends = ["eyes_simulated", "nose_simulated", "chin_simulated", "sheet"]
    written = [tmp_path / "out" / f"ann_stargan_{end}.png" for end in ends]
    assert row.pop("written") == [str(path) for path in written]
    assert names(tmp_path / "out") == sorted(path.name for path in written)
    middle = framing.middle(imageio.imread(source), SIZE)
    for path, added in zip(written[:-1], (25.5, 51, 102), strict=True):
        image = imageio.imread(path)
        assert image.shape == (SIZE, SIZE, 3)
        np.testing.assert_allclose(image, middle + added, atol=0.51)
    assert row.pop("change") == pytest.approx((25.5 + 51 + 102) / 3, abs=0.3)
    assert row == {"file": "ann.png", "model": "stargan", "operations": "eyes; nose; chin"}
    assert imageio.imread(written[-1]).ndim == 3
    assert f"model: {run / 'stargan'}" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_domains_and_strengths_are_what_the_model_is_told(run, asked, tmp_path):
    given = ["--domains=chin+nose,eyes, nose+chin", "--strengths", "0.5,1,0.5", "--seed=7"]
    (row,) = predict(run, photo(tmp_path / "in"), tmp_path / "out",
                     options=flagged(Options(), given))  # fmt: skip
    told = [np.asarray(faces.label) for _, faces in asked]
    np.testing.assert_array_equal(
        np.concatenate(told), [[0, 0.5, 0.5], [0.5, 0, 0], [0, 1, 1], [1, 0, 0]]
    )
    assert all(label.dtype == np.float32 for label in told)
    assert len({np.asarray(faces.seed).tobytes() for _, faces in asked}) == 1  # comparable
    assert row["operations"] == "nose + chin, 50%; eyes, 50%; nose + chin; eyes"
    assert [Path(path).name for path in row["written"]] == [
        "ann_stargan_nose+chin_50_simulated.png", "ann_stargan_eyes_50_simulated.png",
        "ann_stargan_nose+chin_simulated.png", "ann_stargan_eyes_simulated.png",
        "ann_stargan_sheet.png",
    ]  # fmt: skip


def test_models_of_one_operation_and_of_whole_ones_are_asked_so(run, asked, tmp_path):
    source = photo(tmp_path / "in")
    (row,) = predict(run, source, tmp_path / "out", options=Options(model="pix2pix"))
    assert [Path(path).name for path in row["written"]] == [
        "ann_pix2pix_simulated.png", "ann_pix2pix_sheet.png"
    ]  # fmt: skip
    assert row["operations"] == "simulated"
    predict(run, source, tmp_path / "out", options=Options("starganv2", ("nose",)))
    assert [(name, faces.label.tolist()) for name, faces in asked] == [
        ("pix2pix", [[0, 0, 0]]), ("starganv2", [[0, 1, 0]])
    ]  # fmt: skip
    assert all(faces.label.dtype == np.uint8 for _, faces in asked)  # a prompt's are, too


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--model=stargam", "--model stargam: not trained there, did you mean 'stargan'"),
        ("--model vae", "--model vae: not trained there"),
        ("--domains nose+jaw", r"--domains nose\+jaw: 'jaw'\? choose one of chin, eyes, nose"),
        ("--strengths 1.5", "--strengths = 1.5: expected more than 0 to 1"),
        ("--strengths=0", "--strengths = 0: expected more than 0 to 1"),
        ("--strengths=", "expected at least 1 values"),
        ("--strength 1", "no such flag, did you mean '--strengths'"),
        (
            "--model pix2pix --domains eyes",
            r"--domains eyes: pix2pix takes none.*\(stargan, starganv2\)",
        ),
        ("--model stable_diffusion_lora --domains eyes", "eyes: stable_diffusion_lora takes none"),
        (
            "--model starganv2 --strengths 0.5",
            r"--strengths 0.5: starganv2 knows the whole.*\(stargan\)",
        ),
    ],
)
def test_what_a_model_cannot_be_asked_is_said(given, message, run, asked, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        predict(run, photo(tmp_path / "in"), tmp_path / "out",
                options=flagged(Options(), given.split()))  # fmt: skip
    assert "\n" not in str(error.value)
    assert not asked
    assert not (tmp_path / "out").exists()


def test_the_plain_stargan_is_the_default_or_what_is_there(tmp_path):
    def there(*networks):
        folder = seed_folder(tmp_path / "-".join(networks), networks=networks)
        return find(folder, "surgical_vision", Config())

    assert module.model_of(there("autoencoder", "stargan_sa", "stargan"), "") == "stargan"
    assert module.model_of(there("latent_autoencoder", "gan", "vae"), "") == "vae"
    with pytest.raises(InputError, match="holds none of the models"):
        module.model_of(there("latent_autoencoder"), "")
    told = {name for name in MODELS if module._is_told(name)}
    assert told == {name for name in MODELS if "stargan" in name} | {"stable_diffusion"}


def test_the_network_itself_follows_its_label_and_no_other_photo(run, tmp_path):
    source = photo(tmp_path / "in").parent
    options = Options(domains=("eyes", "chin"), strengths=(0.5, 1.0))
    (alone,) = predict(run, source, tmp_path / "alone", options=options)
    images = [imageio.imread(path) for path in alone["written"][:-1]]
    assert len({image.tobytes() for image in images}) == 4
    photo(source, "a.jpg")
    first, second = predict(run, source, tmp_path / "both", options=options)
    assert (first["file"], second["file"]) == ("a.jpg", "ann.png")
    assert second["change"] == alone["change"]
    for path in alone["written"]:
        assert Path(path).read_bytes() == (tmp_path / "both" / Path(path).name).read_bytes()


def test_a_single_network_s_folder_is_enough_and_a_missing_checkpoint_told(run, tmp_path):
    described = {"study": "surgical_vision", "network": "stargan", "config": asdict(CONFIG)}
    (run / "stargan" / NETWORK).write_text(sealed.seal(described))
    source = photo(tmp_path / "in")
    assert predict(run / "stargan", source, tmp_path / "out")[0]["model"] == "stargan"
    with pytest.raises(InputError, match=r"autoencoder.*no checkpoint"):
        predict(run, source, tmp_path / "other", options=Options(model="autoencoder"))
    assert not (tmp_path / "other").exists()


def test_a_turned_photo_is_upright_and_nothing_of_its_header_kept(
    run, asked, tmp_path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    upright = photo(tmp_path / "in", "a.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "SECRET"  # lies on its left; a description
    turned = Image.open(upright).rotate(90, expand=True)
    turned.save(tmp_path / "in" / "b.png", exif=exif)
    rows = predict(run, tmp_path / "in", tmp_path / "out")
    for one, other in zip(rows[0]["written"][:-1], rows[1]["written"][:-1], strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()
    made = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "in"]
    assert sorted(made) == sorted(Path(path) for row in rows for path in row["written"])
    assert not any(b"SECRET" in path.read_bytes() for path in made)


def test_bad_photos_are_named_before_anything_is_written(run, asked, tmp_path):
    source = photo(tmp_path / "in").parent
    photo(source, "small.png", (12, 60))
    (source / "broken.jpg").write_bytes(b"no photo")
    (source / "ann_stargan_eyes_simulated.png").write_bytes(b"made, and so not read")
    (source / "ann_stargan_sheet.png").write_bytes(b"made, too")
    with pytest.raises(InputError, match="2 bad") as error:
        predict(run, source, tmp_path / "out")
    assert "small.png: is 60x12, expected at least 16 pixels a side" in str(error.value)
    assert "broken.jpg: cannot be read" in str(error.value)
    assert not (tmp_path / "out").exists()
    assert len(predict(run, source, tmp_path / "out", True)) == 1
    with pytest.raises(InputError, match="is there, among the input"):
        predict(run, source, source, True)
    photo(source, "ann.jpg")
    with pytest.raises(InputError, match=r"two inputs would both become .*ann_stargan_eyes"):
        predict(run, source, tmp_path / "out", True)


@pytest.mark.parametrize("dataset", ["heads", "photos"])
def test_a_face_that_is_not_found_is_said(dataset, run, asked, tmp_path, monkeypatch):
    nothing = np.zeros((1, finding.CELLS**2, 16)), np.full((1, finding.CELLS**2, 1), -9.0)
    blind = finding.Finder(lambda image: nothing, None, 8, 8)
    monkeypatch.setattr(finding, "finder", lambda: blind)
    with pytest.raises(InputError, match=r"ann.png: shows no face; give one seen from the front"):
        predict(on(tmp_path / "seed_0", dataset), photo(tmp_path / "in"), tmp_path / "out")


def test_a_sheet_shows_the_faces_as_they_are_and_promises_nothing():
    face = np.full((SIZE, SIZE, 3), 10, np.uint8)
    made = np.stack([face + i for i in range(1, 5)])
    asked = [Operation((name,), s) for s in (0.5, 1.0) for name in ("eyes", "chin")]
    figure = sheet(face, made, asked, "ann.png: StarGAN")
    assert figure.get_supxlabel() == NOTICE
    assert figure.get_suptitle() == "ann.png: StarGAN"
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["before", "eyes, 50%", "chin, 50%", "before", "eyes", "chin"]
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert [image[0, 0, 0] for image in shown] == [10, 11, 12, 10, 13, 14]
    assert all(image.shape == (SIZE, SIZE, 3) for image in shown)
    drawn = imageio.imread(module.png(figure))
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 40)
    assert red.sum() > 300  # the notice's letters, and nothing else is red
    assert red[: len(red) // 2].sum() == 0
