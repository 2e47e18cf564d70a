"""The tokenizer gives the ids of transformers' CLIPTokenizer, and refuses what is not CLIP's."""

import gzip
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.latent_diffusion.tokenizer import Tokenizer
from common.pretrained.published_weights import CLIP_VOCABULARY
from common.pretrained.weights import weights_path

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "tokenizer.npz"))


def unpacked(name):
    return json.loads(GOLDEN[name].tobytes())


TEXTS, EMBEDDED, PLACEHOLDERS = map(unpacked, ("texts", "embedded", "placeholders"))
FILES = unpacked("small_files")
TWO, ONE = ("vocab.json", "merges.txt"), ("tokenizer.json", "tokenizer_config.json")


def folder_with(folder, *names, **others):
    """Write files that transformers wrote, and others by their stem as JSON."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(FILES[name], "utf-8")
    for stem, content in others.items():
        (folder / f"{stem}.json").write_text(json.dumps(content), "utf-8")
    return folder


@pytest.fixture
def small(tmp_path):
    return Tokenizer.from_folder(folder_with(tmp_path / "tokenizer", *TWO))


@pytest.fixture(scope="module")
def clip():
    try:
        return Tokenizer.published(weights_path(CLIP_VOCABULARY, download=False))
    except InputError as error:
        file = Path(os.environ.get("STUDY_DATA", ""), "weights", "clip", "clip")
        if not (file / CLIP_VOCABULARY.files[0].name).exists():
            pytest.skip(str(error))
        return Tokenizer.published(file / CLIP_VOCABULARY.files[0].name)


@pytest.fixture(params=["small", "clip"])
def either(request):
    return request.param, request.getfixturevalue(request.param)


def test_ids_are_those_of_transformers(either):
    name, tokenizer = either
    found = tokenizer(TEXTS)
    assert found.shape == (1000, 77)
    assert found.dtype == np.int32
    wrong = np.flatnonzero((found != GOLDEN[f"{name}_ids"]).any(1))
    assert not wrong.size, [(TEXTS[i], found[i].tolist()) for i in wrong[:3]]
    np.testing.assert_array_equal(tokenizer(TEXTS[5]), found[5:6])
    assert tokenizer([]).shape == (0, 77)


def test_what_is_cut_off_is_what_diffusers_says(either):
    name, tokenizer = either
    expected = unpacked(f"{name}_cut")
    assert [tokenizer.truncated(text) for text in TEXTS[-50:]] == expected
    assert sum(map(bool, expected)) > 30
    assert tokenizer.truncated("short") == ""


def test_placeholders_are_those_of_diffusers(either):
    name, tokenizer = either
    known = tokenizer.with_tokens(PLACEHOLDERS)
    np.testing.assert_array_equal(known(EMBEDDED), GOLDEN[f"{name}_embedded_ids"])
    assert list(map(known.truncated, EMBEDDED)) == unpacked(f"{name}_embedded_cut")
    first = tokenizer.size
    assert known.size == first + 7
    assert known.placeholders["<film>"] == (first, first + 1, first + 2)
    assert known.placeholders["흉부"] == (first + 5, first + 6)
    np.testing.assert_array_equal(tokenizer(TEXTS[::9]), GOLDEN[f"{name}_ids"][::9])


def test_placeholders_are_added_in_turn_and_found_however_written(small):
    known = small.with_tokens({"<Café>": 2}).with_tokens({"nodule": 1})
    ids = (small.size, small.size + 1)
    assert known.placeholders == {"<Café>": ids, "<Café>_1": ids[1:], "nodule": (ids[1] + 1,)}
    for text in ("<café>", "<CAFÉ>", "  <Café> ", "<Cafe\u0301>"):
        np.testing.assert_array_equal(known(text)[0, 1:3], ids)


def test_another_pad_token(tmp_path, small):
    expected = GOLDEN["small_pad_ids"]
    for i, stem in enumerate(("special_tokens_map", "tokenizer_config")):
        for j, pad in enumerate(("!", {"content": "!"})):
            folder = folder_with(tmp_path / f"{i}{j}", *TWO, **{stem: {"pad_token": pad}})
            np.testing.assert_array_equal(Tokenizer.from_folder(folder)(TEXTS[::10]), expected)
    assert (small(TEXTS[::10]) != expected).any()


def test_reads_what_transformers_5_writes(tmp_path, small):
    one = Tokenizer.from_folder(folder_with(tmp_path / "one", *ONE))
    assert one == small
    older = json.loads(FILES["tokenizer.json"])
    older["model"]["merges"] = [" ".join(pair) for pair in older["model"]["merges"]]
    assert Tokenizer.from_folder(folder_with(tmp_path / "older", tokenizer=older)) == small


@pytest.mark.parametrize(("stated", "length"), [(40, 40), (int(1e30), 77), (None, 77)])
def test_length_of_a_text(tmp_path, small, stated, length):
    config = {"model_max_length": stated}
    found = Tokenizer.from_folder(folder_with(tmp_path / "t", *TWO, tokenizer_config=config))
    assert found.length == length
    ids = found(TEXTS[-1])
    assert ids.shape == (1, length)
    np.testing.assert_array_equal(ids[0, :-1], small(TEXTS[-1])[0, : length - 1])
    assert ids[0, -1] == found.vocabulary.ids["<|endoftext|>"]


def test_reads_placeholders_that_were_saved(tmp_path, small):
    known = small.with_tokens({"<film>": 2})
    names = known.vocabulary.added
    whole = json.loads(FILES["tokenizer.json"])
    whole["added_tokens"] += [{"id": id_, "content": name} for name, id_ in names.items()]
    config = {"added_tokens_decoder": {str(id_): {"content": name} for name, id_ in names.items()}}
    for folder in (
        folder_with(tmp_path / "whole", tokenizer=whole),
        folder_with(tmp_path / "decoder", *TWO, tokenizer_config=config),
        folder_with(tmp_path / "legacy", *TWO, added_tokens=names),
    ):
        assert Tokenizer.from_folder(folder) == known


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"<film>": 0}, "'<film>': 0 vectors, expected at least 1"),
        ({"": 1}, "without spaces around"),
        ({" film": 1}, "without spaces around"),
        ({"chest</w>": 1}, "'chest</w>' is known; choose another name"),
        ({"ING</w>": 1}, "'ING</w>' is known"),
        ({"<a>": 2, "<A>_1": 1}, "'<A>_1' is known"),
        ({"<a>_1": 1, "<a>": 2}, "placeholder '<a>': '<a>_1' is known"),
    ],
)
def test_placeholders_that_are_refused(small, vectors, message):
    with pytest.raises(InputError, match=message):
        small.with_tokens(vectors)


def test_broken_unicode_is_refused(small):
    with pytest.raises(InputError, match=r"text 'a\\udce9b': '\\udce9' is no character; remove"):
        small(["fine", "a\udce9b"])


def test_long_words_take_no_long(small):
    start = time.perf_counter()
    small("흉부엑스레이" * 500)
    assert time.perf_counter() - start < 5


def spoil(folder, name, change):
    content = change(json.loads((folder / name).read_text("utf-8")))
    (folder / name).write_text(json.dumps(content), "utf-8")


def without(key):
    return lambda content: {k: v for k, v in content.items() if k != key}


def in_model(**fields):
    return lambda content: content | {"model": content["model"] | fields}


@pytest.mark.parametrize(
    ("names", "name", "change", "message"),
    [
        (TWO, "vocab.json", without("<|endoftext|>"), r"vocab\.json: not a CLIP .*: without <"),
        (TWO, "vocab.json", without("in"), r"'in' of its merges has no id"),
        (TWO, "vocab.json", without('"'), r"ids are not 0, 1, 2"),
        (TWO, "vocab.json", lambda _: [1, 2], r"vocab\.json: .*expected a JSON object"),
        (TWO, "vocab.json", lambda ids: ids | {"!": "0"}, r"ids are not 0, 1, 2"),
        (ONE, "tokenizer.json", without("model"), r"no end_of_word_suffix"),
        (ONE, "tokenizer.json", in_model(end_of_word_suffix=None), r"tokenizer\.json: .*no end_of"),
        (ONE, "tokenizer.json", in_model(vocab=[1]), r"tokenizer\.json: .*no vocab or no"),
        (ONE, "tokenizer.json", in_model(merges=[["a"]]), r"merge 1 is 'a', expected two pieces"),
        (ONE, "tokenizer.json", in_model(merges=3), r"tokenizer\.json: .*no vocab or no"),
        (ONE, "tokenizer.json", lambda c: c | {"added_tokens": [3]}, r": .*its added tokens"),
        (ONE, "tokenizer_config.json", lambda c: c | {"pad_token": "[P]"}, r"pad token '\[P\]'"),
    ],
)
def test_foreign_files_are_refused(tmp_path, names, name, change, message):
    folder = folder_with(tmp_path / "tokenizer", *names)
    spoil(folder, name, change)
    with pytest.raises(InputError, match=message) as caught:
        Tokenizer.from_folder(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    folder = folder_with(tmp_path / "tokenizer", "vocab.json")
    with pytest.raises(
        InputError, match=r"tokenizer: neither tokenizer\.json nor both vocab\.json"
    ):
        Tokenizer.from_folder(folder)
    (folder / "merges.txt").write_text("#version: 0.2\nt h\ni n g\n")
    with pytest.raises(InputError, match=r"merges\.txt: .*merge 2 is 'i n g', expected two pieces"):
        Tokenizer.from_folder(folder)
    (folder / "merges.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"merges\.txt: cannot be read"):
        Tokenizer.from_folder(folder)
    (folder / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(InputError, match=r"tokenizer\.json: not JSON.*copy the file again"):
        Tokenizer.from_folder(folder)


def test_broken_published_vocabulary_is_named(tmp_path):
    file = tmp_path / "vocabulary.txt.gz"
    for content in (b"no gzip", gzip.compress(b"text")[:-4], gzip.compress(b"\xff\n\xff")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"vocabulary\.txt\.gz: not CLIP's vocabulary"):
            Tokenizer.published(file)
    file.write_bytes(gzip.compress(b"version\nt h"))
    with pytest.raises(InputError, match=r"1 merges, expected at least 48894"):
        Tokenizer.published(file)


def test_the_published_vocabulary_is_whole(clip):
    assert clip.size == 49408
    text = "Chest X-ray,  clear LUNG structures, showing pneumothorax"
    start = [49406, 10563, 343, 268, 3077, 267, 3143, 16271, 14171, 267, 3649, 28714, 617, 4130]
    np.testing.assert_array_equal(clip(text)[0], [*start, 9203, *[49407] * 62])
