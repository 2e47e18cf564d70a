"""The user's own weights have names; their files stay as they are."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from common import paths
from common.errors import InputError
from common.pretrained import registered
from common.pretrained.registered import forget, register, registered_path, state_of
from common.pretrained.tensor_files import save_tensors

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_checkpoints.npz")
ARRAY = np.ones((2, 3), np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(tmp_path):
    """Return a folder in diffusers' layout, with what else lies in such folders."""
    folder = tmp_path / "model"
    save_tensors(folder / "unet" / "diffusion_pytorch_model.safetensors", {"a": ARRAY})
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "merges.txt").write_text("a b")
    (folder / "model_index.json").write_text("{}")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "training_args.bin").write_bytes(b"of a trainer")
    (folder / "README.md").write_text("read me")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "a.json").write_text("{}")
    return folder


NAMES = [
    "model_index.json",
    "safety_checker/training_args.bin",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
]


def snapshot(folder):
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.rglob("*")}


def test_a_folder_is_registered_by_the_hash_of_its_files(model, home):
    before = snapshot(model)
    made = register("sd15", model)
    assert (made.name, made.kind, made.path) == ("sd15", "diffusers folder", str(model))
    assert [file.name for file in made.files] == NAMES
    for file in made.files:
        content = (model / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert made.size == sum(file.size for file in made.files)
    assert registered.registered() == [made]
    assert [file.name for file in (paths.weights() / "registered").iterdir()] == ["sd15.json"]
    assert registered_path("sd15") == model
    assert (state_of(made), state_of(made, verify=True)) == ("present", "verified")
    assert snapshot(model) == before
    forget("sd15")
    assert registered.registered() == []
    assert snapshot(model) == before


def write(path, kind):
    if kind == "LoRA":
        save_tensors(path, {"unet.down.to_q.lora.down.weight": ARRAY})
    elif kind == "kohya":
        save_tensors(path, {"lora_unet_down_to_q.lora_up.weight": ARRAY})
    elif kind == "textual inversion":
        save_tensors(path, {"<lung>": ARRAY})
    elif kind == "checkpoint":
        save_tensors(path, {"model.diffusion_model.out.2.weight": ARRAY, "x": ARRAY[None]})
    else:
        save_tensors(path, {"explorative": ARRAY[None]})


@pytest.mark.parametrize("kind", ["LoRA", "kohya", "textual inversion", "checkpoint", "weights"])
def test_the_kind_of_a_file_is_told_by_its_tensors(tmp_path, kind):
    path = tmp_path / "own.safetensors"
    write(path, kind)
    made = register("own", path)
    assert made.kind == ("LoRA" if kind == "kohya" else kind)
    assert [file.name for file in made.files] == ["own.safetensors"]
    assert registered_path("own") == path


def test_checkpoints_and_plain_folders_and_shards_are_registered(tmp_path):
    (tmp_path / "own.ckpt").write_bytes(GOLDEN["lightning"].tobytes())
    assert register("ckpt", tmp_path / "own.ckpt").path == str(tmp_path / "own.ckpt")
    folder = tmp_path / "control"
    save_tensors(folder / "m-1.safetensors", {"a": ARRAY})
    index = folder / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "m-1.safetensors"}}))
    assert register("control", folder).kind == "folder"
    made = register("shards", index)
    assert [file.name for file in made.files] == ["m.safetensors.index.json", "m-1.safetensors"]
    assert state_of(made, verify=True) == "verified"
    (folder / "m-1.safetensors").unlink()
    assert state_of(made) == "changed"


@pytest.mark.parametrize("change", ["longer", "same size", "missing", "more"])
def test_a_changed_folder_is_told(model, change):
    made = register("sd15", model)
    config = model / "unet" / "config.json"
    if change == "longer":
        config.write_text('{"a": 1}')
    elif change == "same size":
        config.write_text("[]")
    elif change == "missing":
        config.unlink()
    else:
        (model / "vae.json").write_text("{}")
    (model / "README.md").write_text("another text, which is no one's weights")
    seen = change != "same size"
    assert state_of(made) == ("changed" if seen else "present")
    assert state_of(made, verify=True) == "changed"
    if seen:
        with pytest.raises(InputError, match=r"weights sd15: .*model is changed; put it back"):
            registered_path("sd15")
    assert register("sd15", model).files != made.files  # the same path again: as it is now
    assert registered_path("sd15") == model


def test_gone_weights_are_told(model):
    made = register("sd15", model)
    model.rename(model.with_name("moved"))
    assert state_of(made, verify=True) == "gone"
    with pytest.raises(InputError, match=r"weights sd15: .*model is gone; put it back"):
        registered_path("sd15")


def test_a_name_stands_for_one_path(tmp_path, model):
    register("sd15", model)
    save_tensors(tmp_path / "a.safetensors", {"a": ARRAY})
    with pytest.raises(InputError, match=r"sd15: registered for .*model; weights --remove sd15"):
        register("sd15", tmp_path / "a.safetensors")
    forget("sd15")
    register("sd15", tmp_path / "a.safetensors")
    assert registered_path("sd15") == tmp_path / "a.safetensors"


@pytest.mark.parametrize("name", ["inception", "clip-vocabulary"])
def test_names_of_published_sets_are_taken(model, name):
    with pytest.raises(InputError, match=f"weights {name}: the name of a published set"):
        register(name, model)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".a", "-a", "a.json", "ü", "a" * 65])
def test_names_are_plain_words(model, name):
    for ask in (lambda: register(name, model), lambda: forget(name)):
        with pytest.raises(InputError, match="not a name; letters, digits, - and _"):
            ask()


def test_paths_without_weights_are_refused(tmp_path, home, model):
    (tmp_path / "none").mkdir()
    (tmp_path / "a.npz").write_bytes(b"1")
    for path, message in (
        ("absent", "no such file or folder"),
        ("none", "no weights in this folder"),
        ("a.npz", "no known kind of file"),
    ):
        with pytest.raises(InputError, match=f"{path}: {message}"):
            register("own", tmp_path / path)
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.safetensors: not a whole safetensors file"):
        register("own", model)
    weights.unlink()
    pointer = model / "safety_checker" / "training_args.bin"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"training_args\.bin: a pointer of Git LFS"):
        register("own", model)
    assert not home.exists()


def test_a_whole_disk_is_no_folder_of_weights(model, monkeypatch):
    monkeypatch.setattr(registered, "_ENTRIES", 5)
    with pytest.raises(InputError, match="more than 5 files; give the folder of one model"):
        register("sd15", model)


def test_a_path_is_its_own_name(tmp_path, model, monkeypatch):
    assert registered_path(model) == registered_path(str(model)) == model
    monkeypatch.chdir(tmp_path)
    assert registered_path("model") == Path("model")
    save_tensors(tmp_path / "a.safetensors", {"a": ARRAY})
    register("model", Path("a.safetensors"))  # the name wins over a path of the same letters
    assert registered_path("model") == tmp_path / "a.safetensors"


def test_unknown_names_are_told_with_the_nearest(model):
    with pytest.raises(InputError, match=r"'sd15': no such .*, register one by weights --add"):
        registered_path("sd15")
    register("sd15", model)
    with pytest.raises(InputError, match=r"'sd-15': no such .*, did you mean 'sd15'\?"):
        registered_path("sd-15")
    with pytest.raises(InputError, match=r"sd5: not registered, did you mean 'sd15'\?"):
        forget("sd5")
    with pytest.raises(InputError, match="'': no such path"):
        registered_path("")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{"a": 1}]}', '{"files": []}'])
def test_a_damaged_record_is_named_and_can_be_removed(model, text):
    register("sd15", model)
    record = paths.weights() / "registered" / "sd15.json"
    record.write_text(text)
    for ask in (registered.registered, lambda: registered_path("sd15")):
        with pytest.raises(InputError, match=r"sd15\.json: not a record of weights; weights --rem"):
            ask()
    forget("sd15")
    assert registered.registered() == []


def test_links_to_files_are_followed(tmp_path, model):
    # as a hub's cache holds them: names that point to files named by their hash
    linked = tmp_path / "snapshot"
    linked.mkdir()
    (linked / "a.safetensors").symlink_to(model / "unet" / "diffusion_pytorch_model.safetensors")
    (linked / "loop").symlink_to(linked)
    (linked / "dangling.json").symlink_to(linked / "none")
    made = register("linked", linked)
    assert [file.name for file in made.files] == ["a.safetensors"]
    assert made.path == str(linked)
