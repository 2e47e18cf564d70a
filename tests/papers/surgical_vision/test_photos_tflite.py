"""Models of TensorFlow Lite against ai-edge-litert; tests/golden/make_tflite.py recorded it."""

from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from papers.surgical_vision.photos import find, tflite

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "tflite.npz")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(GOLDEN["model"].tobytes())
    return path


def test_every_operator_gives_what_tensorflow_lite_gives(file):
    model = tflite.read(file)
    assert {step.name for step in model.operators} == set(tflite.CODES.values())
    outputs = tflite.predictor(model)(GOLDEN["image"])
    assert len(outputs) == 2
    for i, output in enumerate(outputs):
        assert output.shape == model.shapes[i]
        np.testing.assert_allclose(output, GOLDEN[f"output{i}"], rtol=1e-5, atol=1e-5)


def test_other_files_and_damaged_ones_are_named(file):
    content = file.read_bytes()
    damaged = [b"", content[:300], content[: len(content) // 2], b"\xff" * 500]
    for wrong in [*damaged, content[:8] + b"\xff" * 100 + content[108:]]:
        file.write_bytes(wrong)
        with pytest.raises(InputError, match=r"small\.tflite: no TensorFlow Lite model"):
            tflite.read(file)


def test_an_operator_that_is_not_known_is_named(file, monkeypatch):
    monkeypatch.delitem(tflite.CODES, 54)
    with pytest.raises(InputError, match="operator 54 is not known"):
        tflite.read(file)


def test_a_network_for_something_else_is_refused(file):
    with pytest.raises(InputError, match=r"outputs are \(\(1, 98, 2\), .*expected \(\(1, 2304"):
        find.loaded(file, file)
