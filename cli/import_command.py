"""`modelwire import`: send files to the server, and show what became of each entry."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from .client import DEFAULT_URL, GraphQLClient
from .errors import CommandError, ExitCode
from .output import Output

IMPORT_MODEL_CONFIGS = """
mutation Import($input: ImportModelConfigsInput!) {
  importModelConfigs(input: $input) {
    __typename
    ... on ImportModelConfigsPayload { entries { alias action reason ignored } ignoredSections revision }
    ... on UserError { message path }
  }
}
"""


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What the server made of one file: a payload, or why it was refused as a whole."""

    path: Path
    dry_run: bool
    payload: dict[str, Any] | None
    refusal: str | None = None


def import_files(files: list[Path], *, dry_run: bool, url: str | None, token: str | None, output: Output) -> ExitCode:
    """Import the files one after the other; a file that is refused does not keep the others from being taken.

    Raises CommandError when a file cannot be read, before anything is sent, and when the server cannot be asked.
    """
    if not token:
        raise CommandError("an API key is needed: --token, or MODELWIRE_TOKEN", ExitCode.USAGE)
    contents = [(path, _read(path)) for path in files]
    with contextlib.closing(GraphQLClient(url or DEFAULT_URL, token)) as client:
        results = [_import(client, path, content, dry_run=dry_run) for path, content in contents]
    show: Callable[[list[FileResult]], None] = _print_json if output is Output.JSON else _print_tables
    show(results)
    return ExitCode.REFUSED if any(result.refusal for result in results) else ExitCode.DONE


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text file in UTF-8", ExitCode.USAGE) from None


def _import(client: GraphQLClient, path: Path, content: str, *, dry_run: bool) -> FileResult:
    data = client.execute(IMPORT_MODEL_CONFIGS, {"input": {"content": content, "dryRun": dry_run}})
    result = data["importModelConfigs"]
    if result.pop("__typename") == "ImportModelConfigsPayload":
        return FileResult(path=path, dry_run=dry_run, payload=result)
    return FileResult(path=path, dry_run=dry_run, payload=None, refusal=result["message"])


def _print_json(results: list[FileResult]) -> None:
    files = [
        {"file": str(result.path), "dryRun": result.dry_run, "error": result.refusal, **(result.payload or {})}
        for result in results
    ]
    typer.echo(json.dumps({"files": files}, indent=2, ensure_ascii=False))


def _print_tables(results: list[FileResult]) -> None:
    for result in results:
        if result.payload is None:
            typer.echo(f"{result.path}: refused, nothing of it was imported: {result.refusal}", err=True)
        else:
            typer.echo(f"{result.path}:")
            for line in describe_import(result.payload, dry_run=result.dry_run):
                typer.echo(f"  {line}")


def describe_import(payload: dict[str, Any], *, dry_run: bool) -> list[str]:
    """The lines that tell a person what an import did: one for each entry, then what was left out, then the sum."""
    entries = [
        {**entry, "alias": _printable(entry["alias"]), "ignored": [_printable(name) for name in entry["ignored"]]}
        for entry in payload["entries"]
    ]
    width = max((len(entry["alias"]) for entry in entries), default=0)
    lines = []
    for entry in entries:
        line = f"{entry['action']:<9} {entry['alias']:<{width}}"
        if entry["reason"]:
            line += f"  {_printable(entry['reason'])}"
        if entry["ignored"]:
            line += f"  (not taken: {', '.join(entry['ignored'])})"
        lines.append(line.rstrip())
    if payload["ignoredSections"]:
        lines.append(f"Sections that Modelwire does not use: {', '.join(map(_printable, payload['ignoredSections']))}")
    actions = [entry["action"] for entry in entries]
    counts = ", ".join(
        f"{actions.count(action)} {word}"
        for action, word in (("CREATE", "new"), ("UPDATE", "changed"), ("UNCHANGED", "unchanged"), ("SKIP", "skipped"))
    )
    lines.append(f"{counts}{'; nothing was written (dry run)' if dry_run else ''}")
    return lines


def _printable(text: str) -> str:
    """Names come from a file: what is in them must not steer the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
