"""The public API of the package is what `__all__` names, and nothing else is reached for from outside."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import modelwire.store

ROOT = Path(__file__).parents[3]
PUBLIC_MODULES = {"tracing"}


def test_all_names_what_is_there() -> None:
    public = {
        name
        for name, value in vars(modelwire.store).items()
        if not name.startswith("_") and name != "annotations"
        if not isinstance(value, types.ModuleType) or name in PUBLIC_MODULES
    }
    assert sorted(modelwire.store.__all__) == sorted(public)


def test_other_packages_import_the_public_names_only() -> None:
    for package in ("resolvers", "schema", "server", "cli"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.level and (node.module or "").split(".")[0] == "store":
                    assert node.module == "store", f"{path} imports from {node.module}"
                    assert {name.name for name in node.names} <= set(modelwire.store.__all__), path
