"""Settings made before JAX starts: which are set, which stay, and what a strange jaxlib meets."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import paths, xla

ROOT = Path(__file__).parents[2]
OURS = xla._EXPERIMENTAL
SET = (
    "XLA_FLAGS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, and nothing set by the user but that there is no GPU to compute on."""
    for name in SET:
        monkeypatch.setenv(name, "")  # restored afterwards, whatever `configure` makes of it
        monkeypatch.delenv(name)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("REPLICATIONS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def forbid_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla, "_tried", lambda flag: pytest.fail(f"{flag} was tried"))


def test_what_is_set_is_what_jax_then_says() -> None:
    asks = """
from common import xla
xla.configure()
import os, jax
jax.devices()
print(os.environ["XLA_FLAGS"])
print(jax.config.jax_default_matmul_precision, jax.config.jax_compilation_cache_dir)
"""
    done = subprocess.run(
        [sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [OURS, "float32", str(paths.compilation())]


def test_a_flag_is_tried_once(monkeypatch) -> None:
    xla.configure()
    assert os.environ["XLA_FLAGS"] == OURS
    forbid_trials(monkeypatch)
    for before in ("", "--xla_cpu_use_xnnpack=false"):
        monkeypatch.setenv("XLA_FLAGS", before)
        xla.configure()
        assert os.environ["XLA_FLAGS"] == f"{before} {OURS}".strip()


@pytest.mark.parametrize(
    "flag",
    ["--xla_cpu_no_such_flag=1", "--xla_cpu_experimental_ynn_fusion_type=-no_such_type"],
    ids=["flag", "value"],
)
def test_a_flag_that_jaxlib_does_not_know_is_left_out(flag: str, monkeypatch) -> None:
    monkeypatch.setattr(xla, "_EXPERIMENTAL", flag)
    xla.configure()
    assert os.environ["XLA_FLAGS"] == ""
    (kept,) = paths.compilation().iterdir()
    assert json.loads(kept.read_text()) == {flag: False}
    forbid_trials(monkeypatch)
    xla.configure()
    assert os.environ["XLA_FLAGS"] == ""


def test_a_trial_that_fails_for_another_reason_is_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(xla, "_PROBE", "import no_such_module")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == ""
    assert not paths.compilation().exists()
    monkeypatch.setattr(xla, "_PROBE", "pass")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == OURS


def test_another_jaxlib_is_tried_again(monkeypatch) -> None:
    xla.configure()
    monkeypatch.setattr(xla.importlib.metadata, "version", lambda name: "99.0")
    monkeypatch.setattr(xla, "_tried", lambda flag: False)
    monkeypatch.setenv("XLA_FLAGS", "")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == ""
    assert len(list(paths.compilation().iterdir())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "\x00"])
def test_a_damaged_record_is_made_again(content: str, monkeypatch) -> None:
    monkeypatch.setattr(xla, "_tried", lambda flag: True)
    xla.configure()
    (kept,) = paths.compilation().iterdir()
    whole = kept.read_text()
    kept.write_text(content)
    monkeypatch.setenv("XLA_FLAGS", "")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == OURS
    assert kept.read_text() == whole


def test_a_home_that_cannot_be_written_breaks_nothing(home: Path, monkeypatch) -> None:
    home.write_text("a file where a folder should be")
    monkeypatch.setattr(xla, "_tried", lambda flag: True)
    xla.configure()
    assert os.environ["XLA_FLAGS"] == OURS


def test_what_the_user_has_set_stays(monkeypatch) -> None:
    forbid_trials(monkeypatch)
    chosen = {
        "XLA_FLAGS": "--xla_cpu_experimental_ynn_fusion_type=+dot",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_COMPILATION_CACHE_DIR": "/elsewhere",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    xla.configure()
    assert {name: os.environ[name] for name in chosen} == chosen


@pytest.mark.parametrize(
    ("plugin", "platforms", "before", "expected"),
    [
        ("xla_cuda13", None, "", "--xla_gpu_deterministic_ops=true"),
        ("xla_rocm7", "rocm,cpu", "", "--xla_gpu_deterministic_ops=true"),
        ("xla_cuda12", "cpu", "", ""),
        ("xla_cuda12", None, "--xla_gpu_deterministic_ops=false", ""),
        ("libtpu", None, "", ""),
    ],
)
def test_operations_on_a_gpu_are_deterministic(
    plugin, platforms, before, expected, tmp_path, monkeypatch
) -> None:
    if expected == "" and plugin == "libtpu" and xla._runs_on_gpu():
        pytest.skip("a GPU's plugin is installed")
    (tmp_path / "site" / "jax_plugins" / plugin).mkdir(parents=True)
    (tmp_path / "site" / "jax_plugins" / plugin / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(xla, "_accepted", lambda flag: False)
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setenv("JAX_PLATFORMS", platforms or "")
    xla.configure()
    assert os.environ["XLA_FLAGS"] == f"{before} {expected}".strip()


def test_the_precision_changes_nothing_on_a_cpu() -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("for the CPU")
    rng = np.random.default_rng(0)
    image, kernel, matrix = (
        jnp.asarray(rng.standard_normal(shape), jnp.float32)
        for shape in [(2, 12, 16, 8), (3, 3, 8, 4), (40, 30)]
    )

    def function(image, kernel, matrix):
        layout = ("NHWC", "HWIO", "NHWC")
        out = jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=layout)
        return jnp.sum(out**2) + jnp.sum(jnp.tanh(matrix @ matrix.T))

    def compiled(precision):
        with jax.default_matmul_precision(precision):
            step = jax.jit(jax.value_and_grad(function, (0, 1, 2)))
            program = step.lower(image, kernel, matrix).compile()
        return program.as_text(), jax.tree.leaves(program(image, kernel, matrix))

    (default, values), (stated, same) = compiled(None), compiled("float32")
    assert "operand_precision={highest" in stated
    assert "operand_precision" not in default
    plain = [
        re.sub(r", operand_precision=\{[^}]*\}|, metadata=\{[^}]*\}", "", line)
        for text in (default, stated)
        for line in text.splitlines()
        if " = " in line  # an instruction
    ]
    half = len(plain) // 2
    assert plain[:half] == plain[half:]
    for a, b in zip(values, same, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("most", "kept"), [("100\n", 0), ("9000000\n", 1), (None, 1)])
def test_programs_are_dropped_before_linux_allows_no_more(
    monkeypatch, tmp_path, most, kept
) -> None:
    limit = tmp_path / "max_map_count"
    if most is not None:
        limit.write_text(most)
    monkeypatch.setattr(xla, "_MOST_MAPPINGS", limit)
    double = jax.jit(lambda x: 2 * x)
    assert double(jnp.ones(())) == 2
    xla.drop_programs_of_many()
    assert double._cache_size() == (kept if Path("/proc/self/maps").exists() else 1)
