"""The layout of a checkout, of the builds and of the links say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
LINKS = {path.name: path for path in (ROOT / "src" / "modelwire").iterdir() if path.is_symlink()}


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in listing.stdout.splitlines()]


def test_each_link_leads_to_the_folder_of_its_name() -> None:
    assert LINKS
    for name, link in LINKS.items():
        assert link.readlink() == Path("..", "..", name)
        assert (ROOT / name).is_dir()


def test_the_builds_name_the_folders_that_the_links_name() -> None:
    names = set(LINKS)
    assert {path.removeprefix("/src/modelwire/") for path in HATCH["exclude"] if path.startswith("/src/")} == names
    assert set(HATCH["targets"]["wheel"]["only-include"]) == names | {"src/modelwire"}
    assert HATCH["targets"]["wheel"]["sources"] == {
        "src/modelwire": "modelwire",
        **{name: f"modelwire/{name}" for name in names},
    }
    assert set(HATCH["targets"]["sdist"]["only-include"]) >= names | {"src/modelwire"}


def test_lock_files_name_versions_and_no_addresses() -> None:
    locks = tracked("*constraints*.txt", "*requirements*.txt", "*.lock", "*package-lock.json")
    assert ROOT / "constraints.txt" in locks
    for lock in locks:
        assert lock.name != "uv.lock"
        assert not re.search(r"(https?|git\+\w+|file)://|\"resolved\"", lock.read_text()), lock


def test_modules_stay_small() -> None:
    packages = [f"{name}/*.py" for name in LINKS]
    long = {str(path.relative_to(ROOT)): count for path in tracked(*packages) if (count := _lines(path)) > 400}
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_functions_stay_small() -> None:
    # A migration is written once: what it makes has as many columns as it has.
    paths = [path for path in tracked(*(f"{name}/*.py" for name in LINKS)) if "versions" not in path.parts]
    assert len(paths) > 200
    assert {place: count for path in paths for place, count in _functions(path) if count > 40} == {}


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a module with their lines, from the first statement behind the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
            yield f"{path.relative_to(ROOT)}: {node.name}", (node.end_lineno or 0) - first.lineno + 1
