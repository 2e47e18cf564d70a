"""Arrays that are set aside on disk where they are many."""

from dataclasses import dataclass

import numpy as np
import pytest

from common.data import shelf
from common.data.columns import read
from common.data.shelf import Shelf, by_blocks, joined, kept, taken


@pytest.fixture(autouse=True)
def _little_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path))
    monkeypatch.setattr(shelf, "IN_MEMORY", 5000)
    monkeypatch.setattr(shelf, "_BLOCK", 4)


def resident(array: np.ndarray) -> bool:
    """Return whether an array has memory of its own, which can be written to."""
    return array.flags.writeable


def test_what_is_kept_is_the_same_and_only_the_first_stays_in_memory(tmp_path):
    place = Shelf(tmp_path)
    random = np.random.default_rng(0)
    arrays = [random.random((20, 9)).astype(dtype) for dtype in ("f4", "f8", "u1", "?") * 9]
    held = [place.keep(array) for array in (*arrays, np.ones((3, 700), order="F")[:, ::2])]
    assert resident(held[0])
    assert not resident(held[-1])
    place.release()
    for array, one in zip(arrays, held, strict=False):
        assert (one.dtype, one.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(one, array)
    np.testing.assert_array_equal(held[-1], np.ones((3, 350)))
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_regions_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "_REGION", 4096)
    place = Shelf(tmp_path)
    arrays = [np.full(size, size, np.float64) for size in (900, 200, 200, 3000, 10, 400)]
    held = [place.keep(array) for array in arrays]
    for array, one in zip(arrays, held, strict=True):
        np.testing.assert_array_equal(one, array)


def test_arrays_outlive_their_shelf(tmp_path):
    rows = Shelf(tmp_path).rows(3, (50,), np.dtype("i4"))
    for number in range(3):
        rows.append(np.full(50, number))
    whole = rows.array()
    del rows
    np.testing.assert_array_equal(whole[:, 0], [0, 1, 2])


@dataclass(frozen=True)
class Inner:
    flow: np.ndarray


@dataclass(frozen=True)
class Item:
    name: str
    image: np.ndarray
    inner: Inner


def test_items_are_set_aside_while_data_is_prepared_and_as_they_are_elsewhere(tmp_path):
    item = Item("a", np.arange(3000), Inner(np.ones(2000)))
    assert kept(item) is item
    with shelf.shelf(tmp_path):
        other = kept(item)
    assert other.name == "a"
    assert not resident(other.image)
    assert not resident(other.inner.flow)
    np.testing.assert_array_equal(other.image, item.image)
    assert kept(item) is item


@pytest.mark.parametrize("count", [0, 1, 4, 5, 11, 200])
def test_work_by_blocks_is_that_on_the_whole(count):
    array = np.arange(count * 30.0).reshape(count, 30)
    rows = np.arange(count)[::-1]
    for found, expected in (
        (by_blocks(np.sqrt, array), np.sqrt(array)),
        (by_blocks(np.add, array, array[::-1]), array + array[::-1]),
        (taken(array, rows), array[rows]),
        (joined(array, array[:3]), np.concatenate([array, array[:3]])),
    ):
        np.testing.assert_array_equal(found, expected)
        assert resident(found) == (expected.nbytes <= 5000)


@pytest.mark.parametrize("order", ["as it lies", "another"])
@pytest.mark.parametrize("most", [0, 1 << 20])
def test_columns_are_in_the_order_that_is_asked_for(order, most, monkeypatch):
    monkeypatch.setattr("common.data.columns.IN_MEMORY", most)
    numbers = list(range(30)) if order == "as it lies" else [7, 3, 5, 1]
    source = [
        {"name": b"%03d" % n, "x": np.full((2, 3), n, np.float32), "age": np.float32(n)}
        for n in numbers
    ]
    columns = read(source, ("name",))
    assert columns["name"] == tuple(f"{n:03d}" for n in sorted(numbers))
    np.testing.assert_array_equal(columns["x"][:, 1, 2], sorted(numbers))
    assert columns["x"].shape == (len(numbers), 2, 3)
    assert columns["age"].dtype == np.float32
    assert not columns["x"].flags.writeable
