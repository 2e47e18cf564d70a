"""The import contracts: every study is under them, and none has an exception."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


def contract(name: str) -> dict:
    (found,) = (one for one in CONTRACTS if one["name"] == name)
    return found


def test_contract_lists_every_study() -> None:
    studies = {f"papers.{file.parent.name}" for file in (ROOT / "papers").glob("*/study.py")}
    assert set(contract("studies never import each other")["modules"]) == studies


def test_contracts_have_no_exceptions() -> None:
    assert len(CONTRACTS) >= 3
    allowed = {"name", "type", "source_modules", "forbidden_modules", "modules"}
    allowed |= {"containers", "exhaustive", "layers"}  # and no ignore_imports of any kind
    assert set().union(*CONTRACTS) <= allowed


def test_common_imports_nothing_by_a_name_that_the_linter_cannot_see() -> None:
    loaders = {"import_module", "__import__", "run_module"}
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / "common").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        if (name := getattr(node.func, "attr", getattr(node.func, "id", ""))) in loaders
    ]
    assert not found
