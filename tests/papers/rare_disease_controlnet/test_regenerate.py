"""Films drawn again from their lineage: the same to the byte, or the inputs that differ."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common import sealed, xla
from common.errors import InputError
from common.pipeline.process import prepare_process
from common.pipeline.trained import INDEX
from common.study.options import flagged
from papers.__main__ import main
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.lineage import Lineage, read
from papers.rare_disease_controlnet.corpus.store import Folder
from papers.rare_disease_controlnet.options import Sampling
from papers.rare_disease_controlnet.regenerate import regenerate
from papers.rare_disease_controlnet.sample import sample
from tests.papers.rare_disease_controlnet.film_files import blocks, write
from tests.papers.rare_disease_controlnet.small_engine import (  # noqa: F401
    CONFIG,
    SIZE,
    few_words,
)
from tests.papers.rare_disease_controlnet.small_run import engine, seed_folder

CHANGED = replace(CONFIG, synthesis=replace(CONFIG.synthesis, guidance=2.0, batch_size=2))


@pytest.fixture
def drawn(tmp_path_factory, tmp_path, monkeypatch, few_words) -> Path:  # noqa: F811
    """Return a copy of the lineage of the second of two films, drawn once; a home around it."""
    whole = tmp_path_factory.getbasetemp() / "regenerating"
    monkeypatch.setenv("REPLICATIONS_HOME", str(whole / "home"))
    monkeypatch.setenv(xla.THREADS, str(xla.cores()))
    monkeypatch.setenv("XLA_FLAGS", "")
    prepare_process()  # as every command does
    if not (whole / "drawn").exists():
        seed_folder(whole / "home", engine())
        seed_folder(whole / "home", engine(1), seed=1)
        first = seed_folder(whole / "home", engine(1), seed=1, config=CHANGED)
        film = write(whole / "film.png", blocks("film", SIZE, SIZE))
        mask = write(
            whole / "mask.png", np.kron(np.eye(2), np.full((16, 16), 255)).astype(np.uint8)
        )
        flags = ["--structure", film, "--region", mask, "--count", "2", "--extent", "0.5"]
        choice = flagged(Sampling(), [str(flag) for flag in flags])
        sample(first, whole / "drawn", choice)
    return shutil.copytree(whole / "drawn", tmp_path / "drawn") / "pneumothorax_1.json"


def edit(file: Path, **changes) -> Lineage:
    """Write another lineage in its place: with other parts, or another `spec` or `platform`."""
    lineage = read(file)
    for name in ("spec", "platform"):
        if name in changes:
            changes[name] = replace(getattr(lineage, name), **changes[name])
    file.write_text(replace(lineage, **changes).dumps())
    return lineage


def test_it_is_the_same_film_found_by_what_its_lineage_names(drawn, capsys):
    found = regenerate(drawn)  # of three trained seeds, and with another batch size
    assert found.now == found.before == digest(drawn.with_suffix(".png").read_bytes())
    assert found.differences == ()
    assert "seed_1" in capsys.readouterr().err
    assert main(["regenerate", str(drawn)]) == 0
    assert capsys.readouterr().out == f"{drawn}: the same film to the byte\n"
    assert main(["regenerate", str(drawn), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_every_input_that_differs_is_named(drawn, tmp_path, capsys):
    other = seed_folder(tmp_path / "elsewhere", engine(0), config=CHANGED)
    edit(drawn, output="ab" * 32, platform={"cores": 999})
    assert main(["regenerate", str(drawn), "--checkpoint", str(other)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{drawn}: another film: {'ab' * 32}, now ")
    named = [line.partition(": ")[2].partition(": ")[0] for line in lines[1:]]
    assert named == [
        "training of text", "weights of text", "training of unet", "weights of unet", "platform"
    ]  # fmt: skip
    assert "adaptation_4-" in lines[1] and "seed_1" in lines[1] and "seed_0" in lines[1]  # noqa: PT018


def test_a_lineage_of_other_code_and_data_says_so(drawn):
    lineage = read(drawn)
    edit(
        drawn,
        code=replace(lineage.code, digest="cd" * 32),
        engine=replace(lineage.engine, data="other"),
        output="ab" * 32,
    )
    found = regenerate(drawn)
    assert [line.partition(":")[0] for line in found.differences] == ["data", "code"]
    assert found.note == ""
    edit(drawn, output=found.now)
    assert regenerate(drawn).differences == found.differences  # told, and the film is the same


def test_where_the_platform_alone_differs_the_largest_difference_is_told(drawn):
    file = drawn.with_suffix(".png")
    before = png.decoded(file.read_bytes(), "film")
    other = before.copy()
    other[3, 4] += np.uint8(9) if other[3, 4] < 200 else np.uint8(247)
    file.write_bytes(png.encoded(other))
    edit(drawn, output=digest(file.read_bytes()), platform={"jax": "0.0.1"})
    found = regenerate(drawn)
    assert found.now == digest(png.encoded(before))
    assert found.differences[0].startswith('platform: jax: "0.0.1", now "')
    assert found.note == "only the platform differs; the largest difference is 9 of 255 gray levels"
    file.unlink()
    assert "not beside its lineage" in regenerate(drawn).note


def test_what_it_follows_is_found_in_a_corpus_and_in_those_of_the_run(drawn, tmp_path):
    beside = [next(drawn.parent.glob(f"{name}_*.png")) for name in ("structure", "region")]
    store = Folder(tmp_path / "films")
    for file in beside:
        store.put(file.read_bytes())
        file.unlink()
    assert regenerate(drawn).differences == ()
    other = seed_folder(tmp_path / "elsewhere", engine(1), seed=1, config=CHANGED)
    index = json.loads((other / INDEX).read_text())
    index["networks"]["synthesis_4"] = str(tmp_path / "made")
    (other / INDEX).write_text(sealed.seal(index))
    shutil.move(tmp_path / "films", tmp_path / "made" / "corpus" / "films")
    assert regenerate(drawn, other).differences == ()
    with pytest.raises(
        InputError, match=r"pneumothorax_1\.json: its structure, of SHA-256 [0-9a-f]"
    ):
        regenerate(drawn)


@pytest.mark.parametrize("number", [0, 1])
def test_another_structure_or_region_is_not_taken_for_it(number, drawn):
    name = ("structure", "region")[number]
    file = next(drawn.parent.glob(f"{name}_*.png"))
    image = png.decoded(file.read_bytes(), name).copy()
    image[0, 0] ^= 255
    file.write_bytes(png.encoded(image))
    with pytest.raises(InputError, match=f"its {name}, of SHA-256"):
        regenerate(drawn)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read (No such file"),
        ("{", "not a lineage; give the JSON file"),
        ("[1]", "not a lineage; give the JSON file"),
        ('{"engine": {"study": "rare_disease_controlnet"}}', "format null, expected 1"),
        ('{"engine": {"study": "rare_disease"}}', "format null, expected 1"),
        ('{"engine": {"study": "roentgen"}}', "unknown study 'roentgen'"),
        (
            '{"engine": {"study": "lgg"}}',
            "regenerate lgg_attention_unet: not offered by this study",
        ),
    ],
)
def test_what_is_no_lineage_is_one_line(text, message, tmp_path, capsys):
    file = tmp_path / "film.json"
    if text is not None:
        file.write_text(text)
    assert main(["regenerate", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_an_engine_of_another_size_is_refused(drawn):
    edit(drawn, spec={"size": 64})
    with pytest.raises(InputError, match=r"a film of 64 pixels, the engine in .* draws 32; give"):
        regenerate(drawn)


def test_other_inputs_are_those_of_the_lineage_not_of_the_experiment(drawn):
    lineage = read(drawn)
    edit(drawn, spec={"guidance": 8.0, "steps": 12, "sampler": "ddim", "prompt": "x <normal>"})
    found = regenerate(drawn)
    assert found.differences == ()
    assert found.now != lineage.output
    assert "nothing differs that a lineage tells of; the largest difference is" in found.note
