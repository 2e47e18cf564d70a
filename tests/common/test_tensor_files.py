"""Files of tensors are read tensor by tensor, and what is no such file is one error."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from common.errors import InputError
from common.pretrained.tensor_files import open_tensors, save_tensors

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_checkpoints.npz")
ARRAYS = {
    "z": np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3),
    "half": np.linspace(-2, 2, 5, dtype=np.float16),
    "brain": np.linspace(-2, 2, 5).astype(ml_dtypes.bfloat16),
    "positions": np.arange(7)[None],
    "double": np.array(0.1),
    "flags": np.array([True, False, True]),
    "bytes": np.arange(3, dtype=np.uint8),
    "none": np.zeros((0, 4), np.float32),
    "ü": np.arange(3, dtype=np.int32),
}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


@pytest.mark.parametrize("save", [save_file, lambda arrays, path: save_tensors(path, arrays)])
def test_reads_every_type_as_it_is_stored(tmp_path, save):
    path = tmp_path / "all.safetensors"
    save(ARRAYS, path)
    with open_tensors(path) as tensors:
        assert_same(tensors, ARRAYS)
        assert len(tensors) == len(ARRAYS)
        assert tensors.path == tensors.file("z") == path
        assert tensors.files == (path,)
        assert tensors.metadata == {}
        assert all(tensors.shape(name) == array.shape for name, array in ARRAYS.items())
        assert "z" in tensors
        assert "y" not in tensors
        with pytest.raises(KeyError):
            tensors["y"]


def test_a_closed_file_gives_nothing(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"a": ARRAYS["z"]})
    with open_tensors(tmp_path / "a.safetensors") as tensors:
        pass
    with pytest.raises(ValueError, match="is closed"):
        tensors["a"]


def test_saved_files_are_what_the_package_writes(tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    arrays = {name: np.full((3, 5), i, np.float32) for i, name in enumerate("cab")}
    save_tensors(ours, arrays, {"format": "pt"})
    save_file(arrays, theirs, {"format": "pt"})
    assert ours.read_bytes() == theirs.read_bytes()
    with open_tensors(ours) as tensors:
        assert tensors.metadata == {"format": "pt"}
    save_tensors(ours, ARRAYS)
    assert_same(load_file(ours), ARRAYS)
    with safe_open(ours, "numpy") as file:
        assert file.metadata() is None
    content = ours.read_bytes()
    length = int.from_bytes(content[:8], "little")
    for name, kept in json.loads(content[8 : 8 + length]).items():
        assert (8 + length + kept["data_offsets"][0]) % ARRAYS[name].itemsize == 0  # aligned


def test_saves_views_other_byte_orders_and_arrays_of_jax(tmp_path):
    path, whole = tmp_path / "views.safetensors", np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = {
        "transposed": whole.T,
        "part": whole[::2, 1:],
        "big": whole.astype(">f4"),
        "jax": jnp.asarray(whole),
        "brain": jnp.asarray(whole, jnp.bfloat16),
    }
    save_tensors(path, arrays)
    expected = {name: np.asarray(array) for name, array in arrays.items()}
    assert_same(load_file(path), expected | {"big": whole})


def test_a_file_is_saved_whole_or_not_at_all(tmp_path):
    class Broken(dict):
        def __getitem__(self, name):
            raise RuntimeError("no memory")

    path = tmp_path / "new" / "a.safetensors"
    with pytest.raises(RuntimeError):
        save_tensors(path, Broken(a=ARRAYS["z"]))
    assert list(path.parent.iterdir()) == []
    save_tensors(path, {"a": ARRAYS["z"]})
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        save_tensors(path, Broken(a=ARRAYS["half"]))
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "arrays", [{"a": np.array(["text"])}, {"a": np.zeros(2, complex)}, {"__metadata__": np.ones(1)}]
)
def test_arrays_that_the_format_cannot_hold_are_named(tmp_path, arrays):
    with pytest.raises(InputError, match=f"array '{next(iter(arrays))}' of type"):
        save_tensors(tmp_path / "a.safetensors", arrays)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["lightning", "lightning plain"])
@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt", ".pth"])
def test_of_checkpoints_the_state_dict_is_entered(tmp_path, kind, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(GOLDEN[kind].tobytes())
    expected = {n.removeprefix("lightning:"): GOLDEN[n] for n in GOLDEN if "lightning:" in n}
    with open_tensors(path) as tensors:
        assert list(tensors) == list(expected)
        assert tensors["model.brain"].dtype == ml_dtypes.bfloat16
        for name, array in expected.items():
            assert tensors.shape(name) == array.shape
            np.testing.assert_array_equal(tensors[name].astype(np.float32), array)
        assert tensors.file("model.brain") == path
        assert tensors.metadata == {}


def test_checkpoints_without_a_state_dict_are_read_as_they_are(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(GOLDEN["zip"].tobytes())
    with open_tensors(path) as tensors:
        assert list(tensors) == [n.removeprefix("tensor:") for n in GOLDEN if "tensor:" in n]
        np.testing.assert_array_equal(tensors["layer.part"], GOLDEN["tensor:layer.part"])


def sharded(tmp_path, **changes):
    """Write two shards and their index; return the index's path."""
    save_tensors(tmp_path / "m-1.safetensors", {"a": ARRAYS["z"], "more": ARRAYS["z"]})
    (tmp_path / "m-2.bin").write_bytes(GOLDEN["zip"].tobytes())
    listed = {"counts": "m-2.bin", "a": "m-1.safetensors"} | changes
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": listed}))
    return path


def test_reads_shards_by_their_index(tmp_path):
    with open_tensors(sharded(tmp_path)) as tensors:
        assert_same(tensors, {"counts": np.arange(5), "a": ARRAYS["z"]})
        assert tensors.file("a") == tmp_path / "m-1.safetensors"
        assert tensors.file("counts") == tmp_path / "m-2.bin"
        assert tensors.files == (tensors.path, tensors.file("counts"), tensors.file("a"))
        assert tensors.metadata == {}
    with pytest.raises(ValueError, match="is closed"):
        tensors["a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b": "m-3.safetensors"}, r"its shard m-3\.safetensors is missing"),
        ({"b": "m-1.safetensors"}, r"m-1\.safetensors lacks 'b'"),
        ({"b": "../m-1.safetensors"}, r"lists '\.\./m-1\.safetensors', no file of weights"),
        ({"b": "m.safetensors.index.json"}, "no file of weights beside it"),
        ({"b": 1}, "no weight_map of file names"),
    ],
)
def test_shards_that_do_not_fit_their_index_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"m\.safetensors\.index\.json: .*{message}"):
        open_tensors(sharded(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "no weight_map"),
        ("[1]", "not a JSON object"),
        ('{"weight_map": {}}', "holds no tensors"),
        ('{"weight_map": {"a": "m-1.safetensors", "a": "m-1.safetensors"}}', "has 'a' twice"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' * 100_000, "not JSON"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
    ],
)
def test_bad_indexes_are_one_error(tmp_path, text, message):
    path = sharded(tmp_path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        open_tensors(path)


def header(**tensors):
    return {
        name: {"dtype": d, "shape": s, "data_offsets": o} for name, (d, s, o) in tensors.items()
    }


def file_of(described, data=b"", length=None):
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE = header(a=("F32", [2], [0, 8]))
TWICE = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' * 2
BAD = {
    "data cut off": (file_of(ONE, bytes(7)), "not a whole safetensors file"),
    "data too long": (file_of(ONE, bytes(9)), "not a whole"),
    "overlap": (file_of(ONE | header(b=("F32", [2], [4, 12])), bytes(12)), "not a whole"),
    "gap": (file_of(ONE | header(b=("F32", [2], [12, 20])), bytes(20)), "not a whole"),
    "backwards": (file_of(header(a=("F32", [2], [8, 0])), bytes(8)), "not a whole"),
    "beyond": (file_of(header(a=("F32", [2], [1 << 60, 1 << 61])), bytes(8)), "not a whole"),
    "another shape": (file_of(header(a=("F32", [3], [0, 8])), bytes(8)), "not a whole"),
    "immense shape": (file_of(header(a=("F32", [1 << 62] * 2, [0, 8])), bytes(8)), "not a whole"),
    "negative shape": (file_of(header(a=("F32", [-2], [0, 8])), bytes(8)), "not a whole"),
    "unknown type": (file_of(header(a=("F33", [2], [0, 8])), bytes(8)), "not a whole"),
    "same name, same place": (file_of(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                              b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"1"),
                              "has 'a' twice"),
    "same name": (file_of(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                  b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"12"), "not a whole"),
    "header beyond the file": (file_of(ONE, bytes(8), 1000), "not a whole"),
    "header of terabytes": (file_of(ONE, bytes(8), 1 << 62), "header too large"),
    "header of no bytes": (file_of(ONE, bytes(8), 0), "not a whole"),
    "a list": (file_of(b"[]"), "not a whole"),
    "nested": (file_of(b'{"a":' * 9999), "not a whole"),
    "not UTF-8": (file_of(b'{"\xff":1}'), "not a whole"),
    "odd metadata": (file_of({"__metadata__": {"a": 1}} | ONE, bytes(8)), "not a whole"),
    "no tensors": (file_of({}), "holds no tensors"),
    "3 bytes": (b"abc", "not a whole"),
    "a PyTorch file": (GOLDEN["zip"].tobytes(), "not a whole"),
    "empty": (b"", "an empty file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html>", "a web page in place of the file"),
    "page of XML": (b"<?xml version='1.0'?><Error/>", "a web page"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_safetensors_file_is_one_error(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights .*bad\.safetensors: .*{message}") as caught:
        open_tensors(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors.index.json"])
def test_pages_and_pointers_are_told_of_every_kind(tmp_path, suffix):
    path = tmp_path / f"bad{suffix}"
    for name in ("empty", "pointer", "page", "page of XML"):
        path.write_bytes(BAD[name][0])
        with pytest.raises(InputError, match=BAD[name][1]):
            open_tensors(path)


def test_types_that_are_not_read_are_named_when_asked_for(tmp_path):
    path = tmp_path / "f8.safetensors"
    path.write_bytes(file_of(ONE | header(b=("F8_E4M3", [4], [8, 12])), bytes(12)))
    with open_tensors(path) as tensors:
        assert tensors["a"].shape == (2,)
        with pytest.raises(InputError, match=r"f8\.safetensors: tensor 'b' has the type F8_E4M3"):
            tensors["b"]


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "dir.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "a.npz").write_bytes(b"1")
    for name, message in (
        ("dir.safetensors", "a folder; give a file of weights"),
        ("pipe.bin", "not a regular file"),
        ("none.safetensors", "No such file"),
        ("a.npz", r"no known kind of file; give one of \.safetensors"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            open_tensors(tmp_path / name)


def test_every_truncation_is_one_error(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_tensors(path, ARRAYS)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut\.safetensors"):
            open_tensors(path)


def test_every_changed_byte_is_one_error_or_read(tmp_path):
    path = tmp_path / "flip.safetensors"
    save_tensors(path, {"a": ARRAYS["z"], "b": ARRAYS["half"]}, {"k": "v"})
    content = path.read_bytes()
    generator, refused = np.random.default_rng(0), []
    for place in range(8 + int.from_bytes(content[:8], "little")):
        for change in (1, 128, int(generator.integers(2, 128))):
            damaged = bytearray(content)
            damaged[place] ^= change
            path.write_bytes(damaged)
            try:
                with open_tensors(path) as tensors:
                    assert sum(array.nbytes for array in tensors.values()) <= len(content)
            except InputError as error:
                refused.append(str(error))
    assert len(refused) > 200
    assert all(message.isprintable() for message in refused)


READING = """
import sys
from pathlib import Path
import jax, numpy as np
from common.pretrained.tensor_files import open_tensors

jax.block_until_ready(jax.device_put(np.ones(3)))


def peak():  # not of resource.getrusage, which begins with the peak of the parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


before = peak()
with open_tensors(Path(sys.argv[1])) as tensors:
    arrays = [jax.block_until_ready(jax.device_put(tensors[name])) for name in tensors]
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux does")
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_model_moves_to_the_device_without_a_second_copy(tmp_path, suffix):
    count, size = 24, 8 << 20
    path = tmp_path / f"large{suffix}"
    arrays = {f"t{i}": np.full(size // 4, i, np.float32) for i in range(count)}
    if suffix == ".safetensors":
        save_tensors(path, arrays)
    else:
        write_checkpoint(path, arrays)
    del arrays
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", READING, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    whole = count * size / 2**20
    assert whole * 0.9 < float(done.stdout) < whole + 4 * size / 2**20  # MiB


def write_checkpoint(path, arrays):
    """Write one-dimensional arrays of float32 as PyTorch would."""
    with zipfile.ZipFile(path, "w") as archive:
        pickled = b"(d"
        for name, array in arrays.items():
            archive.writestr(f"archive/data/{name}", array.tobytes())
            pickled += (
                f"S'{name}'\nctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\n"
                f"S'{name}'\nS'cpu'\nI{array.size}\ntQI0\n(I{array.size}\nt(I1\ntI00\nNtRs"
            ).encode()
        archive.writestr("archive/data.pkl", pickled + b".")


def test_nothing_read_is_kept(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"a": ARRAYS["z"]})
    with open_tensors(tmp_path / "a.safetensors") as tensors:
        first = tensors["a"]
        first[:] = 0
        assert_same(tensors, {"a": ARRAYS["z"]})
