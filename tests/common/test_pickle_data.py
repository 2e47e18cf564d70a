"""Pickles are data: nothing they name is run, and a few bytes cost no more than a few bytes."""

import io
import pickle
import resource
import sys
import time
import zipfile

import numpy as np
import pytest

from common.errors import InputError
from common.pretrained import pickle_data, torch_checkpoint, torch_pickle
from common.pretrained.pickle_data import read_pickle
from common.pretrained.torch_checkpoint import read_torch_checkpoint

ORDERED = b"ccollections\nOrderedDict\n"
TENSOR = (  # the first two of the items that `written` writes
    b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\nt"
    b"QI0\n(I2\nt(I1\ntI00\nNtR"
)

TYPED = b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nSize\nctorch\nTensor\n("


def written(tmp_path, pickled, container="zip"):
    """Write a checkpoint of this pickle over the items 0, 1, 2, 3."""
    path = tmp_path / "one.pth"
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())
    else:
        start = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
        path.write_bytes(b"".join(start) + pickled + pickle.dumps([], 2))
    return path


def peak():
    """Return the most memory that this process has taken, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def read(pickled):
    return read_pickle(io.BytesIO(pickled), torch_pickle._find)


VALUES = {
    "mixed": {"a": [1, -2.5, True, None, "ü\n"], "b": (1, (2, 3), ()), 3: {None: 1 << 70}},
    "containers": [[], {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "long": ["long" * 100, 1 << 3000, -(1 << 31)],
    "many": list(range(3000)),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_reads_data_as_python_does(name, protocol):
    assert read(pickle.dumps(VALUES[name], protocol)) == VALUES[name]
    shared = ["shared"]
    found = read(pickle.dumps([shared, shared], protocol))
    assert found == [shared, shared]
    assert found[0] is found[1]
    if protocol > 2:  # before, bytes were the call of a function
        content = [b"bytes", b"long" * 100]
        assert read(pickle.dumps(content, protocol)) == content


def test_reads_dictionaries_as_python_2_wrote_them(tmp_path):
    path = written(tmp_path, ORDERED + b"((lp0\n(lS'a'\na" + TENSOR + b"aatR.")
    np.testing.assert_array_equal(read_torch_checkpoint(path)["a"], np.float32([0, 1]))


def laughs(levels):
    """Return a pickle of dictionaries each of which holds the one before it twice."""
    levels = [b"}q%c(X\1\0\0\0ah%cX\1\0\0\0bh%cu" % (i + 1, i, i) for i in range(levels)]
    return b"}q\0" + b"".join(levels)


def doubled(count=60):
    """Return opcodes that leave a tuple whose hash or text takes 2^count steps."""
    return b")q\0" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(count))


HOSTILE = {
    "shared dictionaries": (laughs(30), "more than 200,000 entries"),
    "many of them": (laughs(60), "nested more than 32 deep"),
    "nested dictionaries": (b"}X\1\0\0\0a" * 9000 + b"}" + b"s" * 9000, "32 deep"),
    "tuple as a key": (b"}" + doubled() + b"Ns", "key of type tuple"),
    "tuple as a storage": (doubled() + b"Q", "no storage"),
    "tuple as a name": (doubled() + b"h\0\x93", "makes no sense"),
    "equal hashes": (b"}\x8a\x09" + bytes(8) + b"\x10Ns", "key of type int"),
    "key without a value": (b"}(NNNu", "not read"),
    "long name": (b"}X\xd0\7\0\0" + b"a" * 2000 + b"Ns", "more than 1000 characters"),
    "view of complex numbers": (TENSOR[:-2] + b"}I1\nNstR", "not simply a part"),
    "tensor of anything": (
        TENSOR.replace(b"ctorch._utils\n_rebuild_tensor_v2\n(", TYPED, 1)[:-1] + b"NtR",
        "not simply a part",
    ),
    "many dimensions": (TENSOR.replace(b"(I2\nt", b"(" + b"I1\n" * 99 + b"t"), "than 64 dim"),
    "many arguments": (b"ctorch\nSize\n(" + b"N" * 100 + b"tR", "100 arguments"),
    "place in the memo": (b"}r\xff\xff\xff\xff", None),
    "long bytes": (b"B\xff\xff\xff\xff", "but only"),
    "longer bytes": (b"\x8e" + b"\xff" * 7 + b"\0", "but only"),
    "array of bytes": (b"\x96" + b"\xff" * 7 + b"\0", "but only"),
    "digits": (b"I" + b"9" * 100_000 + b"\n", "digits"),
    "extension": (b"\x82\1", "uses EXT1"),
    "instance": (b"(ios\nmkdir\n", "uses INST"),
    "class with keywords": (b"ctorch\nSize\n)}\x92", "uses NEWOBJ_EX"),
    "name of two lines": (b"\x8c\x02os\x8c\x03a\nb\x93", r"os\.a\\nb"),
    "name without end": (b"cos", "not read"),
    "mark that is not there": (b"t", "no sense at TUPLE"),
}


@pytest.mark.parametrize("container", ["zip", "plain"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_take_no_time_and_no_memory(tmp_path, name, container):
    pickled, message = HOSTILE[name]
    path = written(tmp_path, b"\x80\2" + pickled + b".", container)
    before, begin = peak(), time.process_time()
    if message is None:
        assert read_torch_checkpoint(path) == {}
    else:
        with pytest.raises(InputError, match=rf"one\.pth: .*({message})") as caught:
            read_torch_checkpoint(path)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
    assert time.process_time() - begin < 20  # minutes to years, were it not refused
    assert peak() - before < 400e6


def test_keys_of_storages_are_not_hashed_unseen(tmp_path):
    path = written(tmp_path, b"}.", "plain")
    path.write_bytes(path.read_bytes().removesuffix(pickle.dumps([], 2)) + b"]" + doubled() + b"a.")
    with pytest.raises(InputError, match="lists a storage that no tensor uses"):
        read_torch_checkpoint(path)


def test_length_of_a_pickle_is_limited(tmp_path, monkeypatch):
    path = written(tmp_path, pickle.dumps(["long" * 100], 2))
    assert read_torch_checkpoint(path) == {}
    monkeypatch.setattr(torch_checkpoint, "_PICKLE_BYTES", 400)
    with pytest.raises(InputError, match=r"data\.pkl has 4\d\d bytes"):
        read_torch_checkpoint(path)


def test_number_of_opcodes_is_limited(monkeypatch):
    monkeypatch.setattr(pickle_data, "_OPCODES", 1000)
    assert read(b"N" * 999 + b".") is None
    with pytest.raises(pickle_data.Refused, match="more than 1,000 opcodes"):
        read(b"N" * 1000 + b".")


def test_a_list_fills_one_dictionary():
    # else a thousand items, named a thousand times, would be a million
    pairs = b"]q\0(X\1\0\0\0aN\x86e0"
    assert read(pairs + b"(" + 2 * (ORDERED + b"h\0\x85R") + b"t.") == ({"a": None}, {})


def test_many_tensors_of_one_storage_are_refused(tmp_path):
    tensor = TENSOR.replace(b"I4", b"I1000").replace(b"(I2\n", b"(I1000\n")
    path = tmp_path / "one.pth"
    for count in (10, 400):
        with zipfile.ZipFile(path, "w") as archive:
            entries = b"".join(b"I%d\n%bs" % (i, tensor) for i in range(count))
            archive.writestr("archive/data.pkl", b"(d" + entries + b".")
            archive.writestr("archive/data/0", bytes(4000))
        if count == 10:
            assert len(read_torch_checkpoint(path)) == 10
    with pytest.raises(InputError, match="its tensors take 1,600,000 bytes, the file"):
        read_torch_checkpoint(path)
