"""Which code a result depends on: a digest that follows names through imports.

`digest(function)` covers the function and every definition of the project that it can reach: names
in its body, what these are bound to in their modules, and so on through ``from a import b`` and
``a.b``. Comments, docstrings and annotations of functions do not count, and neither does a
definition that nothing reaches; so an edit of a figure does not touch the digest of a training.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("common", "papers")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)


class Symbol(NamedTuple):
    """A name of a module; all of the module where the name is empty."""

    module: Path
    name: str


class _Module(NamedTuple):
    """A parsed file: statements by the names that they bind or change, and what is imported."""

    statements: dict[str, list[ast.stmt]]
    imports: dict[str, Symbol]


def digest(*roots: Callable[..., Any] | ModuleType) -> str:
    """Return the SHA-256, in hexadecimal, of all project code that the roots depend on.

    A root is a function, a class or a whole module.
    """
    total, reached = hashlib.sha256(), _reached(*roots)
    for symbol in sorted(reached):
        total.update(f"{_shown(symbol)}\0{reached[symbol]}".encode())
    return total.hexdigest()


def _text(node: Any) -> str:
    """Return a syntax tree as text, the same of all versions of Python: what is empty is left out.

    `ast.unparse` writes f-strings in one way before Python 3.12 and in another since.
    """
    if isinstance(node, ast.AST):
        fields = ((name, _text(value)) for name, value in ast.iter_fields(node))
        return (
            f"{type(node).__name__}({', '.join(f'{name}={text}' for name, text in fields if text)})"
        )
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]" if node else ""
    return "" if node is None else repr(node)


def dependencies(*roots: Callable[..., Any] | ModuleType) -> list[str]:
    """Return what `digest` covers, each as ``path/of/module.py:name``."""
    return [_shown(symbol) for symbol in sorted(_reached(*roots))]


def _shown(symbol: Symbol) -> str:
    parts = symbol.module.parts
    start = max((i for i, part in enumerate(parts) if part in PACKAGES), default=0)
    return f"{'/'.join(parts[start:])}:{symbol.name}"


def _reached(*roots: Callable[..., Any] | ModuleType) -> dict[Symbol, str]:
    """Return all symbols that are defined and that the roots depend on, each with its text."""
    found: dict[Symbol, str] = {}
    waiting = [_symbol(root) for root in roots]
    seen = set(waiting)
    while waiting:
        symbol = waiting.pop()
        text, used = _read(symbol, symbol.module.stat().st_mtime_ns)
        if text is not None:
            found[symbol] = text
        waiting += used - seen
        seen |= used
    return found


@functools.cache
def _read(symbol: Symbol, changed: int) -> tuple[str | None, frozenset[Symbol]]:
    """Return a symbol's text, None where it is but imported, and the symbols that it refers to."""
    module = _parse(symbol.module, changed)
    if not symbol.name:
        return "", frozenset(Symbol(symbol.module, name) for name in module.statements)
    statements = module.statements.get(symbol.name, [])
    used = {name for statement in statements for name in _used(statement, symbol.module, module)}
    if symbol.name in module.imports:
        used.add(module.imports[symbol.name])
    text = "".join(f"{_text(statement)}\0" for statement in statements)
    return text if symbol.name in module.statements else None, frozenset(used)


def _symbol(root: Callable[..., Any] | ModuleType) -> Symbol:
    if isinstance(root, ModuleType):
        return Symbol(Path(str(root.__file__)), "")
    inner: Any = root.func if isinstance(root, functools.partial) else root
    inner = inspect.unwrap(inner)
    path = Path(str(sys.modules[inner.__module__].__file__))
    name = inner.__qualname__.partition(".")[0]
    if name not in _parse(path, path.stat().st_mtime_ns).statements:
        raise ValueError(f"{root!r}: give a function, class or module by the name it is defined by")
    return Symbol(path, name)


@functools.cache
def _parse(path: Path, changed: int) -> _Module:
    """Return the file as it was `changed` at that time."""
    tree = _Stripped().visit(ast.parse(path.read_text()))
    statements: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Symbol] = {}
    for statement in tree.body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        if not isinstance(statement, _DEFINITIONS):
            imports |= _imported_in(statement, path)
        for name in _bound(statement):
            statements.setdefault(name, []).append(statement)
    return _Module(statements, imports)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement defines, or else all that it mentions and so may change.

    A condition or the like defines what is defined and imported inside it.
    """
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return set()
    nodes = list(ast.walk(statement))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    stored |= {node.name for node in nodes if isinstance(node, _DEFINITIONS)}
    stored |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return stored or {node.id for node in names}


def _used(statement: ast.stmt, path: Path, module: _Module) -> Iterator[Symbol]:
    """Yield the project's symbols that a statement refers to."""
    imports, nodes = module.imports | _imported_in(statement, path), list(ast.walk(statement))
    owners = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if not isinstance(node, ast.Name):
            continue
        if node.id in module.statements:
            yield Symbol(path, node.id)
        if node.id in imports:  # also of a name that the module has otherwise
            symbol = imports[node.id]  # of a module: the attribute that is asked for, or all of it
            yield symbol if symbol.name else Symbol(symbol.module, owners.get(id(node), ""))


def _imported_in(statement: ast.stmt, path: Path) -> dict[str, Symbol]:
    """Return what the imports in a statement bind, of the project's modules only."""
    found: dict[str, Symbol] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= _imported(node, path)
    return found


def _imported(statement: ast.Import | ast.ImportFrom, path: Path) -> dict[str, Symbol]:
    """Return what an import binds, of the project's modules only."""
    found: dict[str, Symbol] = {}
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname and (file := _file(alias.name, path)):
                found[alias.asname] = Symbol(file, "")
    elif statement.module and not statement.level:
        for alias in statement.names:
            if file := _file(f"{statement.module}.{alias.name}", path):
                found[alias.asname or alias.name] = Symbol(file, "")
            elif file := _file(statement.module, path):
                found[alias.asname or alias.name] = Symbol(file, alias.name)
    return found


def _file(module: str, importer: Path) -> Path | None:
    """Return the file of a module of the project that holds `importer`, None for all others."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    beside = [folder.parent for folder in importer.parents if folder.name in PACKAGES]
    for root in (*beside[-1:], ROOT):
        place = root.joinpath(*parts)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


class _Stripped(ast.NodeTransformer):
    """Takes away what changes no result: docstrings, and annotations of arguments and returns."""

    def visit(self, node: ast.AST) -> Any:
        node = super().visit(node)
        body = getattr(node, "body", None)
        documented = isinstance(node, (*_DEFINITIONS, ast.Module))
        if documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined,index]
        if isinstance(node, _FUNCTIONS):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        return node
