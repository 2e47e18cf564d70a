"""Checkpoints are read without running what their pickle asks for.

tests/golden/make_torch_checkpoints.py recorded what PyTorch wrote.
"""

import _thread
import os
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from common.errors import InputError
from common.pretrained.torch_checkpoint import TorchCheckpoint, read_torch_checkpoint

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_checkpoints.npz")


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


def test_a_part_of_a_storage_does_not_hold_the_whole(tmp_path):
    found = read_torch_checkpoint(golden_file(tmp_path, "zip"))
    assert found["layer.part"].base is None
    assert found["layer.transposed"].flags.c_contiguous
    assert all(array.flags.writeable for array in found.values())


def test_reads_what_torchscript_saves(tmp_path):
    found = read_torch_checkpoint(golden_file(tmp_path, "script"))
    assert set(found) == {"inner.weight", "inner.bias"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, GOLDEN[f"script:{name}"])


@pytest.mark.parametrize("kind", ["lightning", "lightning plain"])
def test_reads_the_weights_of_what_trainers_save(tmp_path, kind):
    found = read_torch_checkpoint(golden_file(tmp_path, kind))
    expected = {n.removeprefix("lightning:"): GOLDEN[n] for n in GOLDEN if "lightning:" in n}
    assert list(found) == [*(f"state_dict.{name}" for name in expected), "mean"]
    for name, value in expected.items():
        stored = found[f"state_dict.{name}"]
        np.testing.assert_array_equal(stored.astype(np.float32), value, err_msg=name, strict=True)
    assert found["state_dict.model.brain"].dtype == ml_dtypes.bfloat16
    assert found["state_dict.model.half"].dtype == np.float16


def test_reads_a_dictionary_of_parameters(tmp_path):
    found = read_torch_checkpoint(golden_file(tmp_path, "parameters"))
    assert {name: value.shape for name, value in found.items()} == {
        "string_to_param._parameters.*": (2, 4)
    }


class Runs:
    """What an attacker puts into a pickle: a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("container", ["zip", "plain"])
@pytest.mark.parametrize("function", [os.mkdir, exec, getattr, np.zeros, _thread.start_new_thread])
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


def test_archives_that_unpack_to_more_are_refused(tmp_path):
    path = tmp_path / "packed.pt"
    for member in ("data.pkl", "data/0"):
        with zipfile.ZipFile(torch_file(tmp_path)) as source, zipfile.ZipFile(path, "w") as copy:
            for name in source.namelist():
                packed = zipfile.ZIP_DEFLATED if name.endswith(member) else zipfile.ZIP_STORED
                copy.writestr(name, source.read(name), packed)
        with pytest.raises(InputError, match=rf"packed\.pt: refused, .*{member} is compressed"):
            read_torch_checkpoint(path)


@pytest.mark.parametrize("kind", ["zip", "plain", "script", "lightning", "lightning plain"])
def test_damaged_files_are_one_error_or_read(tmp_path, kind):
    path = golden_file(tmp_path, kind)
    content = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    refused = []
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), generator.integers(1, 6)):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            read_torch_checkpoint(path)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert all(message.isprintable() for message in refused)


@pytest.mark.parametrize("kind", ["zip", "plain", "script"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, kind, share):
    path = golden_file(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"{kind}\.pt"):
        TorchCheckpoint(path)  # before any tensor is read


def test_tensor_beyond_its_storage_is_refused(tmp_path):
    path, damaged = golden_file(tmp_path, "zip"), tmp_path / "damaged.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(damaged, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            copy.writestr(name, content[:-4] if "/data/" in name and content else content)
    with pytest.raises(InputError, match="data/0 has 92 bytes, expected 96"):
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
        ({"kind": "module"}, "no storage of numbers"),
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
