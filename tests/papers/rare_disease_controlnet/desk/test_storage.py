"""Films in an S3 bucket and in a folder: the same to whoever keeps and fetches them."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk  # isort: skip

import secrets
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import obstore
import pytest

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.check import check
from papers.rare_disease_controlnet.corpus.corpus import Corpus
from papers.rare_disease_controlnet.corpus.store import Store
from papers.rare_disease_controlnet.corpus.tables import now
from papers.rare_disease_controlnet.desk.opening import open_desk
from papers.rare_disease_controlnet.desk.settings import Settings
from papers.rare_disease_controlnet.desk.storage import Files, bucket_of, storage_of
from tests.papers.rare_disease_controlnet.corpus_made_up import filled, film
from tests.papers.rare_disease_controlnet.desk.servers import free_port, gateway

ADDRESS = "s3://corpus/films/of the desk"


@pytest.fixture(scope="module")
def server():
    with gateway() as made:
        yield made


@pytest.fixture
def bucket(server):
    made = bucket_of(f"{ADDRESS}/{secrets.token_hex(8)}", server.environment())
    yield made
    for name in list(made.names()):
        made.delete(name)


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return Files(tmp_path / "films")
    return request.getfixturevalue("bucket")


def test_what_was_put_is_there_by_its_name(store):
    assert isinstance(store, Store)
    contents = [film(number)[0] for number in range(3)]
    names = [store.put(content) for content in contents]
    assert names == [digest(content) for content in contents]
    assert store.put(contents[0]) == names[0]  # twice
    assert [store.get(name) for name in names] == contents
    assert list(store.names()) == sorted(names)


def test_files_are_deleted_once_and_no_others(store):
    first, second = (store.put(film(number)[0]) for number in range(2))
    store.delete(first)
    store.delete(first)
    assert list(store.names()) == [second]
    with pytest.raises(InputError, match=rf"{first}\.png: no such file; restore it"):
        store.get(first)


def test_ages_are_when_a_file_was_last_put(store):
    name = store.put(film(0)[0])
    [(found, before)] = store.ages()
    assert found == name
    assert abs(before - now()) < timedelta(seconds=10)
    time.sleep(1.1)  # servers tell seconds
    store.put(film(0)[0])
    [(_, after)] = store.ages()
    assert after > before


@pytest.mark.parametrize("name", ["../" * 3 + "etc/passwd", "", "a" * 63, "A" * 64, "a" * 64 + "/"])
def test_no_other_name_leads_anywhere(store, name):
    for use in (store.get, store.delete):
        with pytest.raises(InputError, match="names no film; give 64 hexadecimal digits"):
            use(name)


def test_a_damaged_file_is_told_and_not_returned(bucket):
    name = bucket.put(film(0)[0])
    obstore.put(bucket.objects, f"{name[:2]}/{name}.png", film(1)[0])
    with pytest.raises(InputError, match=r"damaged, its SHA-256 is [0-9a-f]{64}; restore it"):
        bucket.get(name)


def test_what_is_no_film_is_not_listed(bucket):
    name = bucket.put(film(0)[0])
    for key in ("notes.txt", f"{name[:2]}/{name}.txt", "aa/b.png"):
        obstore.put(bucket.objects, key, b"x")
    assert list(bucket.names()) == [name]
    for key in ("notes.txt", f"{name[:2]}/{name}.txt", "aa/b.png"):
        obstore.delete(bucket.objects, key)


def refused(server, message: str, address: str = ADDRESS, **changes: str) -> None:
    """Expect one line for all that can be done with a bucket, with no secret in it."""
    made = bucket_of(address, server.environment(**changes))
    name = digest(b"x")
    uses = (lambda: made.put(b"x"), lambda: made.get(name), lambda: list(made.names()))
    for use in (*uses, made.check):
        with pytest.raises(InputError, match=message) as one:
            use()
        assert "\n" not in str(one.value)
        assert server.secret not in str(one.value)


def test_a_wrong_secret_is_refused(server):
    message = r"films/of the desk: refused \(SignatureDoesNotMatch\); check AWS_ACCESS_KEY_ID and"
    refused(server, message, AWS_SECRET_ACCESS_KEY="another")


def test_a_wrong_key_is_refused(server):
    refused(server, r"refused \(InvalidAccessKeyId\)", AWS_ACCESS_KEY_ID="nobody")


def test_a_bucket_that_is_missing_is_told(server):
    refused(server, "s3://other/films: no such bucket; make it first", "s3://other/films")


def test_a_server_that_does_not_answer_is_told(server):
    nowhere = f"http://127.0.0.1:{free_port()}"
    refused(server, r"cannot be used \(Connection refused\)", AWS_ENDPOINT_URL=nowhere)


def test_nobody_gets_a_film_without_a_signature(server, bucket):
    name = bucket.put(film(0)[0])
    for path in ("corpus/", f"{quote(bucket.address.removeprefix('s3://'))}/{name[:2]}/{name}.png"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{server.endpoint}/{path}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("films", "not an address; write s3://BUCKET/PREFIX"),
        ("s3:///films", "not an address"),
        ("https://example.org/films", "not an address"),
        ("s3://corpus?x=1", "not an address"),
    ],
)
def test_what_is_no_address_is_refused(address, message, server):
    with pytest.raises(InputError, match=message):
        bucket_of(address, server.environment())


def test_keys_that_are_missing_are_named(server):
    with pytest.raises(InputError, match="no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_"):
        bucket_of(ADDRESS, {"AWS_ENDPOINT_URL": server.endpoint})


def test_a_corpus_of_100_films_survives_the_server(server, bucket, tmp_path):
    corpus = Corpus(a_desk(tmp_path).corpus.engine, bucket)
    filled(corpus, 100)
    server.kill()
    with pytest.raises(InputError, match=r"cannot be used \(Connection refused\)"):
        bucket.put(film(100)[0])
    server.start()
    assert check(corpus) == []
    assert len(list(bucket.names())) == 100
    assert bucket.get(digest(film(99)[0])) == film(99)[0]


def test_a_desk_opens_where_its_settings_say(server, tmp_path, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings(tmp_path / "desk", storage="s3://corpus/opened")
    desk = open_desk(settings)
    name = desk.store.put(film(0)[0])
    assert storage_of(settings).get(name) == film(0)[0]
    assert not (tmp_path / "desk" / "films").exists()
    here = open_desk(replace(settings, storage=None))
    here.store.put(film(0)[0])
    assert [file.stem for file in Path(tmp_path, "desk", "films").rglob("*.png")] == [name]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(InputError, match="refused"):
        open_desk(settings)
