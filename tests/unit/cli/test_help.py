"""The help of every command: examples that parse, lines that fit, and the shape of the JSON."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from modelwire.cli import reference
from modelwire.cli.app import app

ROOT = Path(__file__).parents[3]
COMMANDS = dict(reference.commands())
WITHOUT_JSON = {"modelwire serve", "modelwire demo"}
# What the design names.
NAMED = """serve demo import apply export list get set delete history rollback test watch components api-key keys audit
backup restore migrate schema"""


def help_at(columns: int, name: str) -> str:
    return reference.help_text(name, COMMANDS[name], columns=columns)


def examples(name: str) -> Iterator[str]:
    """The lines of the help that run the command, with those that go on behind a backslash."""
    text = help_at(200, name).replace("\\\n", " ")
    for line in text.splitlines():
        match = re.search(rf"(?:^|\s)({name}(?:\s.*)?)$", line)
        if match and not line.lstrip().startswith("Usage:"):
            yield match[1]


def test_there_is_every_command_that_is_promised() -> None:
    assert {name.split()[1] for name in COMMANDS} >= set(NAMED.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str) -> None:
    found = list(examples(name))
    assert found, f"{name} --help has no example"
    for example in found:
        # What follows is the shell's.
        words = shlex.split(re.split(r"\s(?:\||>|2>|\()\s", example)[0])[1:]
        command, info_name = (COMMANDS[name], words[1:]) if name == "modelwire serve" else (get_command(app), words)
        parse(command, info_name)


def parse(command: Any, words: list[str]) -> None:
    """Raises a usage error."""
    context = None
    while True:
        context = command.make_context(command.name or "modelwire", list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        words = [*context._protected_args, *context.args]
        _, command, words = command.resolve_command(context, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_fits_a_terminal(name: str) -> None:
    assert [line for line in help_at(80, name).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_every_command_prints_json_and_tells_its_shape(name: str) -> None:
    text = help_at(100, name)
    assert "--output <table|json>" in text
    assert re.search(r"^  JSON(:|, one object a line:)", text, re.MULTILINE)


def test_the_list_of_commands_is_told_in_whole_sentences() -> None:
    text = reference.help_text("modelwire", get_command(app), columns=80)
    assert "..." not in text.partition("Commands:")[2]


def test_the_reference_is_that_of_the_commands() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written.endswith(reference.reference()), "make reference writes docs/cli.md anew"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "modelwire"],
        env={"_MODELWIRE_COMPLETE": f"source_{shell}", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "_MODELWIRE_COMPLETE=complete_" in shown.stdout
