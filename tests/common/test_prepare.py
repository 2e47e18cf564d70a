"""From raw files to a prepared data set: made once for config, code and raw files."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from common.data.prepare import prepare
from common.data.prepared import Dataset, Prepared
from common.errors import InputError

ROOT = Path(__file__).parents[2]
STUDY = '''
"""What reads scans and makes examples of them."""

import numpy as np

from common.data.prepared import Dataset, Examples, Reading

calls = []


def files(raw, config):
    return sorted(raw.glob("*.txt"))


def read(raw, config):
    """Return scans."""
    calls.append(raw)
    texts = {file.name: file.read_text() for file in files(raw, config)} if raw else {"a": "1"}
    good = [(name, float(text)) for name, text in texts.items() if text.replace(".", "").isdigit()]
    bad = [f"{name}: no number" for name, text in texts.items() if "x" in text]
    absent = [f"{name}: empty" for name, text in texts.items() if not text]
    return Reading(good, bad, absent, ["notes: of another kind"])


def examples(config, reading):
    rows = {
        name: {"x": np.full((2, 2), x * config.factor, np.float32)}
        | {"name": name, "row": row, "age": x}
        for row, (name, x) in enumerate(reading.items)
    }
    first = dict(list(rows.items())[:1])
    return Examples(
        {"train": rows, "test": first},
        {"train": {"scans": len(rows)}, "test": {"scans": 1}},
        f"{len(rows)} scans",
    )


def unrelated():
    return 1


RAW = Dataset("Scans", "scans of a clinic", False, read, "a folder of *.txt", "ask them", files)
MADE = Dataset("Made up", "made up", True, read)
'''


@dataclass(frozen=True)
class Config:
    """A study's section on data."""

    dataset: str = "scans"
    factor: float = 1.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the file of a study's code, in a project of its own."""
    file = tmp_path / "papers" / "prepared_study.py"
    file.parent.mkdir()
    file.write_text(STUDY)
    return file


@pytest.fixture
def study(source: Path) -> Iterator[ModuleType]:
    """Return the study's code."""
    name = "papers.prepared_study"
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder of three whole scans and a file of something else."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, text in (("a", "1"), ("b", "2.5"), ("c", "3")):
        (folder / f"{name}.txt").write_text(text)
    (folder / "notes").write_text("x")
    return folder


@pytest.fixture
def prepared(study: ModuleType, raw: Path, tmp_path: Path) -> Callable[..., Prepared]:
    """Return a function that prepares the scans, into the same folder each time."""

    def call(config: Config = Config(), dataset: Dataset | None = None, **options) -> Prepared:
        where = {"folder": tmp_path / "data" / "scans", "raw": raw, **options}
        return prepare(dataset or study.RAW, config, study.examples, **where)

    return call


def test_what_was_read_can_be_loaded_and_is_described(prepared, tmp_path) -> None:
    data = prepared()
    assert data.folder == tmp_path / "data" / "scans"
    assert (data.dataset, data.stand_in) == ("scans", False)
    assert data.description == "Scans: 3 scans"
    assert (data.skipped, data.absent) == ((), ())
    assert str(data.account) == "3 files read, 0 bad, 1 ignored (1 of another kind)"
    assert data.ignored == ("notes: of another kind",)
    assert data.sizes == {"train": 3, "test": 1}
    assert data.parts == {"train": {"scans": 3}, "test": {"scans": 1}}
    columns = data.columns("train", "row")
    assert columns["name"] == ("a.txt", "b.txt", "c.txt")
    np.testing.assert_array_equal(columns["x"][1], np.full((2, 2), 2.5, np.float32))
    assert columns["x"].dtype == np.float32
    assert columns["age"].tolist() == [1, 2.5, 3]
    assert len(data.columns("test")["x"]) == 1
    assert prepared() == data  # found


def test_it_is_made_once_for_config_code_and_raw_files(prepared, study, source, raw) -> None:
    first = prepared()
    assert prepared() == first
    source.write_text(
        STUDY.replace("Return scans.", "Return the scans.").replace("return 1", "return 2")
    )
    (raw / "notes").write_text("changed")
    assert prepared() == first
    assert len(study.calls) == 1
    other = prepared(replace(Config(), factor=2.0))
    assert len(study.calls) == 2
    assert other.content_hash != first.content_hash
    assert prepared() == first
    assert len(study.calls) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [('if "x" in text]', 'if "y" in text]'), ("x * config.factor", "x + config.factor")],
)
def test_other_code_prepares_again(old, new, prepared, study, source) -> None:
    prepared()
    assert old in STUDY
    source.write_text(STUDY.replace(old, new))
    prepared()
    assert len(study.calls) == 2
    prepared()
    assert len(study.calls) == 2


def test_other_raw_files_prepare_again_and_none_do_not(prepared, study, raw) -> None:
    first = prepared()
    (raw / "b.txt").write_text("2.6")
    assert prepared().content_hash != first.content_hash
    (raw / "d.txt").write_text("4")
    assert prepared().sizes["train"] == 4
    assert len(study.calls) == 3
    raw.rename(raw.parent / "elsewhere")  # as on a machine that has the prepared data alone
    assert prepared().sizes["train"] == 4
    assert len(study.calls) == 3
    (raw.parent / "elsewhere").rename(raw)
    (raw / "b.txt").touch()
    assert prepared().sizes["train"] == 4
    assert len(study.calls) == 3


def test_bad_files_are_all_listed_or_left_out(prepared, raw, tmp_path) -> None:
    (raw / "b.txt").write_text("x")
    (raw / "c.txt").write_text("x")
    (raw / "d.txt").write_text("")
    with pytest.raises(InputError) as error:
        prepared()
    head, *rows = str(error.value).split("\n")
    assert head.startswith(f"--raw {raw}: 2 bad; ")
    assert head.endswith("--skip-bad:")
    assert rows == ["  b.txt: no number", "  c.txt: no number"]
    assert not (tmp_path / "data" / "scans").exists()
    data = prepared(skip_bad=True)
    assert data.skipped == ("b.txt: no number", "c.txt: no number")
    assert data.absent == ("d.txt: empty",)
    assert data.sizes["train"] == 1
    assert data.description == (
        "Scans: 1 scans; 1 subjects without a file, label or slice; 2 bad left out"
    )
    with pytest.raises(InputError, match=r"2 bad"):  # prepared, but not what is asked for now
        prepared()


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ({}, "nothing is left to work with (it holds none)"),
        ({"a.txt": "x", "b.txt": ""}, "left to work with (a.txt: no number; b.txt: empty)"),
    ],
)
def test_nothing_left_is_one_line(texts, named, prepared, raw) -> None:
    for file in raw.iterdir():
        file.unlink()
    for name, text in texts.items():
        (raw / name).write_text(text)
    with pytest.raises(InputError) as error:
        prepared(skip_bad=True)
    assert str(error.value) == f"--raw {raw}: " + str(error.value).partition(": ")[2]
    assert str(error.value).endswith(named)
    assert "\n" not in str(error.value)


def test_raw_files_that_are_needed_are_asked_for(prepared, study) -> None:
    with pytest.raises(InputError, match=r"data\.dataset=scans needs raw files: ask them, and"):
        prepared(raw=None)
    data = prepared(dataset=study.MADE, raw=None)
    assert data.stand_in
    assert data.sizes["train"] == 1


def test_two_processes_at_once_prepare_once(source, raw, tmp_path) -> None:
    program = (
        "import sys, time, json; from pathlib import Path; from types import SimpleNamespace\n"
        "import papers; papers.__path__[:] = [sys.argv[1] + '/papers']\n"
        "from papers import prepared_study as study\n"
        "from tests.common.test_prepare import Config\n"
        "from common.data.prepare import prepare\n"
        "folder = Path(sys.argv[1])\n"
        "(folder / f'ready{sys.argv[2]}').touch()\n"
        "while not (folder / 'go').exists(): time.sleep(0.005)\n"
        "data = prepare(study.RAW, Config(), study.examples, folder / 'data', folder / 'raw')\n"
        "rows = len(data.columns('train')['name'])\n"
        "print(json.dumps([data.content_hash, len(study.calls), rows]))\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(index)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in range(2)
    ]  # fmt: skip
    try:
        while not all((tmp_path / f"ready{index}").exists() for index in range(2)):
            assert [process.poll() for process in both] == [None, None]
            time.sleep(0.02)
        (tmp_path / "go").touch()
        ended = [process.communicate(timeout=120) for process in both]
    finally:
        for process in both:
            process.kill()
    (one, calls, rows), (two, others, same) = (json.loads(out) for out, _ in ended)
    assert (one, rows) == (two, same)
    assert calls + others == 1
    assert rows == 3
