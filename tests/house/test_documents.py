"""What the README and the guides say is true of the code: operations fit the schema, programs parse, commands have the
options that are named, files are of their kind, and links lead to a page and to a heading of it.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from graphql import build_schema, parse, validate

from modelwire.cli.app import app
from modelwire.cli.serve import serve_app

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]
PACKAGES = ("schema", "resolvers", "store", "subscriber", "server", "cli")
SCHEMA = build_schema((ROOT / "schema.graphql").read_text())
COMMANDS = typer.main.get_command(app)
# `serve` hands its arguments on.
SERVE = typer.main.get_command(serve_app)


def blocks(*languages: str) -> list[object]:
    """The code blocks in these languages on all pages, each as a test parameter named by its page and line."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(rf"^```({'|'.join(languages)})\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


@pytest.mark.parametrize("document", blocks("graphql"))
def test_operations_fit_the_schema(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


@pytest.mark.parametrize("program", blocks("python"))
def test_programs_parse(program: str) -> None:
    compile(program, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(
    ("language", "load"), [("json", json.loads), ("yaml", yaml.safe_load), ("toml", tomllib.loads)]
)
def test_files_are_of_their_kind(language: str, load: Callable[[str], Any]) -> None:
    for block in blocks(language):
        load(block.values[0])  # type: ignore[attr-defined]


def commands_of(page: Path) -> list[str]:
    """Every command line of ours on a page: in its blocks, in its indented lines and within its sentences."""
    text = page.read_text().replace("\\\n", " ")
    return re.findall(r"(?m)^(?:    |\$ )?(?:\w+=\S+ )*modelwire (?![\w-]+\.)(.+)$|`modelwire ([^`…]+)`", text)


def wrong_with(line: str) -> str | None:
    """What a command line names that is not there; None when all of it is."""
    words = shlex.split(re.split(r" *(?:[|>]|&&| # | {2,})", line)[0])
    command: Any = COMMANDS
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is not None and not word.startswith("-"):
            if word not in commands:
                return f"modelwire {line}: there is no {word!r}"
            command = SERVE if word == "serve" else commands[word]
        elif word.startswith("-"):
            name = word.partition("=")[0]
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            if name not in options | {"--help", "-h"}:
                return f"modelwire {line}: there is no option {name}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    lines = [block or inline for block, inline in commands_of(page)]
    assert [problem for line in lines if (problem := wrong_with(line)) is not None] == []


def test_commands_that_do_not_exist_are_found() -> None:
    assert len(commands_of(ROOT / "docs" / "quickstart.md")) > 3
    assert wrong_with("keys rotate --new-key") is None
    assert wrong_with("serve --port 1 --config x") is None
    assert "'rotates'" in str(wrong_with("keys rotates"))
    assert "--prot" in str(wrong_with("serve --prot 1"))
    assert "--dry" in str(wrong_with("import a.yaml --dry"))


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors_of(path), target


def test_the_commands_that_the_readme_names_exist() -> None:
    for target in set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", "".join(page.read_text() for page in PAGES))):
        dry_run = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert dry_run.returncode == 0, dry_run.stderr


def test_the_readme_leads_to_every_guide() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)\)", (ROOT / "README.md").read_text()))
    assert linked >= {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_contributing_names_files_that_are_there() -> None:
    named = re.findall(
        r"`((?:schema|resolvers|store|subscriber|server)/[\w/]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []


def texts_of_the_code() -> list[str]:
    """What the packages may say, as far as it stands in one text."""
    modules = (path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    nodes = (node for path in modules for node in ast.walk(ast.parse(path.read_text())))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_the_headings_of_troubleshooting_are_what_is_said() -> None:
    headings = re.findall(r"(?m)^### `([^`]+)`", (ROOT / "docs" / "troubleshooting.md").read_text())
    assert len(headings) > 5
    said = texts_of_the_code()
    parts = {part.strip() for heading in headings for part in heading.split("…") if part.strip()}
    assert [part for part in parts if not any(part in text for text in said)] == []
