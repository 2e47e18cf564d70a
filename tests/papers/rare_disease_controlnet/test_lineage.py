"""Lineages: written and read, refused, and compared."""

import json
from dataclasses import asdict, replace
from functools import reduce
from operator import getitem

import pytest

from common.errors import InputError
from common.results import manifest
from papers.rare_disease_controlnet.corpus.lineage import Code, Network, Platform, Spec, loads, read
from tests.papers.rare_disease_controlnet.corpus_made_up import (
    ENGINE,
    LINEAGE,
    NETWORKS,
    PLATFORM,
    SPEC,
)


def changed(**spec):
    return replace(LINEAGE, spec=replace(SPEC, **spec))


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "film.json"
    for lineage in (LINEAGE, changed(extent=None, structure="ab" * 32, prompt="é “x”\n")):
        file.write_text(lineage.dumps())
        assert read(file) == lineage
        assert read(file).digest() == lineage.digest()


def test_it_is_written_in_one_form():
    text = LINEAGE.dumps()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"),
                              ensure_ascii=False)  # fmt: skip
    assert '"guidance":7.5' in text
    assert text.startswith('{"code":{"digest":"4d4d')
    assert LINEAGE.digest() != changed(seed=1).digest()


def test_whole_numbers_are_the_floats_that_they_stand_for():
    text = LINEAGE.dumps().replace('"canny_low":100.0', '"canny_low":100')
    assert loads(text, "x").digest() == LINEAGE.digest()


def test_the_metadata_of_an_export_is_read_too():
    whole = json.dumps({"sha256": "x", "lineage": asdict(LINEAGE), "decisions": []})
    assert loads(whole, "x") == LINEAGE


def edited(path: str, value) -> str:
    """Return the lineage with another value at a dotted path, or without it."""
    whole = json.loads(LINEAGE.dumps())
    *folders, name = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner = reduce(getitem, folders, whole)
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"f\.json: not JSON \(.*; give the file of a lineage"),
        ("{", r"f\.json: not JSON"),
        ("[" * 100_000, r"f\.json: not JSON"),
        ("[]", r"f\.json: format null, expected 1"),
        ("{}", r"f\.json: format null, expected 1"),
        (edited("format", 2), r"f\.json: format 2, expected 1; .* this version of the project"),
        (edited("format", True), r"f\.json: format true, expected 1"),
        (edited("spec.seed", ...), r"f\.json: spec\.seed: missing"),
        (edited("code", ...), r"f\.json: code: missing"),
        (edited("spec.seeds", 1), r"f\.json: spec\.seeds: no such field, did you mean 'seed'\?"),
        (edited("spec.seed", "1"), r'f\.json: spec\.seed = "1": must be a whole number'),
        (edited("spec.seed", 2**32), r"f\.json: spec\.seed = 4294967296: expected from 0 to"),
        (edited("spec.guidance", None), r"f\.json: spec\.guidance = None: must be a number"),
        (edited("spec.guidance", float("nan")), r"f\.json: spec\.guidance = nan: must be a num"),
        (edited("spec.extent", 1.5), r"f\.json: spec\.extent = 1\.5: expected from 0 to 1"),
        (edited("spec.side", "lft"), r"f\.json: spec\.side = \"lft\": not a valid value, did you"),
        (edited("spec.control", "pose"), r"f\.json: spec\.control = \"pose\": not a valid value"),
        (edited("spec.structure", "ab"), r"f\.json: spec\.structure = \"ab\": expected a SHA-256"),
        (edited("output", "AB" * 32), r"f\.json: output = \"ABAB.*: expected a SHA-256"),
        (edited("spec", [1]), r"f\.json: spec: expected an object of Spec"),
        (edited("engine.networks", {}), r"f\.json: engine\.networks: expected a list"),
        (edited("engine.networks.1", 3), r"f\.json: engine\.networks\.1: expected an object of"),
        (
            edited("engine.networks.1.weights", "x"),
            r"f\.json: engine\.networks\.1\.weights = \"x\": expected a SHA-256",
        ),
        (edited("platform.cores", 2.5), r"f\.json: platform\.cores = 2\.5: must be a whole"),
    ],
)
def test_what_is_no_lineage_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "f.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read(file)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "film.png").write_bytes(b"\x89PNG\r\n\xff")
    with pytest.raises(InputError, match=r"film\.png: not a text; give the JSON file"):
        read(tmp_path / "film.png")


def test_values_are_checked_when_they_are_made():
    with pytest.raises(InputError, match="seed = -1: expected from 0 to"):
        changed(seed=-1)
    with pytest.raises(InputError, match='weights = "x": expected a SHA-256'):
        Network("denoiser", "key", "x")


def test_every_input_that_differs_is_named():
    others = (replace(NETWORKS[0], weights="ff" * 32), replace(NETWORKS[1], name="lora"))
    now = replace(
        changed(guidance=3.0, structure="ab" * 32, prompt="other\n"),
        engine=replace(ENGINE, networks=others),
        code=Code("00" * 32, "11" * 32),
        platform=replace(PLATFORM, cores=4, driver="580.95"),
        output="66" * 32,
    )
    assert LINEAGE.differences(now) == [
        'prompt: "frontal chest X-ray showing small pneumothorax on the left", now "other\\n"',
        "guidance: 7.5, now 3",
        "structure: none, now abababababab…",
        'training of controlnet: "controlnet-1", now none',
        "weights of controlnet: 2b2b2b2b2b2b…, now none",
        "weights of denoiser: 1a1a1a1a1a1a…, now ffffffffffff…",
        "code: 4d4d4d4d4d4d…, now 000000000000…",
        "lock file: none, now 111111111111…",
        "platform: cores: 2, now 4",
        'platform: driver: none, now "580.95"',
        'training of lora: none, now "controlnet-1"',
        "weights of lora: none, now 2b2b2b2b2b2b…",
    ]


def test_the_order_of_networks_and_the_output_are_no_inputs():
    now = replace(LINEAGE, engine=replace(ENGINE, networks=NETWORKS[::-1]), output="66" * 32)
    assert LINEAGE.differences(now) == []


@pytest.mark.parametrize("name", list(asdict(SPEC)))
def test_no_input_of_the_spec_is_overlooked(name):
    before = getattr(SPEC, name)
    others = {"side": "right", "control": "none"}
    others |= {"structure": "aa" * 32, "region": "bb" * 32, "depth": "cc" * 32}
    doubled = before and before * 2 if type(before) is not float else before / 2
    other = others.get(name, before - 1 if name == "seed" else doubled)
    assert len(LINEAGE.differences(changed(**{name: other}))) == 1


def test_code_and_platform_of_a_manifest():
    recorded = manifest.platform()
    platform = Platform.of(recorded)
    assert (platform.device, platform.processor) == (recorded["device"], recorded["cpu"])
    assert (platform.jax, platform.jaxlib) == (
        recorded["versions"]["jax"],
        recorded["versions"]["jaxlib"],
    )
    assert Code.of({"source_sha256": "aa" * 32, "lock_sha256": None}) == Code("aa" * 32, None)
    assert Spec(**asdict(SPEC)) == SPEC
