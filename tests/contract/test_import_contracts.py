"""Import rules that import-linter cannot check: submodules of other distributions, and imports by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "bento_monitor" / "integrations"
PRIVATE = ("bentoml._internal", "_bentoml_sdk", "_bentoml_impl")
SOURCES = sorted(
    path for folder in ("bento_monitor", "optimizers", "examples") for path in (ROOT / folder).rglob("*.py")
)


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, by statement or by `import_module("name")`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def is_private(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in PRIVATE)


@pytest.mark.parametrize(
    "source",
    [
        "import bentoml._internal.context",
        "from bentoml import _internal",
        "from bentoml._internal import context",
        "from _bentoml_sdk import service",
        "import importlib\nimportlib.import_module('_bentoml_impl.server')",
    ],
)
def test_every_import_of_a_private_module_is_detected(source: str) -> None:
    assert any(is_private(name) for name in imported_modules(ast.parse(source)))


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if HOOKS not in path.parents], ids=lambda p: str(p.relative_to(ROOT))
)
def test_only_hooks_import_private_modules_of_bentoml(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [name for name in imported_modules(tree) if is_private(name)] == []
