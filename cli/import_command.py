"""`modelwire import`: send files to the server, and show what became of each entry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from .client import GraphQLClient, connect
from .errors import ExitCode
from .files import import_input
from .output import Output, print_json, printable
from .progress import working

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

    `${NAME}` in a SAM file stands for this process's variables. Raises CommandError when a file cannot be read, before
    anything is sent, and when the server cannot be asked.
    """
    with contextlib.closing(connect(url, token)) as client:
        inputs = [(path, import_input(path)) for path in files]
        results = [_import(client, path, given, dry_run=dry_run) for path, given in inputs]
    show: Callable[[list[FileResult]], None] = _print_json if output is Output.JSON else _print_tables
    show(results)
    return ExitCode.REFUSED if any(result.refusal for result in results) else ExitCode.DONE


def _import(client: GraphQLClient, path: Path, given: dict[str, Any], *, dry_run: bool) -> FileResult:
    with working(f"Importing {path}"):
        result = client.execute(IMPORT_MODEL_CONFIGS, {"input": {**given, "dryRun": dry_run}})["importModelConfigs"]
    if result.pop("__typename") == "ImportModelConfigsPayload":
        return FileResult(path=path, dry_run=dry_run, payload=result)
    return FileResult(path=path, dry_run=dry_run, payload=None, refusal=result["message"])


def _print_json(results: list[FileResult]) -> None:
    files = [
        {"file": str(result.path), "dryRun": result.dry_run, "error": result.refusal, **(result.payload or {})}
        for result in results
    ]
    print_json({"files": files})


def _print_tables(results: list[FileResult]) -> None:
    for result in results:
        if result.payload is None:
            typer.echo(
                f"{result.path}: refused, nothing of it was imported: {printable(result.refusal or '')}", err=True
            )
        else:
            typer.echo(f"{result.path}:")
            for line in describe_import(result.payload, dry_run=result.dry_run):
                typer.echo(f"  {line}")


def describe_import(payload: dict[str, Any], *, dry_run: bool) -> list[str]:
    """The lines that tell a person what an import did: one for each entry, then what was left out, then the sum."""
    entries = [
        {**entry, "alias": printable(entry["alias"]), "ignored": [printable(name) for name in entry["ignored"]]}
        for entry in payload["entries"]
    ]
    width = max((len(entry["alias"]) for entry in entries), default=0)
    lines = []
    for entry in entries:
        line = f"{entry['action']:<9} {entry['alias']:<{width}}"
        if entry["reason"]:
            line += f"  {printable(entry['reason'])}"
        if entry["ignored"]:
            line += f"  (not taken: {', '.join(entry['ignored'])})"
        lines.append(line.rstrip())
    if payload["ignoredSections"]:
        lines.append(f"Sections that Modelwire does not use: {', '.join(map(printable, payload['ignoredSections']))}")
    actions = [entry["action"] for entry in entries]
    counts = ", ".join(
        f"{actions.count(action)} {word}"
        for action, word in (("CREATE", "new"), ("UPDATE", "changed"), ("UNCHANGED", "unchanged"), ("SKIP", "skipped"))
    )
    lines.append(f"{counts}{'; nothing was written (dry run)' if dry_run else ''}")
    return lines
