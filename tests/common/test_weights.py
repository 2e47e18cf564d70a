"""Weights are fetched once, checked, and read without running what their pickle asks for."""

import _thread
import contextlib
import hashlib
import http.server
import os
import pickle
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common import paths
from common.errors import InputError
from common.pretrained import weights
from common.pretrained.torch_checkpoint import read_torch_checkpoint
from common.pretrained.weights import (
    INCEPTION,
    WeightFile,
    Weights,
    Wheel,
    inception_path,
    weights_path,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_checkpoints.npz")
CONTENT = b"published weights" * 1000
NOWHERE = "http://127.0.0.1:9/weights.bin"  # the discard port, where nobody listens


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def published(origin, name="weights.bin", content=CONTENT):
    return WeightFile(name, sha256(content), len(content), origin)


def weights_of(*files):
    return Weights("test", "TEST_WEIGHTS", files)


@pytest.fixture(autouse=True)
def _empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    for variable in ("TEST_WEIGHTS", "INCEPTION_WEIGHTS", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(weights.requests, "get", refuse)


@pytest.fixture
def server(tmp_path):
    """Serve a folder over loopback; give its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


def left_over():
    return sorted(path.name for path in paths.weights().glob("*"))


def test_fetches_once_and_then_asks_for_nothing(server, monkeypatch):
    address, folder = server
    (folder / "weights.bin").write_bytes(CONTENT)
    published_set = weights_of(published(f"{address}/weights.bin"))
    path = weights_path(published_set)
    assert path.read_bytes() == CONTENT
    monkeypatch.setattr(weights.requests, "get", None)
    assert weights_path(published_set) == path
    assert weights_path(published_set, download=False) == path
    assert left_over() == ["weights.bin"]


def test_wrong_checksum_is_removed_and_the_next_address_tried(server):
    address, folder = server
    (folder / "wrong.bin").write_bytes(CONTENT[:-1] + b"!")
    (folder / "right.bin").write_bytes(CONTENT)
    wrong = published(f"{address}/wrong.bin", "first.bin")
    path = weights_path(weights_of(wrong, published(f"{address}/right.bin", "second.bin")))
    assert path.name == "second.bin"
    assert left_over() == ["second.bin"]
    with pytest.raises(InputError, match=r"wrong\.bin gave a file with SHA-256"):
        weights_path(weights_of(wrong))


def test_damaged_file_in_the_folder_is_fetched_again(server, capsys):
    address, folder = server
    (folder / "weights.bin").write_bytes(CONTENT)
    paths.weights().mkdir(parents=True)
    (paths.weights() / "weights.bin").write_bytes(b"?" * len(CONTENT))
    assert weights_path(weights_of(published(f"{address}/weights.bin"))).read_bytes() == CONTENT
    assert "not the published file" in capsys.readouterr().err


def test_too_long_an_answer_is_cut_off(server):
    address, folder = server
    (folder / "weights.bin").write_bytes(CONTENT * 1000)
    with pytest.raises(InputError, match="SHA-256"):
        weights_path(weights_of(published(f"{address}/weights.bin")))
    assert left_over() == []


def test_endless_answer_is_left_after_the_published_size(monkeypatch):
    chunks = iter([CONTENT] * 100)

    class Endless(contextlib.ExitStack):  # whose context is itself
        def raise_for_status(self):
            pass

        def iter_content(self, _):
            return chunks

    monkeypatch.setattr(weights.requests, "get", lambda *_, **__: Endless())
    with pytest.raises(InputError, match="SHA-256"):
        weights_path(weights_of(published(NOWHERE)))
    assert len(list(chunks)) == 98


def test_unreachable_and_missing_addresses_are_all_named(server):
    address, _ = server
    published_set = weights_of(published(NOWHERE), published(f"{address}/weights.bin"))
    with pytest.raises(InputError, match=r"none of 2 addresses.*ConnectionError.*HTTPError.*TEST_"):
        weights_path(published_set)


@pytest.mark.parametrize("link", ["../files/{}#sha256=0", "/files/{}"])
@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_wheel_through_the_index_that_is_set(server, monkeypatch, link, variable):
    address, folder = server
    wheel_name = "pack-1.0-py3-none-any.whl"
    for part in ("files", "pack"):
        (folder / part).mkdir()
    with zipfile.ZipFile(folder / "files" / wheel_name, "w") as archive:
        archive.writestr("pack/weights.bin", CONTENT)
    (folder / "pack" / "index.html").write_text(f'<a href="{link.format(wheel_name)}">x</a>')
    monkeypatch.setenv(variable, address)
    packed = (folder / "files" / wheel_name).read_bytes()
    wheel = Wheel("pack", wheel_name, sha256(packed), len(packed), "pack/weights.bin")
    assert weights_path(weights_of(published(wheel))).read_bytes() == CONTENT
    assert left_over() == ["weights.bin"]
    with pytest.raises(InputError, match=r"pack/weights\.bin in pack-1\.0.* not the pinned file"):
        weights_path(weights_of(published(wheel, "another.bin", CONTENT + b"!")))
    assert left_over() == ["weights.bin"]
    other = Wheel("pack", "pack-2.0-py3-none-any.whl", sha256(packed), len(packed), "")
    with pytest.raises(InputError, match=r"does not list pack-2\.0"):
        weights_path(weights_of(published(other, "other.bin")))


@pytest.mark.usefixtures("offline")
def test_own_file_by_argument_or_environment(tmp_path, monkeypatch):
    own = tmp_path / "own.pth"
    own.write_bytes(b"mine")
    assert inception_path(own) == own
    monkeypatch.setenv("INCEPTION_WEIGHTS", str(own))
    assert inception_path() == own
    monkeypatch.setenv("INCEPTION_WEIGHTS", "/nowhere/own.pth")
    with pytest.raises(InputError, match=r"/nowhere/own\.pth: no such file.*INCEPTION_WEIGHTS"):
        inception_path()


@pytest.mark.usefixtures("offline")
def test_without_download_says_what_to_do():
    with pytest.raises(InputError, match="INCEPTION_WEIGHTS"):
        inception_path(download=False)


def test_published_file_is_first_and_all_are_pinned():
    first, second = INCEPTION.files
    assert isinstance(first.origin, str)
    assert first.sha256[:8] in first.name  # the authors put the hash's beginning into the name
    assert isinstance(second.origin, Wheel)
    for pinned in (first, second, second.origin):
        assert len(pinned.sha256) == 64


def golden_file(tmp_path, kind):
    path = tmp_path / f"{kind}.pt"
    path.write_bytes(GOLDEN[kind].tobytes())
    return path


@pytest.mark.parametrize("kind", ["zip", "plain"])
def test_reads_what_torch_saves(tmp_path, kind):
    found = read_torch_checkpoint(golden_file(tmp_path, kind))
    expected = {n.removeprefix("tensor:"): GOLDEN[n] for n in GOLDEN if n.startswith("tensor:")}
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_reads_what_torchscript_saves(tmp_path):
    found = read_torch_checkpoint(golden_file(tmp_path, "script"))
    assert set(found) == {"inner.weight", "inner.bias"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, GOLDEN[f"script:{name}"])


class Runs:
    """What an attacker puts into a pickle: a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("container", ["zip", "plain"])
@pytest.mark.parametrize("function", [os.mkdir, exec, getattr, np.dtype, _thread.start_new_thread])
def test_refuses_a_pickle_that_calls_anything(tmp_path, container, function):
    bomb = pickle.dumps({"weight": Runs(function, str(tmp_path / "made"))}, protocol=2)
    path = tmp_path / "bomb.pth"
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", bomb)
    else:
        path.write_bytes(bomb)
    with pytest.raises(InputError, match=r"bomb\.pth.*it asks for"):
        read_torch_checkpoint(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(S'x'\nI0\n(I9\nt(I1\ntI00\nNtR.",  # not a storage
        b"ctorch\nFloatStorage\n(tR.",  # a type is no function
        b"c__torch__.a\nB\n)\x81K\x01b.",  # a module's state that is no dict
        b"(dp0\nS'a'\ng0\ns.",  # a dict inside itself
        b"",
    ],
)
def test_refuses_pickles_that_make_no_sense(tmp_path, pickled):
    path = tmp_path / "odd.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with pytest.raises(InputError, match=r"odd\.pth"):
        read_torch_checkpoint(path)


@pytest.mark.parametrize("kind", ["zip", "plain", "script"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, kind, share):
    path = golden_file(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"{kind}\.pt"):
        read_torch_checkpoint(path)


def test_tensor_beyond_its_storage_is_refused(tmp_path):
    path, damaged = golden_file(tmp_path, "zip"), tmp_path / "damaged.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(damaged, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            copy.writestr(name, content[:-4] if "/data/" in name and content else content)
    with pytest.raises(InputError, match=r"reaches beyond|multiple"):
        read_torch_checkpoint(damaged)


def torch_file(
    tmp_path, offset=0, shape=(2,), strides=(1,), kind="storage", view="", order=b"little"
):
    """Write a checkpoint of one tensor "a" over the items 0, 1, 2, 3, its parts as given."""
    sizes = ["".join(f"I{size}\n" for size in sizes) for sizes in (shape, strides)]
    pickled = (
        "(dS'a'\nctorch._utils\n_rebuild_tensor_v2\n("
        f"(S'{kind}'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\n{view}tQ"
        f"I{offset}\n({sizes[0]}t({sizes[1]}tI00\nNtRs."
    )
    path = tmp_path / "one.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", order)
        archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())
    return path


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, [0, 1]),
        ({"offset": 2}, [2, 3]),
        ({"offset": 1, "strides": (2,)}, [1, 3]),
        ({"shape": (2, 2), "strides": (1, 2)}, [[0, 2], [1, 3]]),
        ({"shape": (4,), "strides": (0,)}, [0, 0, 0, 0]),
        ({"shape": (0,)}, []),
        ({"shape": (), "strides": (), "offset": 3}, 3),
        ({"view": "N"}, [0, 1]),
    ],
)
def test_tensor_is_its_part_of_the_storage(tmp_path, parts, expected):
    tensor = read_torch_checkpoint(torch_file(tmp_path, **parts))["a"]
    np.testing.assert_array_equal(tensor, np.array(expected, np.float32), strict=True)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"offset": 3}, "reaches beyond its 4 items"),
        ({"offset": 2, "strides": (2,)}, "reaches beyond"),
        ({"shape": (5,), "strides": (0,)}, "reaches beyond"),
        ({"offset": 3, "strides": (-1,)}, "has strides"),
        ({"offset": -1}, "has strides"),
        ({"shape": (-2,)}, "has strides"),
        ({"shape": (2, 2)}, "has strides"),
        ({"kind": "module"}, "it holds 'module'"),
        ({"view": "I1\n"}, "views of storages"),
        ({"order": b"big"}, "big-endian"),
    ],
)
def test_tensors_whose_parts_do_not_fit_are_refused(tmp_path, parts, message):
    with pytest.raises(InputError, match=rf"one\.pth: .*{message}"):
        read_torch_checkpoint(torch_file(tmp_path, **parts))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: No such file"):
        read_torch_checkpoint(tmp_path / "none.pth")
