"""Films drawn as their user asks: what is written, what is asked of the engine, what is refused."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common import paths
from common.errors import InputError
from common.pipeline.trained import find
from common.study.options import described_flags, flagged
from papers.rare_disease_controlnet import sample as module
from papers.rare_disease_controlnet.config import Config, SynthesisConfig
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.lineage import read
from papers.rare_disease_controlnet.options import Sampling
from papers.rare_disease_controlnet.sample import NOTICE, PRESETS, asked, sample, sheet
from tests.papers.rare_disease_controlnet.film_files import SECRETS, blocks, write, write_dicom
from tests.papers.rare_disease_controlnet.small_engine import (  # noqa: F401
    CONFIG,
    SIZE,
    few_words,
)
from tests.papers.rare_disease_controlnet.small_run import (
    ADAPTED,
    DATA,
    engine,
    seed_folder,
)

pytestmark = pytest.mark.usefixtures("few_words")


@pytest.fixture
def home(tmp_path_factory, monkeypatch, few_words) -> Path:  # noqa: F811
    """Return a home with one trained seed, which is laid out once."""
    folder = tmp_path_factory.getbasetemp() / "sampling"
    monkeypatch.setenv("REPLICATIONS_HOME", str(folder))
    if not folder.exists():
        seed_folder(folder, engine())
    return folder


def given(*flags: object) -> Sampling:
    return flagged(Sampling(), [str(flag) for flag in flags])


def test_films_lie_beside_what_makes_them_again(home, tmp_path):
    film = write(tmp_path / "films" / "ann.png", blocks("ann", 80, 96))
    mask = np.zeros((80, 96), np.uint8)
    mask[:40, :60] = 255
    flags = ["--side", "left", "--extent", 0.9, "--count", 3, "--seed", 7, "--structure", film]
    out = tmp_path / "out"
    rows = sample(None, out, given(*flags, "--region", write(tmp_path / "mask.png", mask)))
    assert [row["seed"] for row in rows] == [7, 8, 9]
    assert [row["film"] for row in rows] == [f"pneumothorax_left_{n}.png" for n in (7, 8, 9)]
    (followed,) = out.glob("structure_*.png")
    (region,) = out.glob("region_*.png")
    structure = png.decoded(followed.read_bytes(), "structure")
    inside = png.decoded(region.read_bytes(), "region") > 0
    assert inside.any()
    assert not inside[SIZE // 2 + 2 :].any()
    films = []
    for row in rows:
        image, told = (Path(name) for name in row["written"])
        lineage, content = read(told), image.read_bytes()
        assert lineage.output == row["sha256"] == digest(content)
        assert lineage.spec.structure == digest(followed.read_bytes())
        assert lineage.spec.region == digest(region.read_bytes())
        assert (lineage.spec.seed, lineage.spec.control) == (row["seed"], "canny")
        assert lineage.spec.prompt.startswith("frontal chest X-ray showing large pneumothorax on")
        assert lineage.engine.data == DATA
        assert {part.name for part in lineage.engine.networks} == {
            "vae", "unet", "text", "controlnet"
        }  # fmt: skip
        assert any(ADAPTED in network.key for network in lineage.engine.networks)
        films.append(png.decoded(content, image.name))
    np.testing.assert_array_equal(films[0][~inside], structure[~inside])
    assert len({one[inside].tobytes() for one in films}) == 3
    names = {path.name for path in out.iterdir()}
    assert names == {Path(name).name for row in rows for name in row["written"]} | {
        followed.name, region.name, "pneumothorax_left_7_sheet.png"
    }  # fmt: skip
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match=r"pneumothorax_left_9\.png is there already; give anoth"):
        sample(None, out, given("--side", "left", "--seed", 9))
    assert before == {path: path.read_bytes() for path in out.iterdir()}


def test_a_film_is_the_same_whatever_is_drawn_beside_it(home, tmp_path):
    structure = ["--structure", write(tmp_path / "film.png", blocks("film", SIZE, SIZE))]
    rows = sample(None, tmp_path / "six", given(*structure, "--count", 6, "--seed", 1))
    (alone,) = sample(None, tmp_path / "one", given(*structure, "--seed", 5))
    assert alone["sha256"] == rows[4]["sha256"]
    assert len({row["sha256"] for row in rows}) == 6


def test_the_structure_and_every_word_count(home, tmp_path, monkeypatch):
    films = [write(tmp_path / f"{name}.png", blocks(name, SIZE, SIZE)) for name in "ab"]
    made = module.maker_of(find(home, "rare_disease_controlnet", Config()), CONFIG, 4)
    monkeypatch.setattr(module, "maker_of", lambda _, config, count: replace(made, config=config))
    asked_for = [
        [], ["--label", "normal"], ["--label", "Effusion"], ["--structure", films[0]],
        ["--structure", films[1]], ["--structure", films[0], "--control", 2],
        ["--side", "left"], ["--extent", 1], ["--guidance", 2], ["--negative", "left"],
        ["--prompt", "chest <effusion>"], ["--seed", 1],
    ]  # fmt: skip
    films = [
        sample(None, tmp_path / str(number), given(*flags))[0]["sha256"]
        for number, flags in enumerate(asked_for)
    ]
    assert len(set(films)) == len(films)
    assert (tmp_path / "1" / "normal_0.png").exists()
    assert (tmp_path / "2" / "effusion_0.json").exists()
    lineage = read(tmp_path / "0" / "pneumothorax_0.json")
    assert (lineage.spec.control, lineage.spec.strength) == ("none", 0)
    assert lineage.spec.structure is None
    assert lineage.spec.extent is None


def test_nothing_of_a_dicom_files_header_is_kept(home, tmp_path):
    film = write_dicom(tmp_path / "in" / "IM1", blocks("x", 64, 64))
    sample(None, tmp_path / "out", given("--structure", film, "--count", 1))
    for file in (tmp_path / "out").iterdir():
        text = file.read_bytes()
        for secret in (*SECRETS.values(), "IM1"):
            assert secret.encode() not in text
            assert secret not in file.name


def test_flags_go_before_the_preset_and_that_before_the_experiment():
    options = SynthesisConfig(steps=20, guidance=5.0, control=0.7, canny_low=30)
    assert asked(options, Sampling()) == options
    preset = asked(options, replace(Sampling(), preset="faithful"))
    assert preset == replace(options, control=1.0, guidance=3.0)
    flags = given("--preset", "faithful", "--guidance", 9, "--structure", "x", "--canny-low", 5)
    assert asked(options, flags) == replace(options, control=1.0, guidance=9.0, canny_low=5)
    source = asked(replace(options, batch_size=3), replace(Sampling(), preset="source"))
    assert source == replace(SynthesisConfig(), batch_size=3)
    assert asked(options, replace(Sampling(), preset="free")).control == 0
    assert asked(options, given("--negative", "")).negative == ""
    for name, preset in PRESETS.items():
        flags = [f"--{key.replace('_', '-')}={value}" for key, value in preset.items()]
        assert bool(name) == bool(flags)
        assert given("--structure", "x", *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--label cat", "--label cat: not learned, choose one of effusion, normal, pneumothorax"),
        ("--label pneumotorax", r"not learned, did you mean 'pneumothorax'\?"),
        ("--label normal --side left", "--side left: a normal film has no finding"),
        ("--label normal --extent 0.5", "--extent 0.5: a normal film has no finding"),
        ("--side up", '--side = "up": not a valid value'),
        ("--extent 2", "--extent = 2: expected from 0 to 1"),
        ("--count 0", "--count = 0: expected from 1 to 10,000"),
        ("--count many", '--count = "many": must be a whole number'),
        ("--seed -1", "--seed = -1: expected from 0"),
        ("--seed 4294967295 --count 2", "--seed 4294967295: the last of 2 would be above"),
        ("--guidance 0.5", "--guidance = 0.5: expected from 1 to 30"),
        ("--steps 5", "--steps = 5: expected from 10 to 100"),
        ("--sampler unpic", "--sampler = \"unpic\": not a valid value, did you mean 'unipc'"),
        ("--preset loose", '--preset = "loose": not a valid value'),
        ("--control 1", "--control 1.0: there is no film to follow; give --structure"),
        ("--canny-low 0", "--canny-low 0: there is no film to follow"),
        ("--region mask.png", "--region mask.png: there is no film to follow"),
        ("--structure none.png", "--structure none.png: no such file"),
        ("--structure {text}", "--structure .*text.png: cannot be read: it is text"),
        ("--structure {film} --region none.png", "--region none.png: no such file"),
        ("--structure {film} --region {text}", "--region .*text.png: cannot be read: it is text"),
        ("--structure {film} --region {small}", "--region .*small.png: not of the film's size"),
        ("--structure {film} --region {black}", "--region .*black.png: nothing is white"),
        ("--depth {film}", "--depth .*film.png: the ControlNet of this engine learned edges"),
        ("--depth {film} --region {small}", "--region .*: there is no film to follow"),
        (
            "--structure {film} --depth {film} --canny-low 1",
            "--canny-low 1: --depth is followed, not edges; leave one out",
        ),
        ("--labl x", r"--labl: no such flag, did you mean '--label'\?"),
    ],
)
def test_what_cannot_be_asked_is_one_line(flags, message, home, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    write(tmp_path / "film.png", blocks("film", 48, 48))
    write(tmp_path / "small.png", blocks("small", 40, 40))
    write(tmp_path / "black.png", np.zeros((48, 48), np.uint8))
    named = {name: tmp_path / f"{name}.png" for name in ("text", "film", "small", "black")}
    with pytest.raises(InputError, match=message) as error:
        sample(None, tmp_path / "out", given(*flags.format(**named).split()))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_engine_is_the_newest_or_must_be_trained_first(home, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; give a folder"):
        sample(None, tmp_path / "file", Sampling())
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        sample(tmp_path / "nowhere", tmp_path / "out", Sampling())
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    lacking = {name: state for name, state in engine().items() if name != ADAPTED}
    with pytest.raises(InputError, match=r"nothing of rare_.* is trained in .*just replicate rare"):
        sample(None, tmp_path / "out", Sampling())
    seed_folder(tmp_path, lacking)
    with pytest.raises(InputError, match=f"no network '{ADAPTED}' there, only .*whole"):
        sample(None, tmp_path / "out", Sampling())
    seed_folder(
        tmp_path, engine(), config=replace(CONFIG, evaluate=replace(CONFIG.evaluate, cases=1))
    )
    assert len(sample(None, tmp_path / "out", Sampling())) == 1
    assert f"engine: {paths.runs()}" in capsys.readouterr().err


def test_the_networks_tell_which_data_they_learned_from(home):
    trained = find(home, "rare_disease_controlnet", Config())
    assert trained.content_hash == DATA
    assert list(trained.parts["train"]["findings"]) == list(CONFIG.data.findings)
    assert re.fullmatch(rf"{ADAPTED}-[0-9a-f]{{12}}/seed_0", trained.training(ADAPTED))


def test_a_sheet_shows_the_structure_and_films_and_says_what_they_are(home):
    from papers.rare_disease_controlnet.engine.drawing import Request

    films = np.zeros((30, 8, 8), np.uint8)
    requests = [Request((), "", float("nan"), n, films[0]) for n in range(30)]
    figure = sheet(requests, films, "frontal chest X-ray")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["structure", "seed 0"]
    assert len(titles) == 24
    assert figure._supxlabel.get_text() == NOTICE


def test_every_flag_is_described():
    lines = described_flags(Sampling()).splitlines()
    assert len(lines) == 17
    assert all(re.match(r"  --[a-z-]+ {2,}\S", line) for line in lines)
    assert next(line for line in lines if "--count" in line).endswith("of films; by default 1")


def test_a_mask_may_be_drawn_on_the_film_as_the_study_has_it(home, tmp_path):
    film = write(tmp_path / "film.png", blocks("film", 100, 100))
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:9, 5:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    flags = given("--structure", film, "--region", tmp_path / "mask.png")
    sample(None, tmp_path / "out", flags)
    (region,) = (tmp_path / "out").glob("region_*.png")
    np.testing.assert_array_equal(png.decoded(region.read_bytes(), "region"), mask)
