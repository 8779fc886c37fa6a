"""`modelwire audit log`: who did what, as the server tells it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import typer

from .client import connect
from .output import Output, print_json, printable
from .paging import read_pages

AUDIT_LOG = """
query AuditLog($first: Int, $after: String) {
  auditLog(first: $first, after: $after) {
    edges { node { sequence at action actor details hash } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def show_audit_log(*, first: int, url: str | None, token: str | None, output: Output) -> None:
    """Show up to `first` entries, newest first. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        entries, more = read_pages(client, AUDIT_LOG, {}, lambda data: data["auditLog"], first=first)
    if output is Output.JSON:
        print_json({"entries": entries, "more": more})
        return
    for entry in entries:
        typer.echo(describe_entry(entry))
    if more:
        typer.echo("There are older entries: show more with --first.")


def describe_entry(entry: dict[str, Any]) -> str:
    """The line that tells a person of one entry."""
    details = ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(entry["details"].items())
    )
    return printable(f"{entry['sequence']}  {entry['at']}  {entry['actor']}  {entry['action']}  {details}")
