"""What the digest of a function sees, and what it does not, on a small project."""

import ast
import functools
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import papers
from common import provenance
from papers import studies

ROOT = Path(__file__).parents[2]
PROJECT = {
    "alpha.py": '''"""The module."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from common.errors import nearest
from papers import beta, delta, zeta
from papers.beta import scaled as rescaled

if TYPE_CHECKING:
    from papers.theta import Hint

if np.__version__ > "1":
    from papers.eta import conditional

LIMIT = 3
UNUSED = 4
TABLE = {"a": 1}
TABLE["b"] = 2
zeta.configure(LIMIT)

if UNUSED:

    def under(x):
        return x


def logged(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments) + 0
    return inner


class Base:
    rate = 0.1


class Model(Base):
    """A model."""

    width: int = 8
    hint: Hint | None = None

    def run(self, x):
        """Run."""
        return x * LIMIT


def unrelated():
    return nearest("1", [])


@logged
def root(x: int, y: int = 2) -> int:
    """Return a number."""
    # a comment
    from papers.late import later
    return later(rescaled(x)) + beta.shifted(y) + Model().run(x) + zeta.used() + TABLE["a"]


def lazy(hint: Hint = None):
    from papers import lazy
    return lazy.late(under(conditional(delta)))
''',
    "beta.py": '''"""Another."""

from papers.gamma import FACTOR

SHIFT = 1


def scaled(x):
    return x * FACTOR


def shifted(x):
    return x + SHIFT


def aside(x):
    return x
''',
    "gamma.py": "FACTOR = 7\nOTHER = 8\n",
    "delta.py": "WHOLE = 1\n",
    "zeta.py": "def configure(x):\n    return x\n\n\ndef used():\n    return 1\n",
    "eta.py": "def conditional(x):\n    return x\n",
    "lazy.py": "def late(x):\n    return x\n",
    "late.py": "def later(x):\n    return x\n\n\nUNNAMED = lambda: 1\n",
    "theta.py": "class Hint:\n    pass\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of modules that are imported as those of papers."""
    folder = tmp_path / "papers"
    folder.mkdir()
    for name, text in PROJECT.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(papers, "__path__", [str(folder)])
    names = [f"papers.{Path(name).stem}" for name in PROJECT]
    yield folder
    for name in names:
        sys.modules.pop(name, None)
        vars(papers).pop(name.partition(".")[2], None)


def module(name: str = "alpha"):
    return importlib.import_module(f"papers.{name}")


def changes(file: Path, old: str, new: str, function: str = "root") -> bool:
    """Return whether an edit changes the digest of a function of alpha."""
    before = provenance.digest(getattr(module(), function))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return provenance.digest(getattr(module(), function)) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("alpha", "Return a number.", "Return another number."),
        ("alpha", '    """A model."""\n', ""),
        ("alpha", '"""The module."""', '"""A module."""'),
        ("alpha", "# a comment", "# another comment"),
        ("alpha", "x: int, y: int = 2) -> int", "x: float, y=2) -> float"),
        ("alpha", 'nearest("1", [])', 'nearest("2", [])'),
        ("alpha", "UNUSED = 4", "UNUSED = 5"),
        ("alpha", "def unrelated", "def renamed"),
        ("alpha", "return x * LIMIT", "return (x\n            * LIMIT)"),
        ("beta", "def aside(x):\n    return x", "def aside(x):\n    return 0"),
        ("gamma", "OTHER = 8", "OTHER = 9"),
        ("delta", "WHOLE = 1", "WHOLE = 2"),
        ("theta", "pass", "other = 1"),
    ],
)
def test_what_changes_no_result_changes_no_digest(
    file: str, old: str, new: str, project: Path
) -> None:
    assert not changes(project / f"{file}.py", old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("beta", "return x + SHIFT", "return x - SHIFT"),  # a function of a module
        ("beta", "SHIFT = 1", "SHIFT = 2"),  # a constant of that
        ("beta", "return x * FACTOR", "return x / FACTOR"),  # a function under another name
        ("gamma", "FACTOR = 7", "FACTOR = 6"),  # a constant two modules away
        ("alpha", "y: int = 2", "y: int = 3"),  # a default
        ("alpha", "width: int = 8", "width: int = 9"),  # an attribute of a class
        ("alpha", "rate = 0.1", "rate = 0.2"),  # ... of its base
        ("alpha", "return x * LIMIT", "return x + LIMIT"),  # a method
        ("alpha", "LIMIT = 3", "LIMIT = 4"),  # a constant of that
        ("alpha", "*arguments) + 0", "*arguments) + 1"),  # a decorator
        ("alpha", '"a": 1', '"a": 2'),
        ("alpha", 'TABLE["b"] = 2', 'TABLE["b"] = 3'),  # what changes a constant
        ("alpha", "zeta.configure(LIMIT)", "zeta.configure(0)"),  # what may change a module
        ("zeta", "return 1", "return 2"),  # a function of such a module
        ("late", "return x", "return -x"),  # imported inside the function
    ],
)
def test_what_may_change_a_result_changes_the_digest(
    file: str, old: str, new: str, project: Path
) -> None:
    assert changes(project / f"{file}.py", old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("lazy", "return x", "return -x"),  # of the function's own name
        ("eta", "return x", "return -x"),  # imported under a condition
        ("alpha", '> "1"', '> "2"'),  # the condition
        ("alpha", "        return x\n", "        return 1\n"),  # defined under it
        ("delta", "WHOLE = 1", "WHOLE = 2"),  # a whole module that is handed on
    ],
)
def test_imports_are_followed_wherever_they_stand(
    file: str, old: str, new: str, project: Path
) -> None:
    assert changes(project / f"{file}.py", old, new, "lazy")


def test_a_module_is_all_that_it_defines(project: Path) -> None:
    before = provenance.digest(module())
    assert {"papers/alpha.py:UNUSED", "papers/alpha.py:unrelated"} <= set(
        provenance.dependencies(module())
    )
    (project / "alpha.py").write_text(PROJECT["alpha.py"].replace("UNUSED = 4", "UNUSED = 5"))
    assert provenance.digest(module()) != before


def test_dependencies_are_named_and_the_projects_own(project: Path) -> None:
    assert provenance.dependencies(module("beta").scaled) == [
        "papers/beta.py:scaled",
        "papers/gamma.py:FACTOR",
    ]
    assert "common/errors.py:nearest" in provenance.dependencies(module())
    found = provenance.dependencies(module().root)
    assert not any("numpy" in name or "functools" in name for name in found)


def test_the_digest_is_of_names_and_code_and_not_of_the_place(project: Path) -> None:
    one, two = module("beta").scaled, module("beta").shifted
    assert provenance.digest(one) == provenance.digest(functools.partial(one, 2))
    assert provenance.digest(one, two) == provenance.digest(two, one)
    assert len({provenance.digest(*roots) for roots in ((one,), (two,), (one, two))}) == 3
    before = provenance.digest(module().root)
    for name in list(sys.modules):
        if name.startswith("papers.") and name.partition(".")[2] + ".py" in PROJECT:
            del sys.modules[name]
    moved = project.rename(project.parent / "moved").parent / "elsewhere" / "papers"
    moved.parent.mkdir()
    (project.parent / "moved").rename(moved)
    papers.__path__[:] = [str(moved)]
    assert provenance.digest(module().root) == before


def test_what_has_no_name_at_the_top_of_a_module_is_refused(project: Path) -> None:
    def inside() -> None: ...

    provenance.digest(inside)  # counts as the function around it
    with pytest.raises(ValueError, match="give a function, class or module by the name"):
        provenance.digest(module("late").UNNAMED)


# The real project


@pytest.mark.parametrize("name", studies.names())
def test_what_a_study_is_trained_and_evaluated_by_is_seen(name: str) -> None:
    study = studies.load(name)
    train, evaluate = map(provenance.dependencies, (study.train, study.evaluate))
    assert f"papers/{name}/train.py:train" in train
    assert "common/training/loop.py:Training" in train
    assert f"papers/{name}/evaluate.py:evaluate" in evaluate
    for found in (train, evaluate):
        assert not [one for one in found if f"papers/{name}/" in one and "figures" in one]
        assert not [one for one in found if "common/report" in one or "common/pipeline" in one]


def test_the_project_has_no_import_that_is_not_followed() -> None:
    """``import common.a`` without a name, relative ones, ``*``, and packages as such."""
    unseen = []
    for file in (*(ROOT / "common").rglob("*.py"), *(ROOT / "papers").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                unseen += [
                    (file, alias.name)
                    for alias in node.names
                    if alias.name.startswith(("common.", "papers.")) and not alias.asname
                ]
            if isinstance(node, ast.ImportFrom):
                folder = ROOT.joinpath(*(node.module or "").split("."))
                packages = [a.name for a in node.names if (folder / a.name).is_dir()]
                ours = (node.module or "").partition(".")[0] in provenance.PACKAGES
                if node.level or (ours and (packages or node.names[0].name == "*")):
                    unseen.append((file, node.module))
    assert not unseen


def test_a_tree_is_written_alike_by_every_python() -> None:
    """What is not there is left out, as newer versions name more of it; strings are parsed."""
    given = """
def f(): return f"{a['b']!r:>{n}} it's", []
"""
    expected = (
        "FunctionDef(name='f', args=arguments(), body=[Return(value=Tuple(elts=[JoinedStr(values=["
        "FormattedValue(value=Subscript(value=Name(id='a', ctx=Load()), slice=Constant(value='b'), "
        "ctx=Load()), conversion=114, format_spec=JoinedStr(values=[Constant(value='>'), "
        "FormattedValue(value=Name(id='n', ctx=Load()), conversion=-1)])), "
        """Constant(value=" it's")]), List(ctx=Load())], ctx=Load()))])"""
    )
    assert provenance._text(ast.parse(given).body[0]) == expected
