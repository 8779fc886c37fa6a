"""The reference pages are as the code has it: those that are made from it, and those that are compared with it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from graphql import GraphQLObjectType, build_schema

from modelwire import subscriber
from modelwire.cli.errors import ExitCode
from modelwire.resolvers.errors import RequestError
from modelwire.server.graphql.protocol import CloseCode
from modelwire.server.settings_loading import settings_table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ERRORS = (DOCS / "errors.md").read_text()
SOURCES = "".join(
    path.read_text()
    for folder in ("schema", "resolvers", "store", "subscriber", "server", "cli")
    for path in sorted((ROOT / folder).rglob("*.py"))
)


@pytest.fixture(scope="module")
def references() -> ModuleType:
    """docs/references.py."""
    spec = importlib.util.spec_from_file_location("references", DOCS / "references.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_that_are_made_from_the_code_are_as_it_is(references: ModuleType) -> None:
    stale = [path.name for path, text in references.pages().items() if path.read_text() != text]
    assert stale == [], "run make docs"
    settings = (DOCS / "settings.md").read_text()
    assert all(f"| `{setting.variable}` |" in settings and setting.default in settings for setting in settings_table())
    named = "".join(
        (DOCS / "schema" / f"{name}.md").read_text() for name in ("operations", "types", "inputs", "values")
    )
    schema = build_schema((ROOT / "schema.graphql").read_text())
    assert len(re.findall(r"^## (\w+)$", named, re.MULTILINE)) > 100
    assert all(f"\n## {name}\n" in named for name, type_ in schema.type_map.items() if type_.ast_node is not None)


def rows(heading: str) -> set[str]:
    """The first cells of the table under a heading of errors.md."""
    section = ERRORS.split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `?([\w]+)`? \|", section, re.MULTILINE)) - {"type", "code", "exception", "reason"}


def test_every_typed_error_is_explained() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text())
    error = schema.type_map["UserError"]
    typed = {t.name for t in schema.type_map.values() if isinstance(t, GraphQLObjectType) and error in t.interfaces}
    assert rows("In the data: typed errors") == typed


def test_every_code_is_explained() -> None:
    codes = {kind.code for kind in [RequestError, *RequestError.__subclasses__()]}
    assert rows("Beside the data: `extensions.code`") == codes
    assert rows("The end of a websocket: close codes") == {str(code.value) for code in CloseCode}
    assert rows("Of a command: exit codes") == {str(code.value) for code in ExitCode}


def test_every_exception_of_the_subscriber_is_explained() -> None:
    public = {name: getattr(subscriber, name) for name in subscriber.__all__}
    raised = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, Exception)}
    assert rows("In a component: exceptions") == raised - {"SubscriberError"}


def test_every_class_of_refusals_is_explained() -> None:
    classes = set(re.findall(r'ConfigRefused\(\s*f?"(\w+)[":]', SOURCES))
    assert {"missing_secret", "probe_failed"} <= classes
    assert rows("Why a version is refused") == classes


def test_symptoms_are_written_as_the_code_writes_them() -> None:
    """What a heading of the page quotes stands in the code, but for what a … stands for."""
    quoted = re.findall(r"^### .*?`([^`]+)`", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) > 8
    code = re.sub(r'"\s*\n\s*f?"', "", SOURCES)
    parts = [part.strip() for text in quoted for part in text.split("…")]
    assert [part for part in parts if part not in code] == []
