"""Sizes, splits, hashes, TFDS folders and batches, without any study."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data import builder
from common.data.hashing import content_hash, files_digest
from common.data.images import resize_area
from common.data.loader import ArraySource, batches
from common.data.splits import PARTS, split_groups, split_indices
from common.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "resize_area.npz"


def source(count: int) -> ArraySource:
    return ArraySource({"id": np.arange(count), "half": np.arange(count, dtype=np.float32) / 2})


def ids(iterator, steps: int) -> list[list[int]]:
    return [next(iterator)["id"].tolist() for _ in range(steps)]


# Sizes


@pytest.mark.parametrize("case", ["91x109x96x128", "40x57x24x32", "7x5x10x15"])
def test_resize_is_monai_s_default(case):
    golden = np.load(GOLDEN)
    before, after = golden[f"{case}_before"], golden[f"{case}_after"]
    np.testing.assert_allclose(resize_area(before[None], *after.shape)[0], after, atol=1e-6)


# Splits


def test_split_is_the_published_one():
    """645 subjects x 40 slices, seed 0: the slice numbers of the source's validation.csv."""
    parts = split_indices(25800, 0, 0.6, 0.2)
    assert {part: len(chosen) for part, chosen in parts.items()} == {
        "train": 15480,
        "validation": 5160,
        "test": 5160,
    }
    numbers = parts["validation"][:12] % 40 + 25
    assert numbers.tolist() == [48, 26, 55, 58, 37, 63, 61, 38, 53, 56, 59, 35]


@settings(deadline=None, max_examples=50)
@given(count=st.integers(3, 300), seed=st.integers(0, 10))
def test_split_parts_are_disjoint_and_whole(count, seed):
    parts = split_indices(count, seed, 0.6, 0.2)
    assert sorted(np.concatenate([parts[part] for part in PARTS])) == list(range(count))
    assert all(len(parts[part]) for part in PARTS)


def test_groups_stay_together_and_seeds_matter():
    groups = [f"s{i % 20}" for i in range(200)]
    parts = split_groups(groups, 0, 0.6, 0.2)
    owners = [{groups[i] for i in parts[part]} for part in PARTS]
    assert [len(names) for names in owners] == [12, 4, 4]
    assert len(set().union(*owners)) == 20
    assert parts["test"].tolist() != split_groups(groups, 1, 0.6, 0.2)["test"].tolist()


def test_split_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="2 cannot be split"):
        split_indices(2, 0, 0.6, 0.2)
    with pytest.raises(InputError, match=r"train_fraction 0\.9"):
        split_indices(10, 0, 0.9, 0.1)


# Hashes


def test_content_hash_sees_every_change_and_no_order():
    one = {"a": {"x": np.zeros(2, np.float32), "y": "s"}, "b": {"x": np.ones(2, np.float32)}}
    same = {"b": one["b"], "a": {"y": "s", "x": np.zeros(2, np.float32)}}
    assert content_hash(one) == content_hash(same)
    others = [
        {**one, "b": {"x": np.ones(2, np.float64)}},
        {**one, "b": {"x": np.ones((1, 2), np.float32)}},
        {**one, "b": {"x": np.array([1, 1 + 1e-6], np.float32)}},
        {"a": one["a"], "c": one["b"]},
        {"a": one["a"]},
    ]
    assert len({content_hash(one), *map(content_hash, others)}) == 6


def test_files_digest_is_of_names_and_contents(tmp_path):
    for folder, name, text in (("p", "a", "1"), ("q", "a", "1"), ("r", "a", "2"), ("s", "b", "1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    p, q, r, s = (files_digest((tmp_path / folder).iterdir()) for folder in "pqrs")
    assert p == q
    assert len({p, r, s}) == 3


# Batches


def test_every_epoch_is_another_permutation():
    epochs = [ids(batches(source(12), 4, 7), 9)[i : i + 3] for i in (0, 3, 6)]
    assert all(sorted(np.concatenate(epoch)) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_what_fills_no_batch_is_left_out_and_differs_by_epoch():
    iterator = batches(source(11), 4, 0, epochs=20)
    rows = [row["id"] for row in iterator]
    assert len(rows) == 40
    missing = [
        set(range(11)) - set(np.concatenate(rows[i : i + 2]).tolist()) for i in range(0, 40, 2)
    ]
    assert all(len(left) == 3 for left in missing)
    assert set().union(*missing) == set(range(11))


def test_order_is_a_function_of_seed_and_step():
    first = ids(batches(source(50), 8, 3), 20)
    assert first == ids(batches(source(50), 8, 3), 20)
    assert first != ids(batches(source(50), 8, 4), 20)
    far = batches(source(50), 8, 3)
    far.set_state({"next_index": 17})
    assert ids(far, 3) == first[17:]


def test_seeds_are_not_each_other_shifted_by_an_epoch():
    runs = [ids(batches(source(40), 8, seed), 15) for seed in range(3)]
    epochs = [tuple(map(tuple, run[i : i + 5])) for run in runs for i in (0, 5, 10)]
    assert len(set(epochs)) == 9


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_restored_in_mid_epoch_goes_on_the_same_whatever_the_processes(processes):
    whole = ids(batches(source(50), 8, 1), 12)
    interrupted = batches(source(50), 8, 1)
    ids(interrupted, 7)
    state = interrupted.get_state()
    parts = []
    for index in range(processes):
        part = batches(source(50), 8, 1, process_index=index, process_count=processes)
        part.set_state(state)
        parts.append(ids(part, 5))
    assert np.concatenate(parts, axis=1).tolist() == whole[7:]


def test_fields_stay_together_and_dtypes_stay():
    batch = next(batches(source(10), 5, 0))
    assert batch["half"].dtype == np.float32
    np.testing.assert_array_equal(batch["half"], batch["id"] / 2)


def test_batches_refuse_what_does_not_fit():
    with pytest.raises(InputError, match="batch_size 8 is larger than the 5 examples"):
        batches(source(5), 8, 0)
    with pytest.raises(InputError, match="batch_size 8 cannot be shared by 3"):
        batches(source(50), 8, 0, process_count=3)
    with pytest.raises(ValueError, match="lengths differ"):
        ArraySource({"a": np.zeros(2), "b": np.zeros(3)})


# Folders


def write_small(draft: Path) -> dict:
    examples = {
        f"k{i}": {"x": np.full((2, 3), i / 7, np.float32), "name": f"n{i}"} for i in range(5)
    }
    builder.write("small", draft, {"train": examples, "test": {"k9": examples["k1"]}})
    return {"made": draft.name}


def test_written_examples_are_read_back_exactly(tmp_path, capsys):
    write_small(tmp_path)
    train, test = (builder.read("small", tmp_path, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (5, 1)
    rows = {row["name"].decode(): row["x"] for row in (train[i] for i in range(5))}
    for i in range(5):
        np.testing.assert_array_equal(rows[f"n{i}"], np.full((2, 3), i / 7, np.float32))
    assert capsys.readouterr() == ("", "")


def test_every_kind_of_field_comes_back_with_its_type(tmp_path):
    fields = {
        "half": np.full((2, 1), 0.5, np.float32),
        "byte": np.array([[1, 255]], np.uint8),
        "double": np.array([1 / 3]),
        "label": np.array([True, False]),
        "text": "ä",
        "whole": 7,
        "number": np.int64(2**31 - 1),
        "real": 0.1,
        "single": np.float32(0.1),
    }
    builder.write("kinds", tmp_path, {"train": {"k": fields}})
    row = builder.read("kinds", tmp_path, "train")[0]
    assert set(row) == set(fields)
    for name in ("half", "byte", "double", "label"):
        np.testing.assert_array_equal(row[name], fields[name])
        assert row[name].dtype == fields[name].dtype
    assert row["text"].decode() == "ä"
    assert (row["whole"], row["number"]) == (7, 2**31 - 1)
    assert np.float32(row["real"]) == row["single"] == np.float32(0.1)


def test_tensorflow_is_never_imported(tmp_path):
    """A package of that name is put where it would be found, and stops the program if it is."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("import os\nos._exit(7)\n")
    program = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from common.data import builder, loader\n"
        "folder, x = Path(sys.argv[1]), {'x': np.ones(3, np.float32)}\n"
        "builder.write('tiny', folder, {'train': {'k': x}})\n"
        "print(next(loader.batches(builder.read('tiny', folder, 'train'), 1, 0))['x'].shape)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "(1, 3)\n"), done.stderr
