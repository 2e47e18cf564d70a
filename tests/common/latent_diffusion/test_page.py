"""The page on latent diffusion names what there is, and its examples are of this code."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from flax import nnx

from common.latent_diffusion import names
from common.latent_diffusion.pipeline import Pipeline
from tests.common.latent_diffusion.golden import TINY, abstract

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "latent_diffusion.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ROW = r"^\| (unet|controlnet|vae|text) \| `([\w.]+)` \| `([\w.]+)` \| `([\w.]+)` \|$"


def test_the_page_names_every_module():
    table = PAGE.split("\n## ")[0]
    modules = {path.stem for path in (ROOT / "common" / "latent_diffusion").glob("[a-z]*.py")}
    assert modules <= set(re.findall(r"`(\w+)`", table))


def parameters(part):
    flat = nnx.to_flat_state(nnx.state(abstract(part, TINY)))
    return {".".join(map(str, path)) for path, _ in flat}


def test_names_are_as_the_page_says():
    rows = re.findall(ROW, PAGE, re.MULTILINE)
    assert len(rows) == 15
    known = {part: parameters(part) for part in {row[0] for row in rows}}
    for part, ours, theirs, single in rows:
        path = (*ours.split("."), "kernel")
        assert names.diffusers_name(part, path).removesuffix(".weight") == theirs
        full = names.single_file_name(part, path).removesuffix(".weight")
        assert full.removeprefix(names.PREFIXES[part]) == single
        assert any(name.startswith(f"{ours}.") for name in known[part]), ours


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_call_what_there_is(example):
    allowed = inspect.signature(Pipeline.draw).parameters
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("common"):
            for alias in node.names:
                assert hasattr(import_module(node.module), alias.name)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "pipe":
            assert {keyword.arg for keyword in node.keywords} <= allowed.keys()
