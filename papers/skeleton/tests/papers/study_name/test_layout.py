"""The raw folder: what is read of it, and what cannot be used."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from common.errors import InputError
from papers.study_name import layout
from papers.study_name.config import DataConfig

ROWS = ["image,patient,label", "a.png,one,1", "b.png,two,0"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / layout.TABLE).write_text("\n".join(ROWS))
    for name, gray in (("a.png", 50), ("b.png", 200)):
        imageio.imwrite(tmp_path / name, np.full((32, 32), gray, np.uint8))
    return tmp_path


def test_images_are_read_with_their_labels(raw: Path) -> None:
    (raw / "notes.txt").write_text("none of the data")
    found = layout.read(raw, DataConfig(size=16))
    assert [(one.name, one.patient, one.label) for one in found.items] == [
        ("a", "one", 1),
        ("b", "two", 0),
    ]
    assert found.items[1].image.shape == (16, 16)
    assert (found.items[1].image == 200).all()
    assert not found.bad
    assert len(found.ignored) == 1
    assert {file.name for file in layout.files(raw, DataConfig())} == {
        layout.TABLE, "a.png", "b.png"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c.png,two,0", "cannot be read"),
        ("b.png,two,0.5", "label is 0.5, not 0 or 1"),
        ("b.png,two,", "label is missing"),
        ("b.png,,0", "patient is missing"),
    ],
)
def test_what_cannot_be_used_is_bad_with_its_reason(raw: Path, row: str, words: str) -> None:
    (raw / layout.TABLE).write_text("\n".join([*ROWS[:2], row]))
    found = layout.read(raw, DataConfig())
    assert [one.name for one in found.items] == ["a"]
    assert words in found.bad[0]


def test_a_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no labels\.csv there"):
        layout.read(tmp_path, DataConfig())
