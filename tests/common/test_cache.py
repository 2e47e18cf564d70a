"""Arrays that are computed once for each key."""

import numpy as np
import pytest

from common.results.cache import cached


@pytest.fixture
def make():
    """Return a function that counts how often it is called, and gives that number."""

    def call() -> dict[str, np.ndarray]:
        call.times += 1
        return {"x": np.full((2, 3), call.times, np.float32), "y": np.arange(call.times)}

    call.times = 0
    return call


def test_arrays_are_made_once_for_a_key(tmp_path, make):
    folder = tmp_path / "deep"
    first = cached(folder, "real", "a", make)
    assert make.times == 1
    again = cached(folder, "real", "a", make)
    assert make.times == 1
    for arrays in (first, again):
        assert sorted(arrays) == ["x", "y"]
        assert arrays["x"].dtype == np.float32
        np.testing.assert_array_equal(arrays["x"], np.ones((2, 3)))


def test_another_key_or_name_is_made_again_and_the_old_one_stays(tmp_path, make):
    cached(tmp_path, "real", "a", make)
    assert cached(tmp_path, "real", "b", make)["x"][0, 0] == 2
    assert cached(tmp_path, "drawn", "a", make)["x"][0, 0] == 3
    assert cached(tmp_path, "real", "a", make)["x"][0, 0] == 1
    assert make.times == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "inside"])
def test_a_damaged_file_is_made_again(tmp_path, make, damage):
    cached(tmp_path, "real", "a", make)
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    middle = len(whole) // 4
    content = {
        "cut": whole[:-30],
        "empty": b"",
        "other": b"not an archive",
        "inside": whole[:middle] + bytes(byte ^ 255 for byte in whole[middle:][:8])
        + whole[middle + 8 :],
    }  # fmt: skip
    file.write_bytes(content[damage])
    assert cached(tmp_path, "real", "a", make)["x"][0, 0] == 2
    assert cached(tmp_path, "real", "a", make)["x"][0, 0] == 2
