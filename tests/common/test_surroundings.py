"""What surrounds a run changes no number: variables of JAX, git, the checkout, the shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.results import manifest

ROOT = Path(__file__).parents[2]
COMPUTE = """
from common.pipeline.process import prepare_process
prepare_process()
import jax, jax.numpy as jnp, numpy as np
draws = jax.jit(jax.random.normal, static_argnums=1)(jax.random.key(0), (64,))
whole = jnp.arange(5) / 3 + np.float64(0.1)
print(*(f"{each.dtype} {np.asarray(each).tobytes().hex()}" for each in (draws, whole)))
"""
FAIL = """
from common import xla
import jax.numpy as jnp
try:
    jnp.zeros(1)
except Exception as error:
    print(xla.of_platform(error))
"""
OTHERS = {
    "JAX_ENABLE_X64": "1",
    "JAX_RANDOM_SEED_OFFSET": "3",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_DISABLE_JIT": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "PYTHONHASHSEED": "7",
    "PYTHONOPTIMIZE": "2",
    "LC_ALL": "C",
    "TZ": "Asia/Tokyo",
}
AUTHOR = {
    **{f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    where = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    words = [sys.executable, "-c", code]
    return subprocess.run(words, env=where, capture_output=True, text=True, check=False)


def git(folder: Path, *words: str) -> None:
    environment = {**os.environ, **AUTHOR}
    subprocess.run(["git", *words], cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of two commits with this one's attributes."""
    folder = tmp_path / "outer"
    folder.mkdir()
    git(folder, "init", "-q")
    shutil.copy(ROOT / ".gitattributes", folder)
    for text in ("a\nb\n", "a\nc\n"):
        (folder / "table.csv").write_text(text)
        (folder / "pixels.npz").write_bytes(b"\r\n\n\r")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "a")
    return folder


def test_variables_that_would_change_numbers_are_set_aside_and_said(tmp_path: Path) -> None:
    home = {"REPLICATIONS_HOME": str(tmp_path)}
    plain, other = python(COMPUTE, **home), python(COMPUTE, **home, **OTHERS)
    assert plain.returncode == other.returncode == 0, other.stderr
    assert plain.stdout == other.stdout
    assert plain.stdout.count("float32") == 2
    assert "set aside" not in plain.stderr
    for name in (name for name in OTHERS if name.startswith("JAX_")):
        assert f"{name}={OTHERS[name]} is set aside" in other.stderr


@pytest.mark.parametrize("platform", ["cuda", "tpu", "nonsense", "cpu,nonsense"])
def test_a_platform_that_is_not_there_is_one_line(platform: str) -> None:
    line = python(FAIL, JAX_PLATFORMS=platform).stdout
    assert line.startswith(f"JAX_PLATFORMS={platform}: JAX cannot compute there")
    assert "unset it" in line
    assert line.count("\n") == 1


def test_a_variable_that_jax_does_not_read_is_named() -> None:
    code = FAIL.replace("import jax.numpy as jnp\ntry:", "try:\n    import jax.numpy as jnp")
    assert "'JAX_LOG_COMPILES'; correct this variable" in python(code, JAX_LOG_COMPILES="x").stdout


def test_the_commit_is_that_of_the_project_and_of_no_repository_around_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = manifest.code(repository, manifest.code)["commit"]
    assert len(commit) == 40
    inner = repository / "from a ZIP"
    inner.mkdir()
    assert manifest.code(inner, manifest.code)["commit"] is None
    assert manifest.code(inner, manifest.code)["dirty"] is None
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as a hook has it
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert manifest.code(repository, manifest.code)["commit"] == commit


def test_shallow_clones_and_changes_are_told(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    shallow = manifest.code(tmp_path / "shallow", manifest.code)
    assert shallow["commit"] == manifest.code(repository, manifest.code)["commit"]
    assert shallow["dirty"] is False
    (tmp_path / "shallow" / "common").mkdir()
    (tmp_path / "shallow" / "common" / "new.py").touch()
    assert manifest.code(tmp_path / "shallow", manifest.code)["dirty"] is True


def test_without_git_or_for_another_user_there_is_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        for path in (repository, repository / ".git"):
            os.chown(path, 12345, 12345)
        monkeypatch.setenv("HOME", "/nowhere")  # whose settings might call it safe
        assert manifest.code(repository, manifest.code)["commit"] is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert manifest.code(repository, manifest.code)["commit"] is None


def test_a_checkout_that_changes_line_ends_has_the_same_bytes(
    repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(repository), "windows")
    for file in ("table.csv", "pixels.npz"):
        assert (tmp_path / "windows" / file).read_bytes() == (repository / file).read_bytes()
